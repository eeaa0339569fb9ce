"""How many threads parallel regions may use. Public through ``staged_ad``.

Invariant: the child of a fork uses one thread, whatever is asked for.
Start at ``set_num_threads``; thread_pool.py has the native code that reads the words here.
"""

from __future__ import annotations

import ctypes
import operator
import os
import sys
from typing import Final

from staged_ad.tracing.libraries import numba

# Words shared with native code, a cache line apart: the limit on threads, and the pool's lock.
LIMIT: Final = 0
BUSY: Final = 8
state: Final = (ctypes.c_int64 * 16)()
_forked = False


def set_num_threads(count: int) -> None:
    """Let parallel regions use at most `count` threads; results do not depend on it, bit for bit.

    Parameters
    ----------
    count
        An integer from 1 to the size of Numba's pool: the environment variable ``NUMBA_NUM_THREADS``, or the number of
        cores. The child of a fork uses one thread, whatever `count` is.

    Raises
    ------
    TypeError
        `count` is no integer.
    ValueError
        `count` is not between 1 and the size of the pool.

    Examples
    --------
    >>> import staged_ad as sad
    >>> before = sad.get_num_threads()
    >>> sad.set_num_threads(1)
    >>> sad.get_num_threads()
    1
    >>> sad.set_num_threads(before)
    """
    count, largest = operator.index(count), pool_size()
    if not 1 <= count <= largest:
        more = f", or start Python with NUMBA_NUM_THREADS={count}" if count > largest else ""
        raise ValueError(f"cannot use {count} threads: choose 1 to {largest}{more}")
    state[LIMIT] = 1 if _forked else count


def get_num_threads() -> int:
    """The number of threads that parallel regions may use; at the start the size of Numba's pool.

    Examples
    --------
    >>> import staged_ad as sad
    >>> sad.get_num_threads() >= 1
    True
    """
    return int(state[LIMIT])


def pool_size() -> int:
    """What Numba takes for the number of threads."""
    if "numba" in sys.modules:
        return int(numba.config.NUMBA_NUM_THREADS)
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(os.environ.get("NUMBA_NUM_THREADS", count))


def _after_fork_in_child() -> None:
    # The pool's threads do not exist in the child, and GNU OpenMP kills a child that uses them.
    global _forked
    _forked = True
    state[LIMIT] = 1
    state[BUSY] = 0


state[LIMIT] = pool_size()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
