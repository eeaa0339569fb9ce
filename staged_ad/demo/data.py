"""Real data that scikit-learn ships, as float64 arrays ready for the tasks; nothing is downloaded.

Invariant: the same seed gives the same split, and only training rows decide how features are scaled.
Start reading at `digits` and `breast_cancer`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits

Array = NDArray[np.float64]
Scalar = np.floating[Any]


@dataclass(frozen=True)
class Split:
    """Two disjoint sets of rows: one to learn from, one held out.

    Labels are one-hot rows for `digits`, and signs (+1 benign, -1 malignant) for `breast_cancer`.
    """

    train_inputs: Array
    train_labels: Array
    held_inputs: Array
    held_labels: Array


def digits(train_rows: int = 1437, seed: int = 0) -> Split:
    """Handwritten digits: 1797 images of 8 x 8 pixels scaled to [0, 1], labels as one-hot rows of ten."""
    pixels, labels = load_digits(return_X_y=True)
    images = np.asarray(pixels, dtype=np.float64) / 16.0
    one_hot = np.eye(10)[labels]
    return _split(images, one_hot, train_rows, seed)


def breast_cancer(train_rows: int = 569, seed: int = 0) -> Split:
    """Breast cancer diagnoses: 569 rows of 30 standardised measurements and a column of ones, labels +1 and -1."""
    measurements, benign = load_breast_cancer(return_X_y=True)
    signs = np.where(benign == 1, 1.0, -1.0)
    split = _split(np.asarray(measurements, dtype=np.float64), signs, train_rows, seed)
    mean, deviation = split.train_inputs.mean(axis=0), split.train_inputs.std(axis=0)

    def standardise(rows: Array) -> Array:
        return np.concatenate([(rows - mean) / deviation, np.ones((len(rows), 1))], axis=1)

    return Split(standardise(split.train_inputs), split.train_labels, standardise(split.held_inputs), split.held_labels)


def _split(inputs: Array, labels: Array, train_rows: int, seed: int) -> Split:
    order = np.random.default_rng(seed).permutation(len(inputs))
    train, held = order[:train_rows], order[train_rows:]
    return Split(inputs[train], labels[train], inputs[held], labels[held])
