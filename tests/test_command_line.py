"""The command line: what `python -m staged_ad cache` prints and deletes."""

from __future__ import annotations

from pathlib import Path

import pytest

import staged_ad as sad
from staged_ad.__main__ import main
from staged_ad.native import disk


@pytest.mark.skipif(not disk._POSSIBLE, reason="this system has no owners of files")
def test_the_cache_is_shown_and_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(disk, "_settings", disk._Settings())
    sad.configure_cache(tmp_path / "cache", limit=3_000_000, enabled=True)

    def printed(*arguments: str) -> dict[str, str]:
        assert main(["cache", *arguments]) == 0
        return dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())

    assert printed() == {"directory": str(tmp_path / "cache"), "holds": "0 files, 0.0 MB", "limit": "3.0 MB"}
    for name in ("a", "b"):
        disk.write(name, bytes(500_000))
    found = printed()
    assert found["holds"] == "2 files, 1.0 MB"
    assert "last" in found
    assert printed("--clear")["deleted"] == "2 files, 1.0 MB"
    assert printed()["holds"] == "0 files, 0.0 MB"
    sad.configure_cache(enabled=False)
    assert printed()["directory"].endswith("(off: nothing is read or written)")
