"""One side of the table of a device: a library in a process of its own, which is asked for one thing after another.

What a side does to its process, or to its hold on the device, costs the others nothing: when it raises, ends, or gives
no answer, the process is replaced by a new one.

Invariant: at any time at most one side is at work. Start at `Side.ask`; `Measured` is what runs in the process.
"""

import gc
from collections.abc import Callable
from math import ceil
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

from bench.agreement import disagreement, leaves
from bench.comparison import compiled, has_loops_of
from bench.library import Library, NotOfferedError, mapped
from bench.measure import compile_and_call, no_garbage_collection
from bench.problems import chains
from bench.problems.on_device import DeviceRow

SAMPLE = 0.05  # seconds
SLOW = 0.5  # a call of so many seconds is repeated less, here and in `device.take_samples`
MOST_CALLS = 5000  # in a sample
TO_START = 150.0  # seconds until a process must be ready
OK, NONE, FAILED = "ok", "none", "failed"


class SideError(Exception):
    """A side failed, and its process is gone."""


class Measured:
    """A library and the row it is at: `start`, then `sample` some times, then `finish`."""

    def __init__(self, library: Library) -> None:
        self._library = library
        small = library.arguments(chains.data(100))
        compile_and_call(library, lambda side: chains.gradient(side, steps=5), small)  # starts pools and compilers
        gc.collect()
        gc.freeze()  # what libraries hold is not looked through before each sample

    def start(self, row: DeviceRow, copies: int) -> float:
        """Seconds of the first call; then calls until it is warm.

        The arguments are there `copies` times, each call taking the next: then no cache of the device has them already.
        """
        library = self._library
        if not has_loops_of(library, row):
            raise NotOfferedError
        data = row.data()
        self._row = row
        self._arguments = [library.arguments(data) for _ in range(copies)]
        library.wait(self._arguments)
        with no_garbage_collection():
            started = perf_counter()
            self._function = compiled(library, row, row.function)
            result = library.wait(self._function(*self._arguments[0]))
            first = perf_counter() - started
        self._first = mapped(library.to_numpy, result)
        del result
        each = self._calls(1)
        self._is_slow = each > SLOW
        if not self._is_slow:
            self._calls(3 * copies)  # a library may record a program that it has met before
            each = self._calls(3 * copies)
        self._count = max(1, min(MOST_CALLS, ceil(SAMPLE / each)))
        return first

    def sample(self) -> float:
        """Seconds of a call."""
        with no_garbage_collection():
            if not self._is_slow:
                self._calls(self._count)  # another side had the device, or nobody, and its clock went down
            return self._calls(self._count)

    def _calls(self, count: int) -> float:
        """Seconds of each of so many calls; the clock stops when the result of the last can be read."""
        function, wait, waited = self._function, self._library.wait, self._row.waited
        arguments = [self._arguments[number % len(self._arguments)] for number in range(count)]
        started = perf_counter()
        for values in arguments[:-1]:
            result = function(*values)
            if waited:
                wait(result)
            del result
        wait(function(*arguments[-1]))
        return (perf_counter() - started) / count

    def finish(self) -> tuple[list[Any], str]:
        """The arrays of a last call, as NumPy's; what is different in those of the first, if anything is."""
        library = self._library
        mapped(library.spoil, library.wait(self._function(*self._arguments[0])))
        last = mapped(library.to_numpy, library.wait(self._function(*self._arguments[0])))
        text = disagreement(last, self._first, self._row.tolerance)
        del self._function, self._arguments, self._first
        gc.collect()
        library.clear_caches()
        return leaves(last), text and f"a later call has another result than the first: {text}"


def serve(connection: Connection, make: Callable[[], Library]) -> None:
    """The life of the process: it is ready, then answers; after a failure it ends."""
    try:
        measured = Measured(make())
        connection.send((OK, None))
        while True:
            command, arguments = connection.recv()
            try:
                connection.send((OK, getattr(measured, command)(*arguments)))
            except NotOfferedError:
                connection.send((NONE, None))
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001  said where it was asked
        connection.send((FAILED, described(error)))


def answer(connection: Connection, function: Callable[[], Any]) -> None:
    """A process that has one thing to say."""
    try:
        connection.send((OK, function()))
    except Exception as error:  # noqa: BLE001  said where it was asked
        connection.send((FAILED, described(error)))


def described(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:600]}"


class Process:
    """A new process, and what it says."""

    def __init__(self, target: Callable[..., None], argument: Any) -> None:
        context = get_context("spawn")  # no copy of a process that has threads
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, argument), daemon=True)
        self._process.start()
        theirs.close()

    def send(self, message: Any) -> None:
        try:
            self._connection.send(message)
        except OSError:
            self.end()
            raise SideError(f"its process ended with status {self._process.exitcode}") from None

    def hear(self, seconds: float) -> Any:
        """What it says next; None if it has nothing to offer.

        Raises
        ------
        SideError
            With what went wrong, after which it is gone.
        """
        try:
            if not self._connection.poll(seconds):
                self.end()
                raise SideError(f"no answer in {seconds:.0f} s")
            kind, value = self._connection.recv()
        except (EOFError, OSError):
            self.end()
            raise SideError(f"its process ended with status {self._process.exitcode}") from None
        if kind == FAILED:
            self.end()
            raise SideError(value)
        return value

    def end(self) -> None:
        self._process.join(0.5)  # one that has ended keeps its own status
        self._process.kill()
        self._process.join(5)
        self._connection.close()


def asked(function: Callable[[], Any], seconds: float = TO_START) -> Any:
    """What `function` returns, called in another process."""
    process = Process(answer, function)
    value = process.hear(seconds)
    process.end()
    return value


class Side:
    """A library that can be asked, whatever happens to its process."""

    def __init__(self, name: str, make: Callable[[], Library]) -> None:
        self.name = name
        self._make = make
        self._process: Process | None = Process(serve, make)  # all sides' processes start at the same time
        self._known: Process | None = None  # a process that has said that it is ready

    def ask(self, seconds: float, command: str, *arguments: Any) -> Any:
        """What the method of `Measured` returns; None if the library does not offer what it needs.

        Raises
        ------
        SideError
            With what went wrong.
        """
        process = self.ready()
        self._process = None  # unless it answers
        process.send((command, arguments))
        value = process.hear(seconds)
        self._process = process
        return value

    def ready(self) -> Process:
        """The process, which waits for what is asked.

        Raises
        ------
        SideError
            With what went wrong.
        """
        process, self._process = self._process or Process(serve, self._make), None
        if process is not self._known:
            process.hear(TO_START)
        self._process = self._known = process
        return process

    def end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None
