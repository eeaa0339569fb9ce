"""Machine code in a process: LLVM, linking, the cache on disk, threads, libraries, memory of results, Python's calls.

Invariant: nothing here knows how a program becomes code. This file imports nothing: a process that finds its code on
disk loads neither LLVM nor Numba nor SciPy.
Start at artifact.py and entry.py; README.md says what each file is for.
"""
