"""Why traced values cannot be given to a function of NumPy or SciPy: the part of the table that is written by hand.

Invariant: what is refused here raises an error of ours that says what to write instead.
Start at ``REASONS``; ``coverage.py`` makes the table.
"""

from __future__ import annotations

from enum import Enum

from staged_ad.numpy.refusing import DYNAMIC, REFUSED


class Status(Enum):
    """What traced code can do with a function."""

    SUPPORTED = "supported"
    DISCRETE = "supported; the result is of integers or booleans, or is no array, and has no derivative"
    REFUSED = "refused"
    DYNAMIC = "the shape of the result depends on values"
    OUTSIDE = "not about traced arrays"
    MISSING = "not decided"


DISCRETE: dict[str, str] = {
    "numpy": """
        all allclose any argmax argmin array_equal array_equiv bitwise_and bitwise_count bitwise_left_shift bitwise_not
        bitwise_or bitwise_right_shift bitwise_xor can_cast common_type count_nonzero diag_indices_from einsum_path
        equal gcd greater greater_equal invert isclose isfinite isin isinf isnan isneginf isposinf ix_ lcm
        left_shift less less_equal logical_and logical_not logical_or logical_xor nanargmax nanargmin ndim
        not_equal packbits ravel_multi_index result_type right_shift shape signbit size tril_indices_from
        triu_indices_from unpackbits unravel_index bitwise_invert argsort argpartition searchsorted digitize lexsort
        iscomplex isreal iscomplexobj isrealobj
    """,
    "numpy.linalg": "matrix_rank",
}
"""Supported functions without a derivative, by module."""

_CREATION = "makes arrays of numbers that are static while tracing, and does so there as anywhere"

REASONS: list[tuple[str, Status, str, str]] = [
    (
        "numpy",
        Status.OUTSIDE,
        _CREATION,
        """arange bartlett blackman broadcast_shapes diag_indices empty eye from_dlpack frombuffer fromfunction fromiter
        full hamming hanning identity indices kaiser mask_indices ones tri tril_indices triu_indices zeros""",
    ),
    (
        "numpy",
        Status.OUTSIDE,
        "is about dtypes, memory or Python objects",
        """isdtype isscalar issubdtype iterable may_share_memory min_scalar_type mintypecode
        promote_types isfortran shares_memory typename nested_iters real_if_close""",
    ),
    (
        "numpy",
        Status.OUTSIDE,
        "is about text",
        """array2string array_repr array_str base_repr binary_repr format_float_positional format_float_scientific
        fromregex fromstring get_printoptions printoptions set_printoptions""",
    ),
    (
        "numpy",
        Status.OUTSIDE,
        "reads or writes files",
        "fromfile genfromtxt load loadtxt save savetxt savez savez_compressed",
    ),
    (
        "numpy",
        Status.OUTSIDE,
        "is about dates",
        "busday_count busday_offset datetime_as_string datetime_data is_busday isnat",
    ),
    (
        "numpy",
        Status.OUTSIDE,
        "is about NumPy itself",
        """get_include getbufsize geterr geterrcall info setbufsize seterr seterrcall show_config show_runtime test""",
    ),
    ("numpy", Status.OUTSIDE, "is `vstack` by a name that NumPy is about to drop", "row_stack"),
    ("numpy", Status.OUTSIDE, "makes matrices, which NumPy advises against", "asmatrix bmat"),
    *[("numpy", Status.REFUSED, reason, names) for names, reason in REFUSED.items()],
    *[("numpy", Status.DYNAMIC, reason, names) for names, reason in DYNAMIC.items()],
    ("numpy", Status.DYNAMIC, "only where Python could read the mask, as for `if`", "argwhere flatnonzero nonzero"),
    ("scipy.linalg", Status.REFUSED, "for symmetric matrices write it with np.linalg.eigh", "logm schur sqrtm"),
    ("scipy.linalg", Status.DYNAMIC, "the rank depends on values; np.linalg.svd and qr do not", "null_space orth"),
    ("numpy.linalg", Status.OUTSIDE, "is about NumPy itself", "test"),
    ("numpy.fft", Status.OUTSIDE, "is about NumPy itself", "test"),
    ("numpy.fft", Status.OUTSIDE, _CREATION, "fftfreq rfftfreq"),
]
"""(module, status, reason, names)."""
