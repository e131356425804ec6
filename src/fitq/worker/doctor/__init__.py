"""The failure doctor: why a run failed, its decisive lines, and what probably helps.

It only reads: exit code, the end of the log, the run's record and versions, the snapshot's files. It never
makes a run fail: whatever it stumbles over, the run keeps a plain failure. Families of failures: `families/`.
"""
