# A validator whose key sigward made, on one machine, with five blocks behind it.
# on: signer
signed_validator
