"""The Black-Scholes price and five greeks, by their formulas."""

from math import erf, exp, log, pi, sqrt
from typing import Any

import numba
import numpy

from bench.by_hand import compiled


@compiled(parallel=True)
def greeks(spot: Any, strike: Any, time: Any, rate: Any, volatility: Any) -> Any:
    n = len(spot)
    price, delta, gamma = numpy.empty(n), numpy.empty(n), numpy.empty(n)
    vega, theta, rho = numpy.empty(n), numpy.empty(n), numpy.empty(n)
    for i in numba.prange(n):
        S, K, T, r, s = spot[i], strike[i], time[i], rate[i], volatility[i]
        root = sqrt(T)
        spread = s * root
        d = (log(S / K) + (r + 0.5 * s * s) * T) / spread
        discounted = K * exp(-r * T)
        N1, N2 = 0.5 * (1.0 + erf(d / sqrt(2.0))), 0.5 * (1.0 + erf((d - spread) / sqrt(2.0)))
        density = exp(-0.5 * d * d) / sqrt(2.0 * pi)
        price[i] = S * N1 - discounted * N2
        delta[i] = N1
        gamma[i] = density / (S * spread)
        vega[i] = S * density * root
        theta[i] = -S * density * s / (2.0 * root) - r * discounted * N2
        rho[i] = T * discounted * N2
    return price, delta, gamma, vega, theta, rho
