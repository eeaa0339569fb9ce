"""Examples with complex arguments that the real ones cannot give, and what takes no complex numbers.

Invariant: a function of arrays of floating-point numbers has derivatives in complex arguments or is in ``REAL_ONLY``.
Start at ``COMPLEX``; most complex examples are real ones with complex arguments, made by tests/test_coverage.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.coverage.example import Table, X, on

Z = X + 0.5j * np.flip(X)
z = on(Z)


def holes(z: Any) -> Any:
    """Some elements replaced by NaN."""
    return np.where(Z.real > 0.8, np.nan, z)


COMPLEX: Table = {
    "numpy.select": z(lambda z: np.select([z.real > 0.5, z.imag > 0], [z**2, 3j * z], default=np.conj(z))),
    "numpy.piecewise": z(lambda z: np.piecewise(z, [z.real < 0, z.real >= 0.5], [lambda z: -(z**2), np.exp])),
    "numpy.nancumsum": z(lambda z: np.nancumsum(holes(z), axis=1)),
    "numpy.nancumprod": z(lambda z: np.nancumprod(holes(z))),
    "numpy.nan_to_num": z(lambda z: np.nan_to_num(holes(z) * z, nan=1.0)),
    "numpy.nansum": z(lambda z: np.nansum(holes(z), axis=1)),
    "numpy.nanprod": z(lambda z: np.nanprod(holes(z), axis=1)),
    "numpy.nanmean": z(lambda z: np.nanmean(holes(z), axis=0)),
    "numpy.nanvar": z(lambda z: np.nanvar(holes(z))),
    "numpy.nanstd": z(lambda z: np.nanstd(holes(z))),
    "numpy.astype": z(lambda z: np.astype(z, np.complex128) * z),
    "numpy.angle": z(lambda z: np.angle(np.where(z.real > 0, 1 + 2j, 3 - 1j) * z)),
}

DROPPED = "drops the imaginary part"
"""What our error says where NumPy warns of it, in an example that casts."""

BY_NUMPY = "NumPy takes none"
REAL_ONLY: list[tuple[str, str, str]] = [
    (
        BY_NUMPY,
        "numpy",
        "arctan2 bincount cbrt ceil copysign deg2rad degrees divmod fabs fft.ihfft fft.rfft fft.rfft2 fft.rfftn fix "
        "floor floor_divide fmod frexp heaviside hypot i0 ldexp logaddexp logaddexp2 modf nanpercentile nanquantile "
        "nextafter percentile rad2deg radians remainder trunc unwrap",
    ),
    (
        BY_NUMPY,
        "scipy.special",
        "beta betainc betaincc betainccinv betaincinv betaln binom boxcox boxcox1p cbrt chdtr chdtrc chdtri cosdg "
        "cosm1 cotdg ellipe ellipk ellipkm1 entr erfcinv erfinv eval_hermite eval_hermitenorm exp10 exp2 expit "
        "expn exprel fdtr fdtrc fdtri gammainc gammaincc gammainccinv gammaincinv gammaln gammasgn gdtr gdtrc "
        "huber hyperu i0 i0e i1 i1e inv_boxcox inv_boxcox1p j0 j1 k0 k0e k1 k1e kl_div kn log_expit logit ndtri "
        "ndtri_exp owens_t pdtr pdtrc poch powm1 pseudo_huber radian rel_entr round sindg stdtr stdtrit tandg y0 "
        "y1 yn",
    ),
    (BY_NUMPY, "staged_ad.scipy.special", "comb factorial multigammaln perm polygamma softplus"),
    (
        "have no order",
        "numpy",
        "amax amin clip fmax fmin max maximum median min minimum nanmax nanmedian nanmin ptp",
    ),
    ("histogram needs", "numpy", "histogram_bin_edges"),
    (
        "real numbers only",
        "scipy.special",
        "airy dawsn digamma erf erfc erfcx erfi eval_chebyc eval_chebys eval_chebyt eval_chebyu eval_gegenbauer "
        "eval_genlaguerre eval_jacobi eval_laguerre eval_legendre eval_sh_chebyt eval_sh_chebyu eval_sh_jacobi "
        "eval_sh_legendre exp1 expi fresnel gamma hyp0f1 hyp1f1 hyp2f1 iv ive jn jv jve kv kve log_ndtr loggamma ndtr "
        "psi rgamma shichi sici spence wrightomega yv yve",
    ),
    ("real numbers only", "staged_ad.scipy.special", "zeta"),
]
"""Functions without derivatives in complex arguments: what our error says, or that NumPy and SciPy refuse them."""
