"""What the package can say about itself: the table of the functions it supports.

Invariant: nothing here changes what is computed.
Start at ``coverage.py``.
"""
