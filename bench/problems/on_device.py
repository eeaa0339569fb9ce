"""The rows of the table of a GPU: the same problems, at sizes that fill one. The most telling rows come first.

Invariant: a row that is `in_memory` does little with what it reads, so the bytes of its arguments and results, each
moved once, tell what is possible. Start at `DeviceRow`; ROWS_ON_DEVICE is the table.
"""

from dataclasses import dataclass
from functools import partial

import numpy

from bench.problems import (
    black_scholes,
    chains,
    gaussian_mixture,
    kepler,
    logsumexp,
    lorenz,
    perceptron,
    small_layers,
    softmax,
)
from bench.problems.row import Row, inf

MLP = (784, 2048, 2048, 10)
BATCH = 8192
STEPS = 1000
OPTIONS = NUMBERS = 10_000_000
SHARE = 0.8  # of the bandwidth of a copy


@dataclass(frozen=True)
class DeviceRow(Row):
    """A row with what is wanted of it: how many times faster than JAX, and which share of a copy's bandwidth."""

    in_memory: bool = False
    faster: float | None = None
    share: float | None = None
    tolerance: float = 1e-8  # of the largest entry of each array
    waited: bool = False  # each call is waited for before the next one


def of_chains(dtype: type, tolerance: float, *lengths: int) -> list[DeviceRow]:
    data, name = partial(chains.data, NUMBERS, dtype), numpy.dtype(dtype).name
    return [
        DeviceRow(
            f"chain {steps}{ending}, {name}",
            "chains",
            data,
            partial(make, steps=steps),
            in_memory=True,
            faster=1.0,
            share=SHARE,
            tolerance=tolerance,
        )
        for steps in lengths
        for ending, make in (("", chains.chain), (" gradient", chains.gradient))
    ]


ROWS_ON_DEVICE = [
    DeviceRow(
        "Black-Scholes, five greeks, 1e7",
        "finance",
        partial(black_scholes.data, OPTIONS),
        black_scholes.greeks,
        in_memory=True,
        faster=1.0,
        share=SHARE,
    ),
    *of_chains(numpy.float64, 1e-8, 5),
    DeviceRow(
        "1e5 Lorenz systems, 1000 steps",
        "loops",
        partial(lorenz.data_of_lanes, 100_000),
        partial(lorenz.end_of_lanes, steps=STEPS),
        steps=STEPS,
        faster=10.0,
    ),
    DeviceRow(
        "1e5 Lorenz systems, gradient",
        "loops",
        partial(lorenz.data_of_lanes, 100_000),
        partial(lorenz.gradient_of_lanes, steps=STEPS),
        steps=STEPS,
        faster=10.0,
    ),
    DeviceRow(
        "Kepler 1e6, while_loop", "loops", partial(kepler.data, 1_000_000), kepler.anomalies, faster=10.0, steps=inf
    ),
    DeviceRow(
        "Kepler 1e6, while_loop gradient",
        "loops",
        partial(kepler.data, 1_000_000),
        kepler.gradient,
        kepler.forward_gradient,
        steps=inf,
    ),
    DeviceRow(
        "MLP gradient, batch 8192",
        "learning",
        partial(perceptron.data, MLP, BATCH),
        perceptron.value_and_gradient,
        faster=1.0,
    ),
    DeviceRow(
        "MLP HVP, batch 8192",
        "learning",
        partial(perceptron.data_with_direction, MLP, BATCH),
        perceptron.hessian_vector,
    ),
    DeviceRow(
        "Gaussian mixture n=1e5 d=10 k=25",
        "ADBench",
        partial(gaussian_mixture.data, 100_000),
        gaussian_mixture.gradient,
        faster=1.0,
    ),
    DeviceRow("20 small kernels", "launches", small_layers.data, small_layers.forward, faster=1.0),
    DeviceRow(
        "20 small kernels, waited for", "launches", small_layers.data, small_layers.forward, faster=1.0, waited=True
    ),
    *of_chains(numpy.float64, 1e-8, 20, 100),
    DeviceRow(
        "softmax of rows, 1e4 x 1e3",
        "rows",
        partial(logsumexp.data, (10_000, 1_000)),
        softmax.softmax_of_rows,
        in_memory=True,
    ),
    DeviceRow(
        "logsumexp of rows, 1e4 x 1e3",
        "rows",
        partial(logsumexp.data, (10_000, 1_000)),
        softmax.of_rows,
        in_memory=True,
    ),
    *of_chains(numpy.float32, 1e-4, 5, 20, 100),
]
