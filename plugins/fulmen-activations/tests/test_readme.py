"""What the README and the docstrings promise is what is there."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml

from fulmen.core.registry import registry
from fulmen.core.spec import build

README = Path(__file__).parents[1] / "README.md"
CLASSES = {e.name: e for e in distribution("fulmen-activations").entry_points if e.group == "fulmen.activations"}


def rows() -> list[list[str]]:
    """The cells of the table's rows."""
    lines = [line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def options(name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(CLASSES[name].load()).parameters)


def test_the_table_lists_exactly_the_entry_points() -> None:
    assert [row[0].strip("`") for row in rows()] == list(dict.fromkeys(row[0].strip("`") for row in rows()))
    assert {row[0].strip("`") for row in rows()} == set(CLASSES)
    assert {len(row) for row in rows()} == {5}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_is_true(row: list[str]) -> None:
    name, _, paper, count, line = row
    spec = yaml.safe_load(line.strip("`"))
    assert spec.pop("name") == name.strip("`")
    declared = {k: p.default for k, p in options(name.strip("`")).items() if k != "learnable"}
    assert spec.keys() == declared.keys()
    for option, default in declared.items():
        assert spec[option] == (default if isinstance(default, str) else pytest.approx(default, abs=1e-4)), option
    assert re.search(r"\]\(https://(arxiv\.org/abs/\d{4}\.\d{4,5}|doi\.org/10\.\S+)\)", paper)
    counts = [sum(p.numel() for p in build("activations", name.strip("`")).parameters())]
    if name == "`aptx`":
        counts.append(sum(p.numel() for p in build("activations", {"name": "aptx", "learnable": True}).parameters()))
    assert count == ", or ".join(map(str, counts))


def test_classes_name_the_paper_of_the_table_and_describe_each_option(name: str) -> None:
    documentation = inspect.getdoc(CLASSES[name].load()) or ""
    (paper,) = (row[2] for row in rows() if row[0] == f"`{name}`")
    for link in re.findall(r"\((https://[^)]+)\)", paper):
        assert link in documentation
    for option in options(name):
        assert re.search(rf"^    {option}: \S", documentation, re.MULTILINE), option


def test_the_picture_is_there_and_small() -> None:
    (path,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README.read_text(encoding="utf-8"))
    assert 0 < (README.parent / path).stat().st_size < 150_000


def test_no_name_of_another_distribution_is_taken(name: str) -> None:
    found = [c.distribution for c in registry().components("activations") if c.name == name]
    assert found == ["fulmen-activations"]


def test_classes_of_this_package_only() -> None:
    assert all(re.fullmatch(r"fulmen_activations\.\w+:\w+", e.value) for e in CLASSES.values())
