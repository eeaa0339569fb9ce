"""Transforms of programs: jvp, vjp, vmap, and what these are made of.

Invariant: a transform takes a program to a program, and asks each primitive for its own rule.
Start at jvp.py; vjp.py puts the parts together.
"""
