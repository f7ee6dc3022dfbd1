# A program of later years has been here: its layout of the store has a greater number.
# on: signer
systemctl stop sigward
python3 - /var/lib/sigward/state/guard.db <<'END'
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
store.execute("UPDATE schema_version SET version = version + 1000")
store.commit()
END
