"""Hidden Markov models: the best path and the likelihood of a sequence.

Rabiner, A tutorial on hidden Markov models and selected applications in speech recognition (1989), section III;
Bishop, Pattern Recognition and Machine Learning, section 13.2.
"""

import numpy as np


def viterbi(observations, pi, A, B):
    """Probabilities multiplied; returns the best path and its probability."""
    N = len(pi)
    T = len(observations)
    delta = np.zeros((T, N))
    psi = np.zeros((T, N), dtype=int)
    delta[0] = pi * B[:, observations[0]]
    for t in range(1, T):
        for j in range(N):
            trans = delta[t - 1] * A[:, j]
            psi[t, j] = np.argmax(trans)
            delta[t, j] = np.max(trans) * B[j, observations[t]]
    path = np.zeros(T, dtype=int)
    path[T - 1] = np.argmax(delta[T - 1])
    for t in range(T - 2, -1, -1):
        path[t] = psi[t + 1, path[t + 1]]
    return path, delta[T - 1].max()


def viterbi_log(obs, start_p, trans_p, emit_p):
    """Logarithms added, a whole column at a time."""
    with np.errstate(divide="ignore"):
        log_start, log_trans, log_emit = np.log(start_p), np.log(trans_p), np.log(emit_p)
    v = log_start + log_emit[:, obs[0]]
    back = []
    for o in obs[1:]:
        scores = v[:, None] + log_trans
        back.append(np.argmax(scores, axis=0))
        v = np.max(scores, axis=0) + log_emit[:, o]
    best = [int(np.argmax(v))]
    for pointers in reversed(back):
        best.insert(0, int(pointers[best[0]]))
    return np.array(best), np.max(v)


def viterbi_gaussian(x, log_pi, log_A, mu, sigma):
    """Emissions that are normal; the path is found first and then scored."""
    T, N = len(x), len(mu)
    log_B = -0.5 * ((x[:, None] - mu) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)
    score = np.empty((T, N))
    arg = np.empty((T, N), dtype=np.int64)
    score[0] = log_pi + log_B[0]
    for t in range(1, T):
        m = score[t - 1][:, np.newaxis] + log_A
        arg[t] = m.argmax(axis=0)
        score[t] = m[arg[t], np.arange(N)] + log_B[t]
    states = np.empty(T, dtype=np.int64)
    states[-1] = score[-1].argmax()
    for t in range(T - 1, 0, -1):
        states[t - 1] = arg[t, states[t]]
    total = log_pi[states[0]] + log_A[states[:-1], states[1:]].sum() + log_B[np.arange(T), states].sum()
    return total


def forward_scaled(observations, pi, A, B):
    """Rabiner's equations 91 and 103: the log likelihood from the scale factors."""
    T = len(observations)
    N = A.shape[0]
    alpha = np.zeros((T, N))
    c = np.zeros(T)
    for i in range(N):
        alpha[0, i] = pi[i] * B[i, observations[0]]
    c[0] = 1.0 / np.sum(alpha[0])
    alpha[0] *= c[0]
    for t in range(1, T):
        for j in range(N):
            for i in range(N):
                alpha[t, j] += alpha[t - 1, i] * A[i, j]
            alpha[t, j] *= B[j, observations[t]]
        c[t] = 1.0 / alpha[t].sum()
        alpha[t] *= c[t]
    return -np.sum(np.log(c))


def posterior(observations, pi, A, B):
    """Forward and backward; the probability of each state at each time."""
    T, N = len(observations), len(pi)
    alpha = np.zeros((T, N))
    beta = np.ones((T, N))
    alpha[0] = pi * B[:, observations[0]]
    for t in range(1, T):
        alpha[t] = alpha[t - 1] @ A * B[:, observations[t]]
    for t in reversed(range(T - 1)):
        beta[t] = A @ (B[:, observations[t + 1]] * beta[t + 1])
    gamma = alpha * beta
    gamma /= gamma.sum(axis=1, keepdims=True)
    return gamma


def forward_log(obs, log_pi, log_A, log_B):
    """The log likelihood by np.logaddexp."""
    a = log_pi + log_B[:, obs[0]]
    for o in obs[1:]:
        a = np.logaddexp.reduce(a[:, None] + log_A, axis=0) + log_B[:, o]
    return np.logaddexp.reduce(a)
