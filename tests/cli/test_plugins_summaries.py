"""The one line on a component, read from source text."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

from fulmen.core import summaries
from fulmen.core.registry import OWN, Component, registry
from fulmen.core.summaries import FOREIGN, documented, source_file, summary

BUILT_IN = [c for c in registry().components() if c.distribution == OWN]


@pytest.mark.parametrize("component", BUILT_IN, ids=lambda c: f"{c.kind}.{c.name}")
def test_every_built_in_has_one_line(component: Component) -> None:
    line = summary(component)
    assert line
    assert "\n" not in line
    in_table = component.value in FOREIGN
    foreign = not component.value.startswith("fulmen.")
    assert in_table == (foreign or not documented(component.value))
    if not foreign and not in_table:
        assert line == (inspect.getdoc(component.load()) or "").splitlines()[0].replace("``", "")


def test_no_line_is_stale() -> None:
    assert set(FOREIGN) <= {c.value for c in BUILT_IN}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of a name of its own, importable and never imported."""
    folder = tmp_path / f"told_{tmp_path.name.replace('-', '_')}"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ('class A:\n    """One line."""', "One line."),
        (
            'class A(B[int], metaclass=M(1, (2))):  # why\n    r"""\n    Raw, below.\n\n    More.\n    """',
            "Raw, below.",
        ),
        ("class A:\n    '''Quoted.'''", "Quoted."),
        ('class A:\n    "Short."', "Short."),
        ('def A(\n    x: int = f(1),\n    y: tuple[int, ...] = (),\n) -> dict[str, int]:\n    """Made."""', "Made."),
        ('async def A():\n    """Awaited."""', "Awaited."),
        ('class AB:\n    """Another."""\n\n\nclass A:\n    """This one."""', "This one."),
        ('class A:\n    def f(self):\n        """Of a method."""', ""),
        ('class A:\n    x = 1\n\n\nclass B:\n    """Another."""', ""),
        ("A = make()", ""),
        ("", ""),
    ],
)
def test_docstrings_are_read_as_text(package: Path, code: str, line: str) -> None:
    (package / "__init__.py").write_text(f'"""The module\'s own."""\nraise SystemExit("imported")\n\n\n{code}\n')
    assert documented(f"{package.name}:A") == line
    assert package.name not in sys.modules


@pytest.mark.parametrize(
    "statement",
    [
        "from .deep.down import A",
        "from told.deep.down import B, A",
        "from told.deep.down import (  # several\n    B,\n    A,  # this\n)",
        "from .deep import Other as A",
    ],
)
def test_re_exports_are_followed(package: Path, statement: str) -> None:
    (package / "__init__.py").write_text(statement.replace("told", package.name))
    (package / "deep").mkdir()
    (package / "deep" / "__init__.py").write_text("from .down import A as Other\n")
    (package / "deep" / "down.py").write_text('class A:\n    """Far down."""\n')
    assert documented(f"{package.name}:A") == "Far down."
    assert documented(f"{package.name}.deep.down:A") == "Far down."


def test_a_circle_of_re_exports_ends(package: Path) -> None:
    (package / "__init__.py").write_text("from .other import A\n")
    (package / "other.py").write_text("from . import A\n")
    assert documented(f"{package.name}:A") == ""


@pytest.mark.parametrize("module", ["no_such_module", "no_such_module.deep", "fulmen.no_such_module", "sys", ""])
def test_modules_without_a_source(module: str) -> None:
    assert source_file(module) is None
    assert documented(f"{module}:A") == ""


def test_what_the_distribution_says_is_next(package: Path) -> None:
    (package / "__init__.py").write_text('"""Not of the component."""\n')
    info = package.parent / f"{package.name}-1.0.dist-info"
    info.mkdir()
    name = package.name.replace("_", "-")
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: All bumps.\n\nSummary: no\n"
    )
    component = Component("activations", "a", f"{package.name}:A", name, "1.0")
    assert summary(component) == "All bumps."
    assert summary(Component("activations", "a", f"{package.name}:A", "not-there-at-all", "1.0")) == ""


def test_nothing_heavy_is_imported_to_read() -> None:
    assert not {"torch", "ast", "inspect"} & set(vars(summaries))
