"""K-means clustering, and its cousin by expectation and maximization.

Bishop, Pattern Recognition and Machine Learning, sections 9.1 and 9.2; Lloyd, Least squares quantization in PCM (1982).
"""

import numpy as np


def kmeans(X, centroids, iterations=5):
    """Lloyd's algorithm; returns the centroids, the labels and the inertia."""
    centroids = centroids.copy()
    K = len(centroids)
    for _ in range(iterations):
        distances = np.linalg.norm(X[:, np.newaxis, :] - centroids[np.newaxis, :, :], axis=2)
        labels = np.argmin(distances, axis=1)
        for k in range(K):
            if np.any(labels == k):
                centroids[k] = X[labels == k].mean(axis=0)
    inertia = np.sum((X - centroids[labels]) ** 2)
    return centroids, labels, inertia


def kmeans_until(X, init, max_iter=50):
    """Until the assignment does not change."""
    mu = np.array(init)
    n, k = X.shape[0], mu.shape[0]
    assignment = np.full(n, -1)
    for _ in range(max_iter):
        new = np.zeros(n, dtype=int)
        for i in range(n):
            new[i] = np.argmin([np.sum((X[i] - m) ** 2) for m in mu])
        if (new == assignment).all():
            break
        assignment = new
        mu = np.array([X[assignment == j].mean(axis=0) for j in range(k)])
    return mu


def kmeans_sums(X, C, iterations=5):
    """The sums and the counts gathered by np.add.at and np.bincount."""
    for _ in range(iterations):
        d2 = ((X[:, None] - C[None]) ** 2).sum(-1)
        z = d2.argmin(1)
        sums = np.zeros_like(C)
        np.add.at(sums, z, X)
        counts = np.bincount(z, minlength=len(C))
        C = sums / np.maximum(counts, 1)[:, None]
    return C


def kmeans_one_hot(X, mu, iterations=4):
    """Bishop's equations 9.2 and 9.4, with the indicators r_nk."""
    N, K = X.shape[0], mu.shape[0]
    for _ in range(iterations):
        r = np.zeros((N, K))
        d = np.array([((X - mu[k]) ** 2).sum(axis=1) for k in range(K)]).T
        r[np.arange(N), np.argmin(d, axis=1)] = 1
        mu = r.T @ X / r.sum(axis=0)[:, None]
    J = 0
    for k in range(K):
        J += np.sum(r[:, k] * np.sum((X - mu[k]) ** 2, axis=1))
    return J


def distortion(X, centroids):
    """The mean squared distance to the nearest centroid."""
    return np.mean(np.min(np.sum((X[:, None, :] - centroids) ** 2, axis=-1), axis=1))


def mixture_em(X, means, iterations=3):
    """A mixture of Gaussians of equal shape; returns means, variances, weights and the log likelihood."""
    N, D = X.shape
    K = len(means)
    mu = means.copy()
    var = np.ones(K)
    pi = np.ones(K) / K
    for _ in range(iterations):
        resp = np.zeros((N, K))
        for k in range(K):
            diff = X - mu[k]
            resp[:, k] = pi[k] * np.exp(-0.5 * (diff**2).sum(1) / var[k]) / (2 * np.pi * var[k]) ** (D / 2)
        log_likelihood = np.log(resp.sum(axis=1)).sum()
        resp /= resp.sum(axis=1, keepdims=True)
        Nk = resp.sum(axis=0)
        for k in range(K):
            mu[k] = resp[:, k] @ X / Nk[k]
            var[k] = np.sum(resp[:, k] * ((X - mu[k]) ** 2).sum(axis=1)) / (D * Nk[k])
        pi = Nk / N
    return mu, var, pi, log_likelihood
