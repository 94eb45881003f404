"""A spool file that is damaged: found, moved aside, and read as far as it goes.

`quarantine.py` finds the damage and moves the file; `salvage.py` brings over what is intact, by
`wreck.py`, which reads the file by SQLite and then by its `pages.py`, `frames.py` (the WAL) and
`shapes.py` (which table a row is of); `names.py` keeps a second copy of what decodes the batches;
`batches.py` takes out a batch whose checksum is wrong; `lost.py` and `rows.py` state what it cost.
"""
