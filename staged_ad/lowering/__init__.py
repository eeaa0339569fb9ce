"""From programs to machine code. The flow is drawn in README.md beside this file.

Invariant: what compiled code returns is what ``evaluate`` returns, up to rounding. This file imports nothing: LLVM and
what writes its code are loaded when the first function is compiled.
Start at compiled.py.
"""
