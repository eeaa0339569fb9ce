"""Why a function of NumPy or SciPy is not among the operations of traced values: the part of the table written by hand.

Invariant: a function stands here or among the operations, never in both.
Start at ``REASONS``; ``coverage.py`` makes the table.
"""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """What traced code can do with a function."""

    SUPPORTED = "supported"
    DISCRETE = "supported; the result is of integers or booleans, or is no array, and has no derivative"
    REFUSED = "refused"
    DYNAMIC = "refused: the shape of the result depends on values"
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
_ASARRAY = "cannot return a traced value: NumPy asks for the numbers; write staged_ad.numpy.array, or leave it away"
_SETS = "how many elements there are depends on values; np.where keeps shapes, staged_ad.numpy.where names a size"
_IN_PLACE = "changes its argument; write the new array: np.where, np.concatenate"

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
    ("numpy", Status.OUTSIDE, "makes matrices, which NumPy advises against", "asmatrix bmat"),
    (
        "numpy",
        Status.REFUSED,
        _ASARRAY,
        "array asanyarray asarray asarray_chkfinite ascontiguousarray asfortranarray require",
    ),
    (
        "numpy",
        Status.REFUSED,
        "calls a Python function for every number; write it with NumPy, or map it by staged_ad.vmap",
        "frompyfunc",
    ),
    ("numpy", Status.REFUSED, _IN_PLACE, "copyto fill_diagonal place put put_along_axis putmask"),
    (
        "numpy",
        Status.DYNAMIC,
        _SETS,
        """argwhere flatnonzero intersect1d nonzero setdiff1d setxor1d trim_zeros union1d unique unique_all
        unique_counts unique_inverse unique_values""",
    ),
    (
        "numpy",
        Status.DYNAMIC,
        "the number of coefficients depends on which are zero; np.polyval, np.convolve and np.linalg.eigvals do not",
        "polydiv roots",
    ),
    ("numpy.linalg", Status.OUTSIDE, "is about NumPy itself", "test"),
    ("numpy.fft", Status.OUTSIDE, "is about NumPy itself", "test"),
    ("numpy.fft", Status.OUTSIDE, _CREATION, "fftfreq rfftfreq"),
]
"""(module, status, reason, names)."""
