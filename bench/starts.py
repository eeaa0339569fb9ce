"""What starts cost: the import, a new process up to its first gradient, and a first call whose code is on disk."""

import subprocess
import sys
from functools import partial
from statistics import median
from time import perf_counter

from bench.modes import Libraries, Report
from bench.table import Outcome, plain, shown

REPEATS = 7
FIRST_GRADIENT = """
import numpy
import {module} as ad
import {numpy} as np

def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

numpy.asarray(ad.jit(ad.grad(rosenbrock))(numpy.linspace(-1.0, 1.0, 100)))
"""
FROM_DISK = """
from time import perf_counter

import staged_ad as sad
from bench.libraries import this_project
from bench.problems import perceptron

library, arguments = this_project(), perceptron.data()
sad.configure_cache(enabled=True)
gradient = sad.jit(perceptron.value_and_gradient(library))
sad.jit(lambda x: x + 1.0)(1.0)  # imports what every first call does
started = perf_counter()
gradient(*arguments)
print(perf_counter() - started)
"""
CALLED = "first call, MLP from disk"
MODULES = {"staged_ad": ("staged_ad", "numpy"), "JAX": ("jax", "jax.numpy")}


def start_time(libraries: Libraries, report: Report) -> Outcome:
    """Medians over new processes, the sides alternating, after a round that fills caches on disk.

    Of the last one only the call counts, from its start to its result.
    """
    programs = {"python": "", "import numpy": "import numpy"}
    for library in libraries:
        module, array_module = MODULES[library.name]
        programs[f"import {module}"] = f"import {module}"
        programs[f"first gradient, {library.name}"] = FIRST_GRADIENT.format(module=module, numpy=array_module)
    programs[CALLED] = FROM_DISK
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(REPEATS + 1):
        report(turn, REPEATS + 1, f"round {turn}")
        for name, program in programs.items():
            started = perf_counter()
            done = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True)
            taken = float(done.stdout) if name == CALLED else perf_counter() - started
            seconds[name] += [taken] * (turn > 0)
    medians = {name: median(values) for name, values in seconds.items()}
    numpys = medians["import numpy"]
    above = {name: time - numpys for name, time in medians.items() if time > numpys and name != CALLED}
    rows = [[name, shown(time), shown(above[name]) if name in above else ""] for name, time in medians.items()]
    columns = ["a process that runs", "time", "above numpy's"]
    figures = [{"name": name, "seconds": time} for name, time in medians.items()]
    return Outcome(partial(plain, "Starts", columns, rows), {"starts": figures}, [])
