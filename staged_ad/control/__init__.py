"""Control flow as primitives that hold programs: scan, while_loop, switch, checkpoint; functions with rules of the
user's; functions from outside.

Invariant: a transform of a loop or a branch is a loop or a branch of the transformed programs.
Start at scan.py; ``api/`` makes the programs from Python functions.
"""
