"""Streams, events and graphs of a stand-in for CuPy: what is asked for is done at once, or kept while one is captured.

Start at ``asked``.
"""

from __future__ import annotations

from typing import Any


class CUDARuntimeError(RuntimeError):
    pass


class Stream:
    ptr = 0
    capturing: list[Stream] = []  # noqa: RUF012  # the stand-in has one process-wide order

    def __init__(self, *, non_blocking: bool = False) -> None:
        self.work: list[Any] = []

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *args: object) -> None:
        pass

    def begin_capture(self) -> None:
        Stream.capturing.append(self)

    def end_capture(self) -> Graph:
        Stream.capturing.remove(self)
        return Graph(self.work)

    def synchronize(self) -> None:
        if Stream.capturing:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported")


class Event:
    done = False  # of all events: the stand-in has one order

    def __init__(self, *, disable_timing: bool = False) -> None:
        pass

    def record(self) -> None:
        if Stream.capturing:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported")


class Graph:
    launched = 0

    def __init__(self, work: list[Any]) -> None:
        self.work = work

    def launch(self, stream: Any = None) -> None:
        Graph.launched += 1
        for step in self.work:
            step()


def asked(step: Any) -> None:
    """Do it, or keep it for the graph that is being captured."""
    Stream.capturing[-1].work.append(step) if Stream.capturing else step()
