"""How samples are divided: what the data give, groups, times, columns, files; and that added ones move no old one."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from fulmen.core.errors import ConfigError, DataError
from fulmen.data.split_columns import as_times
from fulmen.data.split_files import read_split, write_split
from fulmen.data.splits import SPLITS
from fulmen.data.splitting import Samples, Splitting

LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=90)


def column(**columns: Any) -> Callable[[str], Any]:
    return lambda name: np.asarray(columns[name])


def sides(splitting: Splitting, samples: Samples) -> list[str]:
    """The split of each sample; every sample is in one at most."""
    result = [""] * samples.size
    for split, rows in splitting(samples).items():
        assert (np.diff(rows) > 0).all()
        for row in rows:
            assert result[row] == ""
            result[row] = split
    return result


# Stability


@settings(deadline=None, max_examples=60)
@given(LABELS, LABELS, st.sampled_from([None, "class", "random"]), st.integers(0, 5))
def test_appended_rows_move_no_old_row(old: list[int], new: list[int], by: Any, seed: int) -> None:
    splitting = Splitting(0.2, 0.15, seed, by)
    before = sides(splitting, Samples(len(old), np.array(old)))
    after = sides(splitting, Samples(len(old + new), np.array(old + new)))
    assert after[: len(old)] == before
    assert "" not in after


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=5), min_size=1, max_size=60, unique=True), st.data())
def test_inserted_and_removed_keys_move_no_other(keys: list[str], data: st.DataObject) -> None:
    kept = data.draw(st.permutations(keys))[: 1 + len(keys) // 2]
    splitting = Splitting(0.3, 0.2)
    before, after = (dict(zip(k, sides(splitting, Samples(len(k), keys=k)), strict=True)) for k in (keys, kept))
    assert after == {key: before[key] for key in kept}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2)), min_size=30, max_size=80),
    st.integers(20, 80),
    st.booleans(),
)
def test_groups_stay_whole_and_where_they_are(rows: list[tuple[int, int]], size: int, keyed: bool) -> None:
    """Rows that are appended, and with keys wherever they are inserted, of old groups and of new ones."""
    groups, labels = (np.array(values) for values in zip(*rows, strict=True))
    splitting = Splitting(0.35, 0.3, by={"group": "who"})

    def found(chosen: Any) -> dict[int, str]:
        keys = [str(i) for i in chosen] if keyed else None
        samples = Samples(len(chosen), labels[chosen], keys, column=column(who=groups[chosen]))
        return dict(zip(chosen.tolist(), sides(splitting, samples), strict=True))

    everything = np.arange(len(rows))
    part = everything[-size - 1 :: 2] if keyed else everything[: size + 1]
    try:
        before, after = found(part), found(everything)
    except DataError as error:  # a few groups need not fill all splits
        if "gets none" not in str(error):
            raise
        reject()
    assert {row: after[row] for row in before} == before
    assert all(len({after[row] for row in np.flatnonzero(groups == g)}) == 1 for g in groups)


def test_a_new_newest_sample_moves_old_ones_unless_a_file_holds_them(tmp_path: Path) -> None:
    """By time it cannot be otherwise: what was new is no longer the newest."""
    times = np.arange(100)
    splitting, path = Splitting(0.1, 0.1, by={"time": "t"}), tmp_path / "split.csv"
    first = splitting(Samples(100, column=column(t=times)))
    assert {split: rows.tolist() for split, rows in first.items()} == {
        "train": [*range(80)],
        "val": [*range(80, 90)],
        "test": [*range(90, 100)],
    }
    later = Samples(120, column=column(t=np.arange(120)))
    assert splitting(later)["test"].tolist() == [*range(108, 120)]
    write_split(path, first.items())  # type: ignore[arg-type]
    held = Splitting(0.1, 0.1, by={"file": str(path)})(later)
    assert set(first["test"]) <= set(held["test"])
    assert set(first["val"]) <= set(held["val"])
    assert set(first["train"]) <= set(held["train"])


# What the data give


def test_given_splits_are_kept_and_nothing_else_tests() -> None:
    given = np.repeat(["train", "val", "test"], [60, 20, 20])
    assert sides(Splitting(), Samples(100, given=given)) == given.tolist()


@pytest.mark.parametrize("free", ["train", ""])
def test_validation_is_taken_from_training_where_it_is_not_given(free: str) -> None:
    given = np.repeat([free, "test"], [80, 20])
    found = sides(Splitting(0.25, 0.5), Samples(100, np.zeros(100, int), given=given))
    assert found[80:] == ["test"] * 20
    assert found[:80].count("val") == 20
    assert "test" not in found[:80]


def test_without_a_test_split_none_is_made_where_the_data_have_folders() -> None:
    found = sides(Splitting(0.25, 0.25), Samples(100, np.zeros(100, int), given=np.repeat(["train"], 100)))
    assert (found.count("train"), found.count("val")) == (75, 25)


def test_time_counts_among_what_is_free() -> None:
    """A newer test file takes nothing from the shares of the others."""
    given = np.repeat(["train", "test"], [80, 20])
    found = sides(Splitting(0.25, 0.1, by={"time": "t"}), Samples(100, given=given, column=column(t=np.arange(100))))
    assert found == ["train"] * 60 + ["val"] * 20 + ["test"] * 20


# Groups


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 6), st.integers(1, 9), st.integers(0, 100))
def test_whole_blocks_of_groups_get_exact_shares(blocks: int, size: int, seed: int) -> None:
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(20 * blocks), size))
    found = sides(
        Splitting(0.2, 0.1, seed, {"group": "who"}), Samples(len(groups), column=column(who=groups.astype(str)))
    )
    assert (found.count("val"), found.count("test")) == (4 * blocks * size, 2 * blocks * size)


def test_shares_of_groups_of_all_sizes_are_close() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(400), rng.integers(1, 30, 400))
    labels = rng.integers(0, 2, 400)[groups]
    for keys in (None, [str(i) for i in range(len(groups))]):
        found = sides(Splitting(by={"group": "g"}), Samples(len(groups), labels, keys, column=column(g=groups)))
        for split in ("val", "test"):
            assert found.count(split) / len(groups) == pytest.approx(0.15, abs=0.05)


@pytest.mark.parametrize(
    ("groups", "options", "message"),
    [
        ([1] * 20, {}, "there are 1 group in column 'who', and (val|test|train) gets none"),
        ([1, 2] * 10, {}, "there are 2 groups in column 'who', and (val|test|train) gets none"),
        (["a", None] * 10, {}, "10 samples have no group in column 'who', the first is row 1"),
        (["a", " "] * 10, {}, "10 samples have no group in column 'who', the first is row 1"),
        ([1.5, float("nan")] * 10, {}, "10 samples have no group in column 'who'"),
        (["a", 3] * 10, {}, "values of several kinds"),
    ],
)
def test_groups_that_cannot_be_divided(groups: list[Any], options: dict[str, Any], message: str) -> None:
    values = np.array(groups, dtype=object if isinstance(groups[0], str) else None)
    with pytest.raises(DataError, match=message):
        Splitting(by={"group": "who"}, **options)(Samples(20, column=column(who=values)))


# Times


@pytest.mark.parametrize(
    "times",
    [
        np.arange(40) * 7,
        np.arange(40) / 3,
        np.array([str(9 * i) for i in range(40)]),
        np.array([f"2026-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in range(40)]),
        np.array([f"2026-01-31 {i // 2:02d}:{30 * (i % 2):02d}:00" for i in range(40)]),
        np.array([f"2026-01-31T{i // 2:02d}:{30 * (i % 2):02d}:00Z" for i in range(40)]),
        np.array(["2026-01-01"] * 40, "datetime64[D]") + np.arange(40),
        np.array([date(2020 + i, 1, 1) for i in range(40)], dtype=object),
    ],
    ids=["int", "float", "text of numbers", "dates", "times", "zones", "datetime64", "objects"],
)
def test_the_newest_test(times: Any) -> None:
    order = np.random.default_rng(0).permutation(40)
    rows = Splitting(0.25, 0.1, by={"time": "t"})(Samples(40, column=column(t=times[order])))
    assert sorted(order[rows["test"]]) == [*range(36, 40)]
    assert sorted(order[rows["val"]]) == [*range(26, 36)]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 30), min_size=10, max_size=60))
def test_equal_times_stay_together_and_no_older_sample_tests(times: list[int]) -> None:
    try:
        found = sides(Splitting(0.3, 0.3, by={"time": "t"}), Samples(len(times), column=column(t=times)))
    except DataError as error:
        if "gets none" not in str(error):
            raise
        reject()
    by_time = {t: {side for side, u in zip(found, times, strict=True) if u == t} for t in times}
    assert all(len(found_sides) == 1 for found_sides in by_time.values())
    newest = {s: max(t for t, side in by_time.items() if s in side) for s in SPLITS}
    oldest = {s: min(t for t, side in by_time.items() if s in side) for s in SPLITS}
    assert newest["train"] < oldest["val"] <= newest["val"] < oldest["test"]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["31.1.2026", "1.2.2026"], "texts that are no times .* dates such as 2026-01-31"),
        (["2026-01-31", ""], "1 samples have no time in column 't', the first is row 1"),
        (np.array(["2026-01-31", "NaT"], "datetime64[D]"), "no time in column 't', the first is row 1"),
        ([1.0, np.nan], "no time in column 't', the first is row 1"),
        ([3, 3], "there are 1 time in column 't', and test gets none; choose another test_fraction"),
    ],
)
def test_times_that_cannot_be_sorted(times: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Splitting(by={"time": "t"})(Samples(2, column=column(t=times)))


def test_texts_are_no_times_because_they_can_be_sorted() -> None:
    assert as_times(np.array(["9", "10"]), "t").tolist() == [9, 10]


# A column


def test_a_column_says_it_in_many_words() -> None:
    words = ["train", "Training", " val ", "VALID", "validation", "dev", "test", "testing"]
    found = sides(Splitting(by={"column": "part"}), Samples(8, column=column(part=np.array(words))))
    assert found == ["train"] * 2 + ["val"] * 4 + ["test"] * 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "tset"], "column 'part', row 1: unknown split 'tset'; did you mean 'test'"),
        (["train", ""], "1 samples have no split in column 'part', the first is row 1"),
    ],
)
def test_a_column_that_says_something_else(words: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Splitting(by={"column": "part"})(Samples(2, column=column(part=np.array(words))))


def test_data_without_columns() -> None:
    for way in ("group", "time", "column"):
        with pytest.raises(ConfigError, match=r"these data have no columns, and so no 'who'; write class or random"):
            Splitting(by={way: "who"})(Samples(3))


# A file


def written(path: Path, samples: Samples, splitting: Splitting) -> dict[str, Any]:
    rows = splitting(samples)
    names = samples.keys or [str(i) for i in range(samples.size)]
    write_split(path, [(split, [names[i] for i in found]) for split, found in rows.items()])
    return rows


@pytest.mark.parametrize("keyed", [True, False])
def test_a_file_holds_its_samples_and_the_others_go_where_they_would(tmp_path: Path, keyed: bool) -> None:
    def samples(size: int) -> Samples:
        return Samples(size, np.arange(size) % 3, [f"a/{i}, 1.png" for i in range(size)] if keyed else None)

    first = written(tmp_path / "split.csv", samples(60), Splitting(0.2, 0.2, seed=1))
    held = Splitting(0.3, 0.1, seed=2, by={"file": str(tmp_path / "split.csv")})
    again = held(samples(60))
    assert all(np.array_equal(again[split], first[split]) for split in SPLITS)
    more, without = sides(held, samples(100)), sides(Splitting(0.3, 0.1, seed=2), samples(100))
    assert more[60:] == without[60:]
    assert more[:60] == sides(held, samples(60))


def test_samples_that_a_file_lacks_are_split_as_folders_say(tmp_path: Path) -> None:
    write_split(tmp_path / "split.csv", [("val", ["0"])])
    given = np.repeat(["train", "test"], [80, 20])
    splitting = Splitting(0.25, by={"file": str(tmp_path / "split.csv")})
    found = sides(splitting, Samples(100, np.zeros(100, int), given=given))
    expected = sides(Splitting(0.25), Samples(100, np.zeros(100, int), given=given))
    assert found == ["val", *expected[1:]]
    assert expected.count("val") == 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample,split\n0,train\n0,test\n", "the file has '0' in two splits; remove one"),
        ("sample,split\n0,trian\n", "unknown split 'trian'; did you mean 'train'"),
        ("sample,split\n0,\n", "unknown split ''"),
        ("name,side\n0,train\n", r"is no split \(columns sample,split\)"),
        ("", "is no split"),
        ("sample,split\nx.png,train\n", "names none of the 20 samples: it names 'x.png', these data have '0'"),
        ("sample,split\n", "it names 'nothing'"),
        ("sample,split\n3,train\n20,test\n", "names row 20, and these data have 20 rows; rows are named by number"),
        ("sample,split\n19,train\n", "has '19' in train, the data themselves in test; it was made from other data"),
        ("sample,split\n1,test\n", "has '1' in test, the data themselves in train"),
    ],
)
def test_files_that_are_no_split_of_these_data(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        Splitting(by={"file": str(path)})(Samples(20, given=np.repeat(["train", "test"], [15, 5])))


def test_no_file() -> None:
    with pytest.raises(DataError, match=r"there is no file 'nowhere\.csv' \(from "):
        Splitting(by={"file": "nowhere.csv"})(Samples(3))


def test_a_file_is_written_in_parts(tmp_path: Path) -> None:
    names = ['a "b", c.png', "ö/1.png", "3"]
    write_split(tmp_path / "split.csv", [("train", names[:2]), ("train", names[2:]), ("test", [7])])
    table = read_split(tmp_path / "split.csv")
    assert table["sample"].to_pylist() == [*names, "7"]
    assert table["split"].to_pylist() == ["train"] * 3 + ["test"]


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "time"}, "split_by: 'time' is not allowed; write class, random, or a mapping"),
        ({"by": {"grup": "who"}}, "split_by: {'grup': 'who'} is not allowed; write one of {group: ...}, {time: ...}, "),
        ({"by": {"group": "a", "time": "b"}}, "is not allowed; write one of"),
        ({"by": {"group": ""}}, "is not allowed; write one of"),
        ({"by": {}}, "is not allowed; write one of"),
        ({"folds": 1}, "folds: 1 is out of range; allowed: at least 2"),
        ({"folds": 5, "fold": 5}, "fold: 5 is out of range; allowed: 0 to 4"),
        ({"folds": 5, "fold": -1}, "fold: -1 is out of range; allowed: 0 to 4"),
        ({"fold": 2}, "fold: 2 needs folds"),
        ({"seed": -1}, "split_seed: -1 is out of range"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Splitting(**options)
    assert message in str(raised.value)


def test_by_class_where_there_are_none() -> None:
    with pytest.raises(ConfigError, match=r"split_by: the targets are no classes; write `split_by: random`"):
        Splitting(by="class")(Samples(3))
