"""The examples in the documents run as they are printed, and print what stands below them.

Invariant: the blocks of one document are one program, from its first line to its last.
Start at ``blocks``.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[tuple[str, str | None]]:
    """Each block of Python, and the block without language that follows it with nothing between.

    Sessions (``>>>``) are left to doctest.
    """
    found = list(BLOCK.finditer(text))
    pairs: list[tuple[str, str | None]] = []
    for block, following in itertools.zip_longest(found, found[1:]):
        if block[1] == "python" and not block[2].startswith(">>>"):
            adjacent = following is not None and not following[1] and not text[block.end() : following.start()].strip()
            pairs.append((block[2], following[2] if following is not None and adjacent else None))
    return pairs


def test_output_belongs_to_the_block_just_above_it():
    text = "```python\na\n```\n\n```\nout\n```\n\n```python\nb\n```\nwords\n```\nshell\n```\n"
    assert blocks(text) == [("a\n", "out\n"), ("b\n", None)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_examples_print_what_the_document_says(path: Path, tmp_path: Path):
    namespace: dict[str, Any] = {"__name__": path.stem}
    for number, (code, expected) in enumerate(blocks(path.read_text())):
        file = tmp_path / f"{path.stem}_{number}.py"  # Numba reads the source of what it compiles
        file.write_text(code)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(file), "exec", dont_inherit=True), namespace)
        if expected is not None:
            assert printed.getvalue() == expected, code
