"""The GPU that is measured on: what it is, and how fast it copies."""

from collections.abc import Callable
from math import ceil
from statistics import median
from time import perf_counter
from typing import Any

import numpy

COPIED = 1_000_000_000
SECONDS = 0.05  # of a sample; there are SAMPLES
SAMPLES = 7


def found() -> dict[str, Any]:
    """Name, memory, versions, and ``copy``, the bytes per second of a copy within the device.

    Raises
    ------
    Exception
        Whatever CuPy raises where it is missing, or there is no GPU.
    """
    import cupy  # here, so that everything else works without a GPU

    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    return {
        "name": properties["name"].decode(),
        "memory": properties["totalGlobalMem"],
        "multiprocessors": properties["multiProcessorCount"],
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        "copy": copy_bandwidth(cupy, cupy.cuda.Device().synchronize, COPIED),
    }


def copy_bandwidth(arrays: Any, synchronize: Callable[[], object], size: int) -> float:
    """Bytes read and bytes written per second, while so many bytes are copied again and again."""
    source = arrays.asarray(numpy.random.default_rng(0).random(size // 8))
    target = arrays.empty_like(source)

    def seconds(count: int) -> float:
        synchronize()
        started = perf_counter()
        for _ in range(count):
            arrays.copyto(target, source)
        synchronize()
        return (perf_counter() - started) / count

    seconds(3)
    count = ceil(SECONDS / seconds(3))
    seconds(count)  # the clock of a device that had nothing to do is low
    return 2 * source.nbytes / median(seconds(count) for _ in range(SAMPLES))


def caption(device: dict[str, Any]) -> str:
    """One line."""
    return (
        f"{device['name']}, {device['memory'] / 2**30:.0f} GiB, copies {device['copy'] / 1e12:.2f} TB/s "
        f"(read and written), driver {device['driver']}, CUDA {device['runtime']}"
    )
