"""How the text of a program is cut and shared."""

from __future__ import annotations

import re

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.lowering import module


def running(x):
    """Many small steps that are not fused: each writes one element and reads two."""
    y = np.zeros(len(x))
    y[0], y[1] = x[0], x[1]
    for i in range(2, len(x)):
        y[i] = np.sin(y[i - 1]) * x[i] - y[i - 2]
    return y


def regions(f, *args):
    return len(re.findall(r"^define [^@]*@region\d+\(", sad.jit(f).lower(*args).text("llvm"), re.MULTILINE))


def parts(f, *args):
    return len(re.findall(r"^define [^@]*@body\.part\d+\(", sad.jit(f).lower(*args).text("llvm"), re.MULTILINE))


def sweeps(n):
    def f(x):
        for k in range(n):
            x = x.at[k % 50 : k % 50 + 40].add(np.sin(x[k % 50 + 10 : k % 50 + 50]).sum())
        return x

    return f


def test_the_steps_of_an_unrolled_loop_are_one_function():
    x = np.random.default_rng(0).normal(size=100)
    few, many = (regions(sweeps(n), x) for n in (8, 40))
    assert many <= few + 2


@pytest.mark.parametrize("f", [running, sweeps(60), sad.grad(lambda x: np.sum(running(x) ** 2))])
def test_a_body_in_parts_computes_the_same(f, monkeypatch):
    x = np.random.default_rng(1).normal(size=120)
    monkeypatch.setattr(module, "LONG", 10**9)
    assert parts(f, x) == 0
    whole = sad.jit(f)(x)
    monkeypatch.setattr(module, "LONG", 20)
    sad.clear_caches()
    assert parts(f, x) > 1
    np.testing.assert_array_equal(sad.jit(f)(x), whole)


def test_a_failure_in_one_part_ends_the_body(monkeypatch):
    monkeypatch.setattr(module, "LONG", 20)

    @sad.jit
    def f(x, k):
        x = running(x)
        y = x[k] * running(x)
        return running(y)

    x = np.random.default_rng(2).normal(size=30)
    np.testing.assert_allclose(f(x, 29), running(running(x)[29] * running(running(x))))
    with pytest.raises(IndexError, match="30"):
        f(x, 30)
