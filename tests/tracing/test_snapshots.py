"""Arrays that a traced function closes over.

Invariant: a program keeps the values its constants had when it was traced.
Start at the first test.
"""

import gc

import numpy as np

import staged_ad as sad
from staged_ad.tracing import literal_of, snapshots


def test_an_unchanged_array_is_copied_once() -> None:
    data = np.arange(10_000.0)
    assert literal_of(data) is literal_of(data)


def test_a_changed_array_is_copied_anew_and_the_old_copy_stays() -> None:
    data = np.arange(10_000.0)
    before = literal_of(data)
    data[7] = -1.0
    after = literal_of(data)
    assert before.value[7] == 7.0
    assert after.value[7] == -1.0


def test_a_program_keeps_the_values_of_its_constants() -> None:
    data = np.arange(10_000.0)
    compiled = sad.jit(lambda x: np.sum(x * data))
    expected = compiled(1.0)
    data[:] = 0.0
    assert compiled(1.0) == expected


def test_copies_are_forgotten_with_their_arrays() -> None:
    data = np.arange(10_000.0)
    number = id(data)
    literal_of(data)
    assert number in snapshots._known
    del data
    gc.collect()
    assert number not in snapshots._known


def test_arrays_with_nan_are_recognised() -> None:
    data = np.full(10_000, np.nan)
    assert literal_of(data) is literal_of(data)
