"""The plan of the house: imports point down, and rooms on one floor do not import each other."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "fulmen"

FLOORS = [
    {"core"},
    {"nn", "augment"},
    {"networks", "evaluation"},
    {"callbacks", "tasks", "data"},
    {"modules"},
    {"testing", "workflows"},
    {"cli"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

HEAVY = {"torch", "torchvision", "lightning", "torchmetrics", "jsonargparse", "timm", "sklearn", "pyarrow", "numpy"}


def room_of(file: Path, source: Path) -> str:
    """The folder (or module) right below the package; the package's own ``__init__`` is the front door, ``""``."""
    first = file.relative_to(source).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imported(node: ast.AST, package: list[str]) -> Iterator[str]:
    """The full names that an import statement of a module in ``package`` may load."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        yield from (f"{module}.{alias.name}" for alias in node.names)


def imports(file: Path, source: Path, nodes: Iterator[ast.AST] | None = None) -> Iterator[str]:
    package = [source.name, *file.relative_to(source).parts[:-1]]
    for node in nodes or ast.walk(ast.parse(file.read_text())):
        yield from imported(node, package)


def module_level(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """The statements that run when a module is imported: not those in functions or for type checkers."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from module_level(node.orelse)
            continue
        yield node
        for field in ("body", "orelse", "finalbody", "handlers"):
            yield from module_level(getattr(node, field, []))


def edges(source: Path) -> Iterator[tuple[str, str, str]]:
    """Every import of one room by another: where, from which room, of which."""
    for file in sorted(source.rglob("*.py")):
        room = room_of(file, source)
        for name in imports(file, source):
            package, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            if package == source.name and target != room:
                yield str(file.relative_to(source)), room, target


def violations(source: Path) -> list[str]:
    found = []
    for where, room, target in edges(source):
        if room == "":  # the front door imports every room, when it is asked for one of its names
            continue
        if room not in FLOOR:
            found.append(f"{where}: the room {room!r} has no floor")
        elif target not in FLOOR:
            found.append(f"{where}: imports {target!r}, which is no room (the front door is for users)")
        elif FLOOR[target] > FLOOR[room]:
            found.append(f"{where}: {room} (floor {FLOOR[room]}) imports {target} (floor {FLOOR[target]})")
        elif FLOOR[target] == FLOOR[room]:
            found.append(f"{where}: {room} imports {target}, on the same floor {FLOOR[room]}")
    return sorted(set(found))


def heavy_imports(source: Path, files: Iterator[Path]) -> list[str]:
    return [
        f"{file.relative_to(source)}: {name}"
        for file in files
        for name in imports(file, source, module_level(ast.parse(file.read_text()).body))
        if name.partition(".")[0] in HEAVY
    ]


def test_imports_point_down_only() -> None:
    assert violations(SOURCE) == []


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(file, SOURCE) for file in SOURCE.rglob("*.py")} - {""}
    assert {"core", "nn", "networks", "data", "tasks", "modules", "cli"} <= rooms
    assert rooms <= set(FLOOR)


def test_ground_floor_and_front_door_import_nothing_heavy() -> None:
    files = [SOURCE / "__init__.py", SOURCE / "cli" / "__init__.py", SOURCE / "cli" / "main.py"]
    assert heavy_imports(SOURCE, iter([*files, *sorted((SOURCE / "core").rglob("*.py"))])) == []


def test_front_door_imports_only_the_ground_floor_at_once() -> None:
    file = SOURCE / "__init__.py"
    names = imports(file, SOURCE, module_level(ast.parse(file.read_text()).body))
    assert [n for n in names if n.startswith("fulmen.") and not n.startswith("fulmen.core.")] == []


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("core/a.py", "from fulmen.nn import L1", "core (floor 0) imports nn (floor 1)"),
        ("nn/a.py", "import fulmen.networks.mlp", "nn (floor 1) imports networks (floor 2)"),
        ("nn/a.py", "from fulmen import cli", "nn (floor 1) imports cli (floor 6)"),
        ("nn/a.py", "from ..data import x", "nn (floor 1) imports data (floor 3)"),
        ("nn/deep/a.py", "from ... import data", "nn (floor 1) imports data (floor 3)"),
        ("nn/a.py", "def f():\n    from fulmen.data import x", "nn (floor 1) imports data (floor 3)"),
        ("nn/a.py", "from fulmen.augment import x", "nn imports augment, on the same floor 1"),
        ("data/a.py", "from fulmen.callbacks import x", "data imports callbacks, on the same floor 3"),
        ("nn/a.py", "from fulmen import MLP", "imports 'MLP', which is no room"),
        ("cellar/a.py", "from fulmen.core import spec", "the room 'cellar' has no floor"),
        ("attic.py", "from fulmen.core import spec", "the room 'attic' has no floor"),
    ],
)
def test_violations_are_seen(tmp_path: Path, file: str, line: str, message: str) -> None:
    path = tmp_path / "fulmen" / file
    path.parent.mkdir(parents=True)
    path.write_text(line)
    (found,) = violations(tmp_path / "fulmen")
    assert found.startswith(f"{file}: ")
    assert message in found


@pytest.mark.parametrize(
    "line", ["from fulmen.core import spec", "from fulmen.nn.losses import Focal", "from . import mlp", "import torch"]
)
def test_what_points_down_is_allowed(tmp_path: Path, line: str) -> None:
    path = tmp_path / "fulmen" / "networks" / "a.py"
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert violations(tmp_path / "fulmen") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import torch", ["core/a.py: torch"]),
        ("from torch.nn import Module", ["core/a.py: torch.nn.Module"]),
        ("try:\n    import lightning.pytorch\nexcept ImportError:\n    pass", ["core/a.py: lightning.pytorch"]),
        ("class A:\n    import torchmetrics", ["core/a.py: torchmetrics"]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", []),
        ("def f():\n    import torch", []),
        ("import packaging", []),
    ],
)
def test_heavy_imports_are_seen(tmp_path: Path, line: str, expected: list[str]) -> None:
    path = tmp_path / "core" / "a.py"
    path.parent.mkdir()
    path.write_text(line)
    assert heavy_imports(tmp_path, iter([path])) == expected
