"""The shape of the source: imports point down one list, stand at the top of their file, and files stay short.

The list is LAYERS below; start there.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

# From lowest to highest. A line holds the files and folders directly in staged_ad/ that share a rank. A module may
# import from lines above its own, and from its own file or folder; never sideways, never upward.
LAYERS = [
    ["frames"],
    ["errors"],
    ["ir"],
    ["tracing"],
    ["primitives"],
    ["numpy"],
    ["scipy"],
    ["transforms"],
    ["control"],
    ["passes"],
    ["native"],
    ["lowering"],
    ["cuda"],
    ["api"],
    ["random"],
    ["optimize", "implicit", "sparse", "diagnostics"],
    ["__init__"],
    ["demo"],  # written as a user writes: `import staged_ad`
    ["__main__"],
]
LONGEST_FILE = 450

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "staged_ad"
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def layer_of(module: str) -> str:
    """``staged_ad.ir.text -> ir``; ``staged_ad -> __init__``."""
    return module.split(".")[1] if "." in module else "__init__"


def module_name(path: Path, package: Path) -> str:
    parts = [package.name, *path.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_that_run(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import statement except those under ``if TYPE_CHECKING:``, which bind nothing at run time."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for statement in node.orelse:
                yield from imports_that_run(statement)
        else:
            yield from imports_that_run(node)


def imported_modules(path: Path, package: Path) -> Iterator[tuple[int, str]]:
    """The modules of the package that one file imports, with the line of each import."""
    name = module_name(path, package)
    for node in imports_that_run(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        else:
            base = node.module or ""
            if node.level:
                folder = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
                folder = folder[: len(folder) - (node.level - 1)]
                base = ".".join([*folder, *filter(None, [node.module])])
            if base == package.name:  # `from staged_ad import ir` means the folder, where there is one
                targets = [f"{base}.{alias.name}" if is_module(package, alias.name) else base for alias in node.names]
            else:
                targets = [base]
        for target in targets:
            if target == package.name or target.startswith(f"{package.name}."):
                yield node.lineno, target


def is_module(package: Path, name: str) -> bool:
    return (package / name).is_dir() or (package / f"{name}.py").is_file()


def upward_imports(package: Path) -> list[str]:
    found = []
    for path in sorted(package.rglob("*.py")):
        name = module_name(path, package)
        own = path.stem if path.parent == package else layer_of(name)
        for line, target in imported_modules(path, package):
            other = layer_of(target)
            if own != other and {own, other} <= set(RANK) and RANK[other] >= RANK[own]:
                found.append(f"{path}:{line}: {own} imports {target}")
    return found


def imports_inside_functions(path: Path) -> list[str]:
    """Imports in a function whose lines carry no comment with the reason."""
    text = path.read_text()
    lines = text.splitlines()
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    imports = {node for f in functions for node in ast.walk(f) if isinstance(node, ast.Import | ast.ImportFrom)}
    return [
        f"{path}:{node.lineno}: {lines[node.lineno - 1].strip()}"
        for node in sorted(imports, key=lambda node: node.lineno)
        if not any("#" in line for line in lines[node.lineno - 1 : node.end_lineno])
    ]


def source_files() -> list[Path]:
    return sorted(path for folder in (PACKAGE, ROOT / "tests", ROOT / "bench") for path in folder.rglob("*.py"))


def test_every_file_and_folder_of_the_package_has_a_rank():
    names = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    assert names <= set(RANK), f"add to LAYERS: {sorted(names - set(RANK))}"


def test_imports_point_down_the_list_of_layers():
    assert upward_imports(PACKAGE) == []


def test_imports_inside_functions_carry_their_reason():
    assert [found for path in source_files() for found in imports_inside_functions(path)] == []


def test_no_file_is_too_long_to_read():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in source_files()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


@pytest.mark.parametrize(
    ("file", "statement", "is_upward"),
    [
        ("ir/text.py", "from staged_ad.errors import Error", False),
        ("ir/text.py", "from .types import Var", False),
        ("ir/text.py", "from ..errors import Error", False),
        ("ir/text.py", "from staged_ad import errors", False),
        ("ir/text.py", "import numpy", False),
        ("ir/text.py", "if TYPE_CHECKING:\n    import staged_ad.api", False),
        ("ir/text.py", "import staged_ad.api", True),
        ("ir/text.py", "from staged_ad import api", True),
        ("ir/text.py", "from staged_ad import grad", True),
        ("ir/text.py", "from .. import api", True),
        ("ir/__init__.py", "from ..api import grad", True),
        ("ir/__init__.py", "from .text import show", False),
        ("api.py", "from .ir import text", False),
        ("errors.py", "def f():\n    from .ir import text", True),
        ("__init__.py", "from .api import grad", False),
        ("__main__.py", "import staged_ad", False),
    ],
)
def test_an_upward_import_is_noticed(tmp_path, file, statement, is_upward):
    package = tmp_path / "staged_ad"
    for name in ("__init__.py", "api.py", "errors.py", "ir/__init__.py", "ir/text.py", "ir/types.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).touch()
    (package / file).write_text(statement)
    assert bool(upward_imports(package)) == is_upward


@pytest.mark.parametrize(("comment", "is_found"), [("", True), ("  # an optional package", False)])
def test_an_import_inside_a_function_needs_a_comment(tmp_path, comment, is_found):
    path = tmp_path / "module.py"
    path.write_text(f"import os\n\ndef f():\n    import sys{comment}\n")
    assert bool(imports_inside_functions(path)) == is_found
