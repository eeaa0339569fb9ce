"""The problems of the table, one file per family. ROWS holds the whole table, in order."""

from bench.problems import black_scholes, chains, gaussian_mixture, helmholtz, logistic, perceptron, rosenbrock

ROWS = [
    *chains.ROWS,
    *rosenbrock.ROWS,
    *helmholtz.ROWS,
    *logistic.ROWS,
    *perceptron.ROWS,
    *black_scholes.ROWS,
    *gaussian_mixture.ROWS,
]
