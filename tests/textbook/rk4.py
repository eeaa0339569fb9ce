"""The method of Runge and Kutta, and differential equations it is shown on.

Kreyszig, Advanced Engineering Mathematics, sections 21.1 and 21.3; Press et al., Numerical Recipes, sections 17.1
and 17.2.
"""

import numpy as np


def rk4_step(f, t, y, h):
    k1 = f(t, y)
    k2 = f(t + 0.5 * h, y + 0.5 * h * k1)
    k3 = f(t + 0.5 * h, y + 0.5 * h * k2)
    k4 = f(t + h, y + h * k3)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def rk4(f, y0, t):
    """The values at the times t as the rows of a table."""
    y = np.zeros((len(t), len(y0)))
    y[0] = y0
    for i in range(len(t) - 1):
        y[i + 1] = rk4_step(f, t[i], y[i], t[i + 1] - t[i])
    return y


def lotka_volterra(y0, alpha, beta, delta, gamma, t_end=2.0, n=20):
    def rhs(t, z):
        x, y = z
        return np.array([alpha * x - beta * x * y, delta * x * y - gamma * y])

    return rk4(rhs, y0, np.linspace(0, t_end, n + 1))


def lorenz(state, sigma=10.0, rho=28.0, beta=8.0 / 3.0, h=0.01, steps=20):
    """The trajectory, collected in a list."""

    def deriv(t, s):
        ds = np.empty_like(s)
        ds[0] = sigma * (s[1] - s[0])
        ds[1] = s[0] * (rho - s[2]) - s[1]
        ds[2] = s[0] * s[1] - beta * s[2]
        return ds

    trajectory = [state]
    for k in range(steps):
        trajectory.append(rk4_step(deriv, k * h, trajectory[-1], h))
    return np.array(trajectory)


def pendulum(theta0, omega0, length, damping, h=0.05, n=20, g=9.81):
    """Two scalar equations written out."""
    theta = np.zeros(n + 1)
    omega = np.zeros(n + 1)
    theta[0] = theta0
    omega[0] = omega0

    def acceleration(th, om):
        return -damping * om - g / length * np.sin(th)

    for i in range(n):
        k1 = h * omega[i]
        l1 = h * acceleration(theta[i], omega[i])
        k2 = h * (omega[i] + l1 / 2)
        l2 = h * acceleration(theta[i] + k1 / 2, omega[i] + l1 / 2)
        k3 = h * (omega[i] + l2 / 2)
        l3 = h * acceleration(theta[i] + k2 / 2, omega[i] + l2 / 2)
        k4 = h * (omega[i] + l3)
        l4 = h * acceleration(theta[i] + k3, omega[i] + l3)
        theta[i + 1] = theta[i] + (k1 + 2 * k2 + 2 * k3 + k4) / 6
        omega[i + 1] = omega[i] + (l1 + 2 * l2 + 2 * l3 + l4) / 6
    return theta, omega


def n_body(positions, velocities, masses, h=0.02, steps=4):
    """Bodies in the plane that attract each other."""
    n = len(masses)

    def rhs(t, y):
        r = y[: 2 * n].reshape(n, 2)
        v = y[2 * n :]
        a = np.zeros((n, 2))
        for i in range(n):
            for j in range(n):
                if i == j:
                    continue
                d = r[j] - r[i]
                a[i] += masses[j] * d / np.linalg.norm(d) ** 3
        return np.concatenate([v, a.ravel()])

    y = np.concatenate((positions.flatten(), velocities.flatten()))
    for k in range(steps):
        y = rk4_step(rhs, k * h, y, h)
    return y[: 2 * n].reshape((n, 2)), y[2 * n :].reshape((n, 2))


def bogacki_shampine(y0, mu, t_end=1.0, rtol=1e-3, atol=1e-5):
    """Van der Pol's equation with the step chosen by the error of an embedded pair."""

    def f(y):
        return np.array([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])

    t, h = 0.0, 0.1
    y = np.asarray(y0, dtype=float)
    k1 = f(y)
    while t < t_end:
        h = min(h, t_end - t)
        k2 = f(y + h / 2 * k1)
        k3 = f(y + 3 * h / 4 * k2)
        y_new = y + h * (2 * k1 + 3 * k2 + 4 * k3) / 9
        k4 = f(y_new)
        error = h * (-5 * k1 / 72 + k2 / 12 + k3 / 9 - k4 / 8)
        scale = atol + rtol * np.maximum(np.abs(y), np.abs(y_new))
        err = np.sqrt(np.mean((error / scale) ** 2))
        if err <= 1:
            t += h
            y, k1 = y_new, k4
        h = 0.1 if err < 1e-2 else 0.05 if err <= 1 else h / 2
    return y
