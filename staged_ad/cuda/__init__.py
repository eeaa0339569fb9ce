"""CUDA: programs as kernels for NVIDIA's GPUs.

Invariant: importing this package loads neither a driver nor CuPy.
Start at ``program.py``; README.md shows the way through.
"""
