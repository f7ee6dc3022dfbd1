# The others start their nodes again.
# on: network
systemctl start cometbft
