"""log(sum(exp(z))) and softmax as a user of plain NumPy writes them."""

from typing import Any

from bench.library import Function, Library


def logsumexp(library: Library, z: Any, axis: int) -> Any:
    np = library.np
    most = np.max(z, axis=axis, keepdims=True)
    return np.squeeze(most, axis) + np.log(np.sum(np.exp(z - most), axis=axis))


def of_rows(library: Library) -> Function:
    """``(m, n) -> (m)``."""
    return lambda z: logsumexp(library, z, axis=1)


def softmax_of_rows(library: Library) -> Function:
    """``(m, n) -> (m, n)``, as a user of plain NumPy writes it."""
    np = library.np

    def f(z: Any) -> Any:
        powers = np.exp(z - np.max(z, axis=1, keepdims=True))
        return powers / np.sum(powers, axis=1, keepdims=True)

    return f
