"""Ten small layers, x -> tanh(x W): twenty kernels that do next to nothing, so what they cost is their launch."""

from typing import Any

import numpy

from bench.library import Function, Library

LAYERS, WIDTH = 10, 32


def forward(library: Library) -> Function:
    """``(x (n, n), W (n, n)) -> (n, n)``."""
    np = library.np

    def f(x: Any, W: Any) -> Any:
        for _ in range(LAYERS):
            x = np.tanh(x @ W)
        return x

    return f


def data(width: int = WIDTH) -> tuple[Any, ...]:
    random = numpy.random.default_rng(0)
    return random.normal(size=(width, width)), random.normal(size=(width, width)) * (2 / width) ** 0.5
