"""Functions of other libraries that ask a traced value for its numbers: their names, and what to write instead.

Invariant: a function is named as its library names it, by whatever name the user has called it.
Start at ``asked_by``.
"""

from __future__ import annotations

import sys
from types import CodeType, FrameType

from staged_ad.frames import is_internal, user_frame
from staged_ad.tracing.operations import OPERATIONS
from staged_ad.tracing.source import called_name, instruction_at

INSTEAD: dict[str, str] = {
    "scipy.signal.convolve scipy.signal.fftconvolve scipy.ndimage.convolve1d": (
        "np.convolve for vectors, or products of np.fft.rfftn of padded arrays"
    ),
    "scipy.signal.correlate": "np.correlate for vectors",
    "scipy.signal.lfilter scipy.signal.sosfilt": (
        "np.convolve(b, x)[: len(x)] for a filter without feedback (a = 1), for others the recurrence in staged_ad.scan"
    ),
    "scipy.ndimage": "sums of shifted slices, as x[2:] - 2 * x[1:-1] + x[:-2], or np.convolve along an axis",
    "scipy.interpolate": "np.interp, or np.linalg.solve for the coefficients of a spline",
    "scipy.stats": (
        "its formula, as -0.5 * ((x - mean) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi) for norm.logpdf, "
        "scipy.special.ndtr((x - mean) / scale) for norm.cdf; scipy.special works, and staged_ad.random draws"
    ),
    "scipy.integrate.trapezoid": "np.trapezoid",
    "scipy.integrate.cumulative_trapezoid": "np.cumsum((y[1:] + y[:-1]) / 2 * np.diff(x))",
    "scipy.integrate.simpson": "weights @ y, the weights being h / 3 * np.array([1, 4, 2, 4, ..., 1])",
    "scipy.integrate.quad scipy.integrate.fixed_quad": "weights @ f(nodes), as with np.polynomial.legendre.leggauss",
    "scipy.integrate": "the steps of a Runge-Kutta method in a loop: staged_ad.scan, or staged_ad.while_loop",
    "scipy.optimize.approx_fprime": "staged_ad.grad(f)(x)",
    "scipy.optimize.rosen scipy.optimize.rosen_der scipy.optimize.rosen_hess": (
        "its formula, np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)"
    ),
    "scipy.optimize": (
        "Newton's steps in staged_ad.while_loop, or call it outside; for the derivative of what it finds, "
        "staged_ad.custom_vjp by the implicit function theorem"
    ),
    "scipy.fft": (
        "the product with the matrix of the transform, as in scipy.fft.dct(np.eye(n), axis=0) @ x; fft, rfft, hfft, "
        "their inverses, and all but hfft in two and more dimensions take traced arrays"
    ),
    "scipy.linalg.solve_banded scipy.linalg.solveh_banded": (
        "np.linalg.solve of the matrix, or the recurrence in staged_ad.scan"
    ),
    "scipy.linalg.eig scipy.linalg.eigvals": "np.linalg.eig(a), np.linalg.eigvals(a)",
    "scipy.linalg.lstsq": "np.linalg.lstsq(a, b)",
    "scipy.linalg.pinvh": "np.linalg.pinv(a, hermitian=True)",
    "scipy.linalg.solve_sylvester scipy.linalg.solve_continuous_lyapunov scipy.linalg.solve_discrete_lyapunov": (
        "np.linalg.solve of the system for the elements, with np.kron, as np.linalg.solve(np.kron(a, np.eye(n)) + "
        "np.kron(np.eye(n), b.T), q.ravel()).reshape(n, n) for a x + x b = q"
    ),
    "scipy.linalg": (
        "it by functions of np.linalg, or outside of the traced function, or in staged_ad.pure_callback with a rule by "
        "custom_jvp"
    ),
    "scipy.sparse.linalg": "staged_ad.scipy.linalg.solve of the dense matrix, or conjugate gradients in a loop",
    "scipy.sparse.diags scipy.sparse.diags_array scipy.sparse.spdiags": (
        "the dense matrix, np.diag(d) + np.diag(e, 1), or its product by slices: y = d * x, then y[:-1] += e * x[1:]"
    ),
    "scipy.sparse": (
        "S @ x with a constant S and a traced array x, or S.toarray(); where the entries are traced, a dense matrix, "
        "or its product: y = np.zeros(n), then np.add.at(y, rows, entries * x[columns])"
    ),
    "scipy.spatial.transform": (
        "Rodrigues' formula, np.cos(a) * x + np.sin(a) * np.cross(k, x) + (1 - np.cos(a)) * (k @ x) * k for a rotation "
        "of x by the angle a about the unit vector k"
    ),
    "scipy.spatial": "distances by broadcasting, as np.linalg.norm(x[:, None] - y[None], axis=-1)",
    "numpy.ma": "np.where(mask, 0, x * y) with the mask as an array: np.asarray of a masked array drops its mask",
    "numpy.lib.as_strided": "x[i] with an array of positions, or sliding_window_view",
    "numpy.testing": "a comparison outside of the traced function, of what it returns",
    "numpy.matrixlib": "np.asarray(matrix) @ x",
    "arange linspace": "start + step * np.arange(n), whose length n no traced value decides",
    "normal uniform exponential poisson laplace logistic gumbel standard_t chisquare multivariate_normal dirichlet": (
        "staged_ad.random, as in mean + scale * staged_ad.random.normal(key, shape), which draws in every call and has "
        "derivatives; numpy.random draws once, while the function is traced"
    ),
    "permutation permuted shuffle choice": (
        "x[rng.permutation(len(x))] for one order for good, or staged_ad.random.permutation(key, x)"
    ),
}
"""By full names, those of functions before those of their modules; last names alone are of functions without frames."""


def asked_by() -> tuple[str, str]:
    """The function that the user's line calls and what to write instead of it; both are empty where nobody knows."""
    user, frame = user_frame(), _outermost()
    return ("", "") if user is None else called_at(user.f_code, user.f_lasti, frame)


def called_at(code: CodeType, position: int, frame: FrameType | None) -> tuple[str, str]:
    """The same for the user's code at a position, which calls a library in `frame`, or compiled code without one."""
    last = called_name(code, position) or ""
    calls = instruction_at(code, position).startswith("CALL")
    if frame is None:
        return ("", "") if last not in _WORDS or not calls else (last, _WORDS[last])
    module = str(frame.f_globals.get("__name__"))
    if module.startswith(_DECORATORS):
        module, last = _decorated(frame)
    public = ".".join(part for part in module.split(".") if not part.startswith("_"))
    last = _own_name(frame, public, last) if calls else ""
    name = f"{public}.{last}" if last else public
    if name in OPERATIONS.creators and not _stands_in(frame):
        return name, f"{name}(...) itself, by its module"
    prefixes = [".".join(name.split(".")[:k]) for k in range(name.count(".") + 1, 0, -1)]
    return name, next((_WORDS[prefix] for prefix in prefixes if prefix in _WORDS), "")


def takes_none(name: str, instead: str) -> str:
    """What is wrong with a call of that function, instead of which the user is to write something."""
    return f"takes no traced values{' under another name' if instead.startswith(name) else ''}"


def _decorated(frame: FrameType) -> tuple[str, str]:
    """Module and name of the function of SciPy that the decorator in `frame` is around."""
    for value in frame.f_locals.values():
        module = str(getattr(value, "__module__", ""))
        if callable(value) and module.startswith("scipy."):
            return module, str(getattr(value, "__name__", ""))
    return "", ""


def _own_name(frame: FrameType, module: str, called: str) -> str:
    """The name in its module of the function that a frame is of, which the user's line calls `called`."""
    own = frame.f_code.co_name
    if called == own or hasattr(sys.modules.get(module), called):
        return called
    if own.startswith("__") and "self" in frame.f_locals:  # a class, or an object that is called
        return type(frame.f_locals["self"]).__name__
    # a decorator's function holds the one that it is around
    names = (own, *(getattr(value, "__name__", "") for value in frame.f_locals.values()))
    return next((name for name in names if name and hasattr(sys.modules.get(module), name)), called)


def _stands_in(frame: FrameType) -> bool:
    """Whether this package, not the user's line itself, has called the function of a frame."""
    outer = frame.f_back
    while outer is not None and is_internal(outer.f_code):
        if str(outer.f_globals.get("__name__")).startswith("staged_ad."):
            return True
        outer = outer.f_back
    return False


def _outermost() -> FrameType | None:
    """The frame of a library, other than this package, that the user's line has called; None without one."""
    frame: FrameType | None = sys._getframe(1)
    found = decorator = None
    while frame is not None and is_internal(frame.f_code):
        module = str(frame.f_globals.get("__name__"))
        if module.startswith(_DECORATORS):
            decorator = frame
        elif module.startswith(("numpy.", "scipy.")):
            found = frame
        frame = frame.f_back
    return found or decorator


_DECORATORS = "scipy._lib"
_WORDS = {name: advice for names, advice in INSTEAD.items() for name in names.split()}
