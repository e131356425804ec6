"""A run as its own script sees it: Azure's logging words, written to the run's folder.

Like `fitq.context`, on which it stands, everything in this folder is standard library only and runs on
Python 3.6 and later: training scripts import it inside the environment that they asked for. A run has no
token of the platform, so whatever would need one says so.
"""
