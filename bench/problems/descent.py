"""The gradient descent of the particle and saddle problems, which doubles and halves its step.

Pearlmutter, Siskind, Using Programming Language Theory to Make Automatic Differentiation Sound and Efficient, 2008.
"""

from typing import Any

from bench.library import Function, Library

SMALL = 1e-5


def argmin(library: Library, f: Function, gradient: Function, start: Any) -> Any:
    """Where `f` is least. `gradient` is passed so that the caller chooses the mode."""
    np = library.np

    def size(x: Any) -> Any:
        return np.sqrt(np.sum(x * x))

    def goes_on(state: Any) -> Any:
        return state[-1]

    def step(state: Any) -> Any:
        x, value, slope, rate, successes, _ = state
        rate = np.where(successes == 10, 2.0 * rate, rate)
        successes = np.where(successes == 10, 0, successes)
        there = x - rate * slope
        value_there = f(there)
        better = value_there < value
        goes_on = (size(slope) > SMALL) & (size(there - x) > SMALL)
        moves = goes_on & better
        return (
            np.where(moves, there, x),
            np.where(moves, value_there, value),
            library.cond(moves, gradient, lambda _: slope, there),
            np.where(better, rate, rate / 2.0),
            np.where(better, successes + 1, 0),
            goes_on,
        )

    return library.while_loop(goes_on, step, (start, f(start), gradient(start), 1e-5, 0, True))[0]
