"""Regression by Gaussian processes.

Rasmussen and Williams, Gaussian Processes for Machine Learning, chapters 2, 4 and 5 (algorithm 2.1).
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular


def squared_exponential(X1, X2, length=1.0, sigma_f=1.0):
    sqdist = np.sum(X1**2, 1).reshape(-1, 1) + np.sum(X2**2, 1) - 2 * np.dot(X1, X2.T)
    return sigma_f**2 * np.exp(-0.5 / length**2 * sqdist)


def log_marginal_likelihood(theta, X, y):
    """Algorithm 2.1; theta holds the logarithms of length scale, amplitude and noise."""
    length, sigma_f, sigma_n = np.exp(theta)
    n = X.shape[0]
    K = squared_exponential(X, X, length, sigma_f) + sigma_n**2 * np.eye(n)
    L = np.linalg.cholesky(K)
    alpha = np.linalg.solve(L.T, np.linalg.solve(L, y))
    return -0.5 * y.dot(alpha) - np.sum(np.log(np.diagonal(L))) - 0.5 * n * np.log(2 * np.pi)


def negative_log_likelihood_ard(log_lengths, log_noise, X, y):
    """A length scale for each input, the determinant by slogdet."""
    n = len(y)
    Z = X / np.exp(log_lengths)
    diff = Z[:, None, :] - Z[None, :, :]
    K = np.exp(-0.5 * np.einsum("ijk,ijk->ij", diff, diff))
    K[np.diag_indices(n)] += np.exp(2 * log_noise)
    sign, logdet = np.linalg.slogdet(K)
    return 0.5 * y @ np.linalg.inv(K) @ y + 0.5 * logdet + 0.5 * n * np.log(2 * np.pi)


def matern_loops(x, length, nu=2.5):
    """The covariance matrix element by element, equation 4.17."""
    n = len(x)
    K = np.zeros((n, n))
    for i in range(n):
        for j in range(i, n):
            r = abs(x[i] - x[j])
            if nu == 1.5:
                s = np.sqrt(3) * r / length
                K[i, j] = (1 + s) * np.exp(-s)
            else:
                s = np.sqrt(5) * r / length
                K[i, j] = (1 + s + s**2 / 3) * np.exp(-s)
            K[j, i] = K[i, j]
    return K


def matern_likelihood(x, y, length, noise, nu=2.5):
    """With SciPy's factorization."""
    K = matern_loops(x, length, nu)
    K += noise**2 * np.identity(len(x))
    c, lower = cho_factor(K, lower=True)
    alpha = cho_solve((c, lower), y)
    return -0.5 * np.inner(y, alpha) - np.log(np.diag(c)).sum() - len(x) / 2.0 * np.log(2 * np.pi)


def posterior(X, y, X_star, length, sigma_n):
    """Algorithm 2.1: mean and standard deviation at new inputs."""
    K = squared_exponential(X, X, length)
    K[np.diag_indices_from(K)] += sigma_n**2
    L = cholesky(K, lower=True)
    alpha = solve_triangular(L.T, solve_triangular(L, y, lower=True), lower=False)
    K_star = squared_exponential(X, X_star, length)
    mean = K_star.T @ alpha
    v = solve_triangular(L, K_star, lower=True)
    variance = np.diag(squared_exponential(X_star, X_star, length)) - np.sum(v**2, axis=0)
    return mean, np.sqrt(np.clip(variance, 0, None))


def predict(X, y, X_star, length, sigma_n):
    """Equations 2.25 and 2.26, one new input after the other, by the inverse."""
    Kinv = np.linalg.inv(squared_exponential(X, X, length) + sigma_n**2 * np.eye(X.shape[0]))
    mu = np.zeros(len(X_star))
    sd = np.zeros_like(mu)
    for i, x in enumerate(X_star):
        k = np.array([np.exp(-0.5 * np.sum((x - xi) ** 2) / length**2) for xi in X])
        mu[i] = k.T @ Kinv @ y
        sd[i] = np.sqrt(1.0 - k @ Kinv @ k)
    return mu, sd


def leave_one_out(X, y, length, sigma_n):
    """Equations 5.10 to 5.12: the log predictive probability when each point is left out in turn."""
    Kinv = np.linalg.inv(squared_exponential(X, X, length) + sigma_n**2 * np.eye(len(X)))
    mu = y - Kinv @ y / np.diag(Kinv)
    var = 1 / np.diag(Kinv)
    return np.sum(-0.5 * np.log(var) - (y - mu) ** 2 / (2 * var) - 0.5 * np.log(2 * np.pi))


def periodic_kernel(x, period, length):
    """Equation 4.31, with np.subtract.outer."""
    d = np.subtract.outer(x, x)
    return np.exp(-2 * np.sin(np.pi * d / period) ** 2 / length**2)
