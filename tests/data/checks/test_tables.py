"""Tables with defects: each is found, which column or row it is, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv
from tests.data.checks.conftest import by_check

from fulmen.data import TabularData, table_files
from fulmen.data.findings import Finding

REAL = Path(__file__).parents[4] / "shared" / "data"
Columns = dict[str, Any]
N = 400


def flats() -> Columns:
    """Rents of flats, none of which is like another."""
    rng = np.random.default_rng(0)
    area = rng.uniform(20, 150, N).round(1)
    town = rng.choice(["Ulm", "Bonn", "Kiel", "Jena"], N)
    heating = rng.choice(["gas", "oil", "heat pump"], N).astype(object)
    rent = (area * 11 + (town == "Ulm") * 80 + rng.normal(0, 90, N)).round(0)
    dear = np.where(rent > 900, "dear", "cheap")
    return {"area": area, "town": town, "heating": heating, "year": rng.integers(1900, 2024, N), "dear": dear}


def check(folder: Path, columns: Columns, target: str = "dear", **arguments: Any) -> list[Finding]:
    csv.write_csv(pa.table(columns), folder / "flats.csv")
    return TabularData(str(folder / "flats.csv"), target, **arguments).check()


def row(name: str) -> int:
    """The number of a row, from 0, in the text of a place: its line is the second below that, after the header's."""
    return int(name.rpartition(":")[2]) - 2


def test_a_clean_table_gives_nothing(tmp_path: Path) -> None:
    assert check(tmp_path, flats()) == []
    assert check(tmp_path, flats(), target="area") == []


def constant(columns: Columns) -> Columns:
    return {**columns, "country": np.full(N, "Germany")}


def numbered(columns: Columns) -> Columns:
    return {**columns, "number": np.random.default_rng(1).permutation(N) + 5000}


def named(columns: Columns) -> Columns:
    return {**columns, "street": np.array([f"Street {i}" for i in range(N)])}


def sparse(columns: Columns) -> Columns:
    return {**columns, "balcony": pa.array([7.5 + i if i % 10 == 0 else None for i in range(N)])}


def copied(columns: Columns) -> Columns:
    return {**columns, "dear_flag": np.where(columns["dear"] == "dear", "x", "y")}


def told(columns: Columns) -> Columns:
    levels = np.where(columns["dear"] == "dear", "high", np.random.default_rng(1).choice(["low", "middle"], N))
    return {**columns, "level": levels}


def priced(columns: Columns) -> Columns:
    return {**columns, "price": np.where(columns["dear"] == "dear", 2000, 0) + np.random.default_rng(1).normal(0, 9, N)}


@pytest.mark.parametrize(
    ("spoil", "column", "types", "expected"),
    [
        (constant, "country", {"country": "category"}, ("constant_columns", "warning")),
        (constant, "country", {}, ("ignored_columns", "note")),
        (numbered, "number", {"number": "number"}, ("identifiers", "warning")),
        (numbered, "number", {}, ("ignored_columns", "note")),
        (named, "street", {"street": "category"}, ("identifiers", "warning")),
        (sparse, "balcony", {}, ("missing_values", "warning")),
        (copied, "dear_flag", {}, ("giveaway", "error")),
        (told, "level", {}, ("giveaway", "warning")),
        (priced, "price", {}, ("giveaway", "warning")),
    ],
)
def test_columns(
    tmp_path: Path, spoil: Callable[[Columns], Columns], column: str, types: Any, expected: tuple[str, str]
) -> None:
    found = check(tmp_path, spoil(flats()), types=types)
    assert [(finding.check, finding.severity) for finding in found] == [expected]
    assert found[0].where[0].startswith(column)
    assert found[0].count == 1
    assert column in found[0].fix


def test_a_regression_that_a_column_gives_away(tmp_path: Path) -> None:
    columns = flats()
    columns |= {"square_feet": (columns["area"] * 10.764).round(1), "area_again": columns["area"]}
    found = {finding.severity: finding for finding in check(tmp_path, columns, target="area")}
    assert found.keys() == {"error", "warning"}
    assert found["error"].where == ("area_again",)
    assert found["warning"].where == ("square_feet",)


def test_values_that_training_never_saw(tmp_path: Path) -> None:
    columns = flats()
    csv.write_csv(pa.table(columns), tmp_path / "flats.csv")
    columns["town"] = np.char.upper(columns["town"].astype(str))
    columns["area"] = columns["area"] + 0.05
    columns["heating"] = pa.nulls(N, pa.string())
    csv.write_csv(pa.table(columns), tmp_path / "test.csv")
    data = TabularData(str(tmp_path / "flats.csv"), "dear", test=str(tmp_path / "test.csv"))
    found = by_check(data.check())
    assert found.keys() == {"unseen_values", "missing_values"}
    assert found["unseen_values"].where == ("town (100.0% of the rows)",)
    assert found["missing_values"].where == ("heating",)
    assert "none in test" in found["missing_values"].what


def test_rows_that_occur_twice(tmp_path: Path) -> None:
    columns = {name: np.asarray(values).copy() for name, values in flats().items()}
    for values in columns.values():
        values[200:240] = values[:40]
    columns["dear"][220] = "cheap" if columns["dear"][20] == "dear" else "dear"
    columns["number"] = np.arange(N)  # tells them apart, and is no difference
    found = [f for f in check(tmp_path, columns) if f.check != "ignored_columns"]
    copies = [place for f in found if f.check in ("leak", "duplicates") for place in f.where]
    assert {tuple(sorted(map(row, place.split(" = ")))) for place in copies} == {
        (i, 200 + i) for i in range(40) if i != 20
    }
    assert {f.severity for f in found if f.check == "leak"} == {"warning"}
    disputed = [f for f in found if f.check == "two_labels"]
    assert [f.count for f in disputed] == [1]
    assert "flats.csv:222" in disputed[0].where[0]  # row 220, below the header


def test_the_table_is_read_once_and_let_go_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    csv.write_csv(pa.table(copied(flats())), tmp_path / "flats.csv")
    read: list[Path] = []
    original = table_files.read_table

    def read_table(path: Path, **options: Any) -> pa.Table:
        read.append(path)
        return original(path, **options)

    monkeypatch.setattr(table_files, "read_table", read_table)
    data = TabularData(str(tmp_path / "flats.csv"), "dear")
    first = data.check()
    assert [finding.check for finding in first] == ["giveaway"]
    assert len(read) == 1
    held = [value for value in vars(data).values() if isinstance(value, pa.Table | table_files.StackedTables)]
    assert held == []
    assert data.check() == first  # read again
    assert len(read) == 2


@pytest.mark.skipif(not (REAL / "adult").is_dir(), reason="the real table is not there")
def test_adult() -> None:
    folder = REAL / "adult"
    files = {"train": str(folder / "adult_train.csv"), "test": str(folder / "adult_test.csv")}
    assert {finding.severity for finding in TabularData(target="income", **files).check()} == {"note"}
    found = by_check(f for f in TabularData(target="education", **files).check() if f.severity == "error")
    assert found["giveaway"].where == ("education_num",)


@pytest.mark.skipif(not (REAL / "titanic_kaggle").is_dir(), reason="the real table is not there")
def test_titanic() -> None:
    found = by_check(TabularData(str(REAL / "titanic_kaggle/titanic/train.csv"), "Survived").check())
    assert found.keys() == {"ignored_columns"}
    assert [place.partition(" ")[0] for place in found["ignored_columns"].where] == [
        "PassengerId", "Name", "Ticket", "Cabin",
    ]  # fmt: skip
