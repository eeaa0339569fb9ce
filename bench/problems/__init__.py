"""The problems of the table, one file per family. ROWS holds the whole table, in order."""

from bench.problems import (
    black_scholes,
    bodies,
    chains,
    events,
    gaussian_mixture,
    helmholtz,
    kepler,
    logistic,
    lorenz,
    perceptron,
    recurrent,
    rosenbrock,
)

ROWS = [
    *chains.ROWS,
    *rosenbrock.ROWS,
    *helmholtz.ROWS,
    *logistic.ROWS,
    *perceptron.ROWS,
    *black_scholes.ROWS,
    *gaussian_mixture.ROWS,
    *lorenz.ROWS,
    *bodies.ROWS,
    *recurrent.ROWS,
    *events.ROWS,
    *kepler.ROWS,
]
