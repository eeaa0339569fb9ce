"""The public functions on Python functions: derivatives, vmap, jit.

Invariant: each traces its function once and works on the program from then on.
Start at derivatives.py.
"""
