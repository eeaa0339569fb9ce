"""An LSTM that predicts the next character, with diagonal weights: the gradient for all of its weights.

The problem of ADBench's data set lstm_l2_c1024: two layers, 14 characters, a text of 1024.
"""

from functools import partial
from typing import Any

import numpy

from bench.library import Function, Library
from bench.problems.row import Row


def loss(library: Library) -> Function:
    """``(main (layers, 2, 4, d), extra (3, d), start (layers, 2, d), text (n, d) of one-hot rows) -> scalar``."""
    np = library.np

    def sigmoid(x: Any) -> Any:
        return 1.0 / (1.0 + np.exp(-x))

    def layer(parameters: Any, state: Any, x: Any) -> tuple[Any, Any]:
        hidden, cell = state
        (wf, wi, wo, wc), (bf, bi, bo, bc) = parameters[0], parameters[1]
        forget, ingate, outgate = sigmoid(x * wf + bf), sigmoid(hidden * wi + bi), sigmoid(x * wo + bo)
        cell = cell * forget + ingate * np.tanh(hidden * wc + bc)
        return outgate * np.tanh(cell), cell

    def f(main: Any, extra: Any, start: Any, text: Any) -> Any:
        layers = range(len(main))

        def step(state: Any, characters: Any) -> Any:
            character, following = characters
            x, after = character * extra[0], []
            for number in layers:
                hidden, cell = layer(main[number], state[number], x)
                after.append((hidden, cell))
                x = hidden
            prediction = x * extra[1] + extra[2]
            normalised = prediction - np.log(np.sum(np.exp(prediction)) + 2.0)
            return after, np.sum(following * normalised)

        _, likelihoods = library.scan(step, [(start[n][0], start[n][1]) for n in layers], (text[:-1], text[1:]))
        return -np.mean(likelihoods) / text.shape[1]

    return f


def gradient(library: Library) -> Function:
    return library.grad(loss(library), argnums=(0, 1))


def data(length: int, layers: int = 2, characters: int = 14) -> tuple[Any, ...]:
    random = numpy.random.default_rng(0)
    main = random.uniform(-1, 1, (layers, 2, 4, characters))
    extra, start = random.uniform(-1, 1, (3, characters)), random.uniform(-1, 1, (layers, 2, characters))
    return main, extra, start, numpy.eye(characters)[random.integers(characters, size=length)]


ROWS = [
    Row(
        "LSTM, 2 layers, 1024 characters",
        "ADBench",
        partial(data, 1024),
        gradient,
        base=loss,
        small=(partial(data, 100), gradient),
        steps=1000,
    )
]
