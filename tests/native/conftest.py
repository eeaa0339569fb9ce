"""Fixtures of the tests of compiled code on disk: a cache of the test's own, and what is compiled in spite of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import staged_ad as sad
from staged_ad.ir import Program
from staged_ad.lowering import machine
from staged_ad.native import disk
from staged_ad.native.artifact import Artifact
from staged_ad.native.entry_code import entry_code


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own; what calls any program has been compiled before, so that it is not in there."""
    entry_code()
    monkeypatch.setattr(disk, "_settings", disk._Settings())
    sad.configure_cache(tmp_path / "cache", enabled=True)
    return tmp_path / "cache"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with each program that is compiled."""
    made: list[str] = []
    compiled = machine._compiled

    def compiled_and_noted(program: Program, precise: bool) -> Artifact:
        made.append(program.name)
        return compiled(program, precise)

    monkeypatch.setattr(machine, "_compiled", compiled_and_noted)
    return made
