"""Families of failures, a file each.

A family is a module with `KINDS` (kind → one sentence) and `recognise`, which returns None for what it does
not know. The first that knows wins, so what is particular stands before what is general: see `order.py`.
"""
