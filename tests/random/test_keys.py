"""Keys and random bits: known answers, independence of new keys, and the meaning of seeds.

Invariant: known answers are those of the Random123 library or are written out bit by bit; they hold on every platform.
Start at ``test_philox_gives_the_known_answers_of_random123``.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad import random
from staged_ad.primitives.random_bits import philox
from tests.primitives.random_examples import philox_words

KNOWN = [  # kat_vectors of Random123: counter, key, result, in words of 32 bits
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def joined(words: str) -> list[np.uint64]:
    numbers = [int(word, 16) for word in words.split()]
    return [np.uint64(low | high << 32) for low, high in zip(numbers[::2], numbers[1::2], strict=True)]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_gives_the_known_answers_of_random123(counter: str, key: str, expected: str):
    operands = *joined(counter), *joined(key)
    assert [philox(*operands, half=half) for half in (0, 1)] == joined(expected)


@given(seed=st.integers(0, 2**64 - 1), place=st.integers(0, 50))
def test_bits_are_philox_of_the_place_of_the_element(seed: int, place: int):
    words = philox_words(place, seed)
    assert random.bits(random.key(seed), 51)[place] == words[0] | words[1] << 32


@given(seed=st.integers(-(2**63), 2**64 - 1))
def test_a_key_holds_the_halves_of_the_seed(seed: int):
    key = random.key(seed)
    assert (key.dtype, key.shape) == (np.uint32, (2,))
    assert int(key[0]) | int(key[1]) << 32 == seed % 2**64


def test_a_traced_seed_gives_the_key_of_its_value():
    seeds = np.array([0, 5, -1, 2**40])
    np.testing.assert_array_equal(sad.vmap(random.key)(seeds), [random.key(int(s)) for s in seeds])
    np.testing.assert_array_equal(sad.jit(random.key)(np.int32(7)), random.key(7))


def test_new_keys_differ_from_each_other_and_for_every_number():
    key = random.key(0)
    keys = [*random.split(key, 100), *(random.fold_in(key, k) for k in range(100)), key]
    assert len({tuple(k.tolist()) for k in keys}) == len(keys)


def test_split_takes_shapes_and_its_first_keys_do_not_depend_on_their_number():
    key = random.key(3)
    assert random.split(key).shape == (2, 2)
    assert random.split(key, (3, 4)).shape == (3, 4, 2)
    assert random.split(key, 0).shape == (0, 2)
    np.testing.assert_array_equal(random.split(key, (2, 3)).reshape(6, 2)[:2], random.split(key))


def test_fold_in_takes_traced_numbers():
    key = random.key(3)
    steps = np.arange(-1, 3)
    found = sad.jit(sad.vmap(random.fold_in, in_axes=(None, 0)))(key, steps)
    np.testing.assert_array_equal(found, [random.fold_in(key, int(s)) for s in steps])


def test_streams_of_new_keys_are_uncorrelated():
    parent = random.key(11)
    keys = [parent, *random.split(parent, 8), *(random.fold_in(parent, k) for k in range(8))]
    draws = np.stack([random.normal(key, 4000) for key in keys])
    correlations = np.corrcoef(draws)[np.triu_indices(len(keys), 1)]
    assert np.max(np.abs(correlations)) < 5 / np.sqrt(4000)
    assert scipy.stats.kstest(correlations * np.sqrt(4000), "norm").pvalue > 0.01


def test_keys_of_neighbouring_seeds_have_unrelated_bits():
    bits = np.stack([random.bits(random.key(seed), 500) for seed in range(16)])
    differing = np.bitwise_count(bits[1:] ^ bits[:-1])
    assert abs(differing.mean() - 32) < 5 * 4 / np.sqrt(differing.size)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_every_bit_is_set_half_of_the_time(dtype: str):
    bits = random.bits(random.key(5), 4000, dtype)
    assert bits.dtype == dtype
    width = 8 * bits.itemsize
    shares = [np.mean(bits >> bits.dtype.type(k) & bits.dtype.type(1)) for k in range(width)]
    assert np.max(np.abs(np.array(shares) - 0.5)) < 5 * 0.5 / np.sqrt(4000)
