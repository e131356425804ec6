"""Declared state: what documents say should be, compared with what is, and brought about.

`kind.py` says what a kind has to do; each kind is one small file, listed in `kinds.py`.
"""
