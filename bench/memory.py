"""Peak memory of a gradient, in processes of its own: ``python -m bench.memory staged_ad 50 full`` prints bytes.

Invariant: what counts is how much higher the resident set peaks, in the second call of a compiled function, than in
another process that does the same on a batch of two and four steps. So compiling and the arguments do not count, but
memory a library keeps from one call for the next does: its level before the call would hide it. Linux only. Start
reading at `growth`.
"""

import ctypes
import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.libraries import peers, this_project
from bench.library import Function, Library
from bench.problems import recurrent

STEPS, BATCH, HIDDEN, FEATURES = 1000, 64, 256, 8
CHECKPOINTS = STEPS // 20  # 5% of the states


def data(steps: int = STEPS, batch: int = BATCH) -> tuple[Any, ...]:
    return recurrent.data(steps, HIDDEN, FEATURES, (batch,))


def gradient(library: Library, checkpoint: int | None) -> Function:
    return library.jit(recurrent.gradient(library, checkpoint))


def growth(library: Library, checkpoint: int | None) -> int:
    """Bytes that the gradient of the recurrent network takes at its peak, its arguments apart."""
    full = peak_in_new_process(library, checkpoint, "full")
    return full - peak_in_new_process(library, checkpoint and 2, "small")


def peak_in_new_process(library: Library, checkpoint: int | None, size: str) -> int:
    """What `main` prints.

    Raises
    ------
    RuntimeError
        With the last line the process wrote, if it failed.
    """
    command = [sys.executable, "-m", "bench.memory", library.name, str(checkpoint or ""), size]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise RuntimeError(process.stderr.strip().splitlines()[-1])
    return int(process.stdout)


def peak(call: Callable[[], Any]) -> int:
    """Bytes resident at the peak of the second call."""
    call()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what compiling freed goes back to the system
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident now
    call()
    status = Path("/proc/self/status").read_text()
    return next(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def main(name: str, checkpoint: str, size: str) -> None:
    library = next(side for side in (this_project(), *peers(["jax"])) if side.name == name)
    f = gradient(library, int(checkpoint) if checkpoint else None)
    full, small = library.arguments(data()), library.arguments(data(steps=4, batch=2))
    arguments = full if size == "full" else small  # both are held in both processes
    print(peak(lambda: library.wait(f(*arguments))))


if __name__ == "__main__":
    main(*sys.argv[1:])
