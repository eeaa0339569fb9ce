"""The Black-Scholes price of a million call options, with five greeks."""

from functools import partial
from math import sqrt
from typing import Any

import numpy

from bench.by_hand import black_scholes as by_hand
from bench.library import Function, Library
from bench.problems.row import Row


def price(library: Library) -> Function:
    """``(spot, strike, time, rate, volatility) -> price``, elementwise."""
    np, special = library.np, library.special

    def normal_distribution(z: Any) -> Any:
        return 0.5 * (1.0 + special.erf(z / sqrt(2.0)))

    def f(spot: Any, strike: Any, time: Any, rate: Any, volatility: Any) -> Any:
        spread = volatility * np.sqrt(time)
        d = (np.log(spot / strike) + (rate + 0.5 * volatility**2) * time) / spread
        return spot * normal_distribution(d) - strike * np.exp(-rate * time) * normal_distribution(d - spread)

    return f


def greeks(library: Library) -> Function:
    """``(spot, strike, time, rate, volatility) -> (price, delta, gamma, vega, theta, rho)``."""
    np, f = library.np, price(library)

    def total(*market: Any) -> Any:
        return np.sum(f(*market))

    def all_greeks(spot: Any, strike: Any, time: Any, rate: Any, volatility: Any) -> Any:
        market = (spot, strike, time, rate, volatility)
        delta, by_time, rho, vega = library.grad(total, argnums=(0, 2, 3, 4))(*market)
        gamma = library.hvp(lambda s: total(s, *market[1:]), (spot,), (np.ones_like(spot),))
        return f(*market), delta, gamma, vega, -by_time, rho

    return all_greeks


def data(options: int = 1_000_000) -> tuple[Any, ...]:
    random = numpy.random.default_rng(0)
    bounds = ((80, 120), (80, 120), (0.1, 2.0), (0.0, 0.05), (0.1, 0.5))
    return tuple(random.uniform(low, high, options) for low, high in bounds)


ROWS = [
    Row(
        "Black-Scholes, five greeks, 1e6",
        "finance",
        data,
        greeks,
        by_hand=by_hand.greeks,
        small=(partial(data, 200), greeks),
    )
]
