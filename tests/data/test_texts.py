"""Texts from tables and folders: what is read, learned, batched and kept."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from torch import Tensor

from fulmen.augment import TextPipeline
from fulmen.core.batch import PADDING, Batch
from fulmen.core.errors import ConfigError, DataError
from fulmen.core.restoring import restoring
from fulmen.data import TextData
from fulmen.data.base import SupervisedDataModule
from fulmen.testing import check_datamodule

WORDS = "the film is good bad dull great a story of love and war".split()  # noqa: SIM905


def sentences(count: int = 80, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts of 1 to 12 words, and whether they are good."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 13))) for _ in range(count)]
    return texts, ["yes" if i % 2 else "no" for i in range(count)]


def write_csv(path: Path, rows: Any, header: str | None = "text,label", separator: str = ",") -> Path:
    lines = [*([header] if header else []), *(separator.join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "texts.csv", zip(*sentences(), strict=True))


def ready(data: SupervisedDataModule, stage: str = "fit") -> Any:
    data.setup(stage)
    return data


def batches(data: Any, split: str = "train", epoch: int = 0) -> list[Batch]:
    loader = getattr(data, f"{split}_dataloader")()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def read_back(data: Any, inputs: Tensor) -> list[str]:
    """What token numbers stand for."""
    names = {number: token for token, number in data.vocabulary.items()}
    return [" ".join(names[i] for i in row if i) for row in inputs.tolist()]


# What is read


def test_batches_hold_the_texts(table: Path) -> None:
    data = ready(TextData(str(table), batch_size=7))
    texts, labels = sentences()
    assert (data.target_type, data.class_names, data.num_outputs) == ("binary", ["no", "yes"], 1)
    assert data.input_shape == [256]
    seen = []
    for split in ("train", "val", "test"):
        for batch in batches(data, split):
            assert batch.inputs.dtype == torch.int64
            rows = batch.index.tolist()
            assert read_back(data, batch.inputs) == [texts[row] for row in rows]
            assert batch.targets.tolist() == [labels[row] == "yes" for row in rows]
            assert batch.inputs.shape[1] == max(len(texts[row].split()) for row in rows)
            seen += rows
    assert len(set(seen)) == len(seen) >= 79  # a last batch of one sample may be left out


@pytest.mark.parametrize("name", ["a.tsv", "a.jsonl", "a.parquet", "a.csv.gz", "a.txt"])
def test_other_formats_hold_the_same(name: str, table: Path, tmp_path: Path) -> None:
    texts, labels = sentences()
    path = tmp_path / name
    if name == "a.parquet":
        parquet.write_table(pa.table({"text": texts, "label": labels}), path)
    elif name == "a.jsonl":
        path.write_text("\n".join(json.dumps({"text": t, "label": y}) for t, y in zip(texts, labels, strict=True)))
    elif name == "a.csv.gz":
        path.write_bytes(gzip.compress(table.read_bytes()))
    else:
        write_csv(path, zip(texts, labels, strict=True), "text\tlabel", "\t")
    one, other = ready(TextData(str(table))), ready(TextData(str(path)))
    assert other.learned == one.learned
    for split in ("train", "val", "test"):
        assert all(
            torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets)
            for a, b in zip(batches(one, split), batches(other, split), strict=True)
        )


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({"header": False, "text": "0", "target": "1"}, None),
        ({"header": ["text", "label"]}, None),
        ({"text": "words", "target": "good"}, "words,good"),
    ],
)
def test_columns_by_name_or_number(options: dict[str, Any], header: str | None, tmp_path: Path) -> None:
    texts, labels = sentences()
    data = ready(TextData(str(write_csv(tmp_path / "a.csv", zip(texts, labels, strict=True), header)), **options))
    assert data.listing.texts.to_pylist() == texts
    assert data.listing.targets(None, None, None).class_names == ["no", "yes"]


def test_several_columns_are_joined_by_a_blank(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "a.csv", [("A title", "a text", "x"), ("", "no title", "y"), ("1", "2.50", "y")] * 9, "t,b,label"
    )
    data = ready(TextData(str(path), text=["t", "b"]))
    assert data.listing.texts.to_pylist()[:3] == ["A title a text", " no title", "1 2.50"]  # as they are written


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
def test_encodings_of_tables(encoding: str, tmp_path: Path) -> None:
    rows = "text,label\n" + "Zürich ist schön,yes\ncafé crème,no\n" * 20
    (tmp_path / "a.csv").write_bytes(rows.encode(encoding))
    for given in (None, encoding):
        data = TextData(str(tmp_path / "a.csv"), encoding=given)
        assert data.listing.texts.to_pylist()[:2] == ["Zürich ist schön", "café crème"]


def test_quotes_are_signs_where_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\n" + 'he said "no\tx\n"yes" she said\ty\n' * 10)
    assert TextData(str(path), quoting=False).listing.texts.to_pylist()[:2] == ['he said "no', '"yes" she said']


def test_words_that_mean_missing_elsewhere_are_texts(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [("NA", "None"), ("null", "NA"), ("", "NA")] * 8)
    data = ready(TextData(str(path)))
    assert data.listing.texts.to_pylist()[:3] == ["NA", "null", ""]
    assert data.class_names == ["NA", "None"]


def test_an_empty_text_is_one_unknown_token(tmp_path: Path) -> None:
    data = ready(TextData(str(write_csv(tmp_path / "a.csv", [("good", "x"), ("", "y")] * 20))))
    dataset = data.datasets["train"]
    empty = [i for i, text in enumerate(dataset.texts) if not text]
    assert dataset.__getitems__(empty[:2]).inputs.tolist() == [[1], [1]]
    assert [int(dataset.token_counts[i]) for i in empty[:2]] == [0, 0]
    assert dataset.token_counts.sum() == len(dataset) - len(empty)


def test_long_texts_are_cut(table: Path) -> None:
    data = ready(TextData(str(table), max_tokens=4))
    dataset = data.datasets["train"]
    assert data.input_shape == [4]
    assert int(dataset.lengths.max()) == 4
    assert dataset.token_counts.tolist() == [len(text.split()) for text in dataset.texts]


@pytest.mark.parametrize(
    ("cells", "options", "kind", "outputs"),
    [
        (["a", "b", "c"], {}, "multiclass", 3),
        (["0.5", "1.5", "2.5"], {}, "regression", 1),
        (["1", "2", "3"], {"target_type": "regression"}, "regression", 1),
        (["a|b", "b", ""], {"label_separator": "|"}, "multilabel", 2),
    ],
)
def test_kinds_of_targets(cells: list[str], options: Any, kind: str, outputs: int, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [(f"text {cell}", cell) for cell in cells * 10])
    data = ready(TextData(str(path), **options))
    assert (data.target_type, data.num_outputs) == (kind, outputs)
    first = data.datasets["train"].__getitems__([0, 1])
    assert first.targets.shape == ((2, 2) if kind == "multilabel" else (2,))
    assert first.targets.dtype == (torch.float32 if kind == "regression" else torch.int64)


# Folders


def write_folders(root: Path, splits: tuple[str, ...] = ("",), count: int = 6) -> Path:
    for split in splits:
        for name in ("bad", "good"):
            for i in range(count):
                path = root / split / name / ("deep" if i % 2 else "") / f"{i}.TXT"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{name} film number {i}\nof {split or 'all'}", encoding="utf-8")
    return root


def test_class_folders(tmp_path: Path) -> None:
    data = ready(TextData(str(write_folders(tmp_path, count=30))))
    assert data.class_names == ["bad", "good"]
    for split, dataset in data.datasets.items():
        whole = dataset.whole(list(range(len(dataset))))
        names = data.identity(split, whole.index)
        for text, target, name in zip(whole.inputs, whole.targets.tolist(), names, strict=True):
            assert text.startswith(f"{('bad', 'good')[target]} film number {Path(str(name)).stem}\nof all")
            assert (tmp_path / str(name)).is_file()


def test_folders_of_splits(tmp_path: Path) -> None:
    data = ready(TextData(str(write_folders(tmp_path, ("train", "dev", "Test")))))
    for split, word in (("train", "train"), ("val", "dev"), ("test", "Test")):
        assert len(data.datasets[split]) == 12
        assert all(text.endswith(word) for text in data.datasets[split].texts)


def test_files_that_are_added_move_no_old_one(tmp_path: Path) -> None:
    def sides() -> dict[object, str]:
        data = ready(TextData(str(tmp_path)))
        return {name: s for s, d in data.datasets.items() for name in data.identity(s, d.rows)}

    write_folders(tmp_path, count=40)
    before = sides()
    for i in range(10):
        (tmp_path / "bad" / f"a{i}.txt").write_text("more")
    after = sides()
    assert before.items() <= after.items()
    assert len(after) == len(before) + 10


def test_encodings_of_files(tmp_path: Path, capsys: Any, caplog: Any) -> None:
    write_folders(tmp_path)
    (tmp_path / "good" / "0.TXT").write_bytes("naïve café à Zürich".encode("latin-1"))
    (tmp_path / "good" / "2.TXT").write_bytes("naïve café".encode("utf-16"))
    (tmp_path / "good" / "4.TXT").write_bytes("naïve".encode("utf-8-sig"))
    with caplog.at_level("INFO"):
        data = TextData(str(tmp_path))
    texts = data.listing.texts.to_pylist()
    assert {"naïve café à Zürich", "naïve café", "naïve"} <= set(texts)
    assert "1 files are not UTF-8" in caplog.text + capsys.readouterr().err
    assert "naïve café à Zürich" in TextData(str(tmp_path), encoding="latin-1").listing.texts.to_pylist()


# What is learned


def test_validation_and_test_teach_nothing(tmp_path: Path) -> None:
    """The same training samples, with poison in the others: the same vocabulary, the same batches."""
    texts, labels = sentences()
    clean = ready(TextData(str(write_csv(tmp_path / "a.csv", zip(texts, labels, strict=True)))))
    training = set(clean.datasets["train"].rows.tolist())
    poison = [text if row in training else f"poison{row} poison poison" for row, text in enumerate(texts)]
    poisoned = ready(TextData(str(write_csv(tmp_path / "b.csv", zip(poison, labels, strict=True)))))
    assert poisoned.learned == clean.learned
    assert poisoned.vocabulary_size == clean.vocabulary_size
    for one, other in zip(batches(clean), batches(poisoned), strict=True):
        assert torch.equal(one.inputs, other.inputs)
    assert int(poisoned.datasets["val"].__getitems__([0]).inputs.max()) == 1  # all of it is unknown


@pytest.mark.parametrize("kind", ["word", "bpe", "wordpiece"])
def test_files_of_their_own_teach_nothing(kind: str, tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", zip(*sentences(), strict=True))
    other = write_csv(tmp_path / "val.csv", [("poison poison", "yes"), ("toxin", "no")] * 9)
    alone = TextData(str(train), tokenizer=kind, vocabulary=300, val_fraction=0.0, test_fraction=0.0)
    files = {"val": str(other), "test": str(other), "predict": str(other)}
    data = ready(TextData(str(train), tokenizer=kind, vocabulary=300, **files))
    assert data.learned == alone.learned
    assert {s: len(d) for s, d in data.datasets.items()} == {"train": 80, "val": 18, "test": 18, "predict": 18}


def test_a_label_that_is_in_no_training_sample(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", zip(*sentences(), strict=True))
    other = write_csv(tmp_path / "val.csv", [("good", "yes"), ("bad", "perhaps")])
    with pytest.raises(DataError, match="the training split has no sample of class 'perhaps'"):
        TextData(str(train), val=str(other)).setup("fit")


def test_a_validation_file_that_lacks_a_class_shifts_no_label(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", [(f"text {i}", "abc"[i % 3]) for i in range(30)])
    other = write_csv(tmp_path / "val.csv", [("text", "c"), ("text", "b")])
    data = ready(TextData(str(train), val=str(other)))
    assert data.datasets["val"].__getitems__([0, 1]).targets.tolist() == [2, 1]


def test_folds_learn_for_themselves(table: Path) -> None:
    data = ready(TextData(str(table), min_count=4, test_fraction=0.0))
    learned = dict(data.learned)
    views = [data.view(fold, 4) for fold in range(4)]
    for view in views:
        assert view.vocabulary_size == len(view.vocabulary)
        view.setup("fit")
        texts = view.datasets["train"].texts
        common = {word for word in WORDS if sum(text.split().count(word) for text in texts) >= 4}
        assert set(view.vocabulary) == {"<pad>", "<unk>", *common}
    orders = {tuple(view.vocabulary) for view in views}
    assert len(orders) > 1
    assert data.learned == learned
    assert sorted(row for view in views for row in view.datasets["val"].rows.tolist()) == list(range(80))


def test_a_saved_tokenizer(table: Path, tmp_path: Path) -> None:
    trained = TextData(str(table), tokenizer="bpe", vocabulary=300)
    (tmp_path / "t.json").write_text(trained.learned["tokenizer"])
    data = ready(TextData(str(table), tokenizer=str(tmp_path / "t.json"), vocabulary=5))
    trained.setup("fit")
    assert data.vocabulary_size == trained.vocabulary_size > 258
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(batches(data), batches(trained), strict=True))


# What a checkpoint holds


def checkpoint(data: Any) -> dict[str, Any]:
    """What torch's safe loading gives back."""
    with tempfile.TemporaryFile() as file:
        torch.save({"TextData": data.state_dict()}, file)
        file.seek(0)
        found: dict[str, Any] = torch.load(file, weights_only=True)
    return found


def test_evaluation_needs_no_training_file(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", [(f"{WORDS[i % 13]} {WORDS[i % 7]}", "abc"[i % 3]) for i in range(60)])
    test = write_csv(tmp_path / "test.csv", [("good dull", "c"), ("novel words", "a")])
    new = write_csv(tmp_path / "new.csv", [("3", "good dull"), ("4", "novel"), ("5", "")], "id,text")
    files = {"test": str(test), "predict": str(new)}
    first = ready(TextData(str(train), **files))
    expected = first.datasets["test"].__getitems__([0, 1])
    saved = checkpoint(first)
    train.unlink()
    with restoring(saved):
        data = TextData(str(train), **files)
    assert (data.class_names, data.num_outputs, data.vocabulary_size) == (["a", "b", "c"], 3, first.vocabulary_size)
    data.setup("test")
    found = data.datasets["test"].__getitems__([0, 1])
    assert torch.equal(found.inputs, expected.inputs)
    assert found.targets.tolist() == [2, 0]
    data.setup("predict")
    batch = next(iter(data.predict_dataloader()))
    assert batch.targets is None
    assert sorted(data.identity("predict", batch.index)) == [0, 1, 2]
    with pytest.raises(DataError, match=r"there is no file .*train.csv"):
        data.setup("fit")


def test_a_label_that_was_not_learned(tmp_path: Path, table: Path) -> None:
    saved = checkpoint(ready(TextData(str(table))))
    test = write_csv(tmp_path / "test.csv", [("good", "yes"), ("bad", "noo")])
    with restoring(saved), pytest.raises(DataError, match=r"test.csv:3: unknown class 'noo'; did you mean 'no'\?"):
        TextData(str(table), test=str(test)).setup("test")


def test_a_restored_split_is_the_same(table: Path) -> None:
    first = ready(TextData(str(table)))
    with restoring(checkpoint(first)):
        data = ready(TextData(str(table)), "test")
    assert torch.equal(data.datasets["test"].rows, first.datasets["test"].rows)


def test_a_state_is_taken_over(table: Path, tmp_path: Path) -> None:
    """From Python, with a trainer that loads a checkpoint of other data."""
    other = write_csv(tmp_path / "b.csv", [("poison yes", "yes"), ("poison no", "no"), ("film", "perhaps")] * 9)
    trained, data = ready(TextData(str(other))), ready(TextData(str(table)))
    data.load_state_dict(trained.state_dict())
    assert data.class_names == ["no", "perhaps", "yes"]
    assert (data.target_type, data.num_outputs) == ("multiclass", 3)
    assert data.vocabulary == trained.vocabulary
    assert set(data.datasets["val"].__getitems__(list(range(5))).targets.tolist()) <= {0, 2}


def test_predictions_from_the_command_line(cli: Any, table: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.tsv"
    new.write_text('text\nthe film is good\n""\na war\n')
    model = ["--model", "TextMLPModule", "--model.embedding_features", 8]
    data = ["--data", "TextData", "--data.train", table]
    assert cli("fit", *model, *data, "--trainer.max_epochs", 1).code == 0
    table.unlink()
    result = cli("predict", *model, *data, "--data.predict", new, "--output", "out.csv")
    assert result.code == 0, result.err
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == '"sample","prediction","probability_no","probability_yes"'
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1", "2"]


def test_files_without_labels_and_header(table: Path, tmp_path: Path) -> None:
    """The names of the columns hold for the file to predict too, with labels or without."""
    rows = list(zip(*sentences(), strict=True))
    train = write_csv(tmp_path / "train.csv", rows, None)
    with_labels, without = write_csv(tmp_path / "a.csv", rows[:3], None), tmp_path / "b.csv"
    without.write_text("".join(f"{text}\n" for text, _ in rows[:3]))
    for path in (with_labels, without):
        data = ready(TextData(str(train), header=["text", "label"], predict=str(path)))
        assert data.datasets["predict"].texts == [text for text, _ in rows[:3]]
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "1.txt").write_text("good")
    data = ready(TextData(str(train), header=["text", "label"], predict=str(folder)))
    assert data.identity("predict", torch.tensor([0])) == ["1.txt"]


# Batches


def test_little_is_padded(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.geometric(0.05, 2000)
    path = write_csv(tmp_path / "a.csv", [("x " * int(n), "ab"[i % 2]) for i, n in enumerate(lengths)])
    data = ready(TextData(str(path), batch_size=32))
    found = batches(data)
    share = 1 - sum(int((b.inputs != 0).sum()) for b in found) / sum(b.inputs.numel() for b in found)
    assert share < 0.1
    rows = [row for batch in found for row in batch.index.tolist()]
    assert len(set(rows)) == len(rows)
    at_random = data.datasets["train"].lengths.split(32)
    assert 1 - sum(int(part.sum()) for part in at_random) / sum(int(part.max()) * len(part) for part in at_random) > 0.5


def test_rows_that_only_fill_a_batch(table: Path) -> None:
    dataset = ready(TextData(str(table))).datasets["val"]
    batch = dataset.__getitems__([0, PADDING])
    assert batch.index.tolist() == [int(dataset.rows[0]), PADDING]
    assert batch.inputs.shape[0] == len(batch.targets) == 2


class Stamp:
    """Puts a random word in front."""

    def set_random_state(self, numpy: np.random.Generator, python: Any) -> None:
        self.numpy = numpy

    def augment(self, text: str) -> str:
        return f"{WORDS[self.numpy.integers(len(WORDS))]} {text}"


def test_training_texts_are_augmented(table: Path) -> None:
    data = ready(TextData(str(table), augment=[Stamp()], batch_size=8))
    texts = sentences()[0]
    for epoch in (0, 1):
        for batch in batches(data, epoch=epoch):
            rows = batch.index
            assert read_back(data, batch.inputs) == TextPipeline([Stamp()])([texts[r] for r in rows], rows, epoch)
    for batch in batches(data, "val"):
        assert read_back(data, batch.inputs) == [texts[row] for row in batch.index.tolist()]


def test_names_of_augmentations_are_checked_when_a_config_is_read(cli: Any, table: Path) -> None:
    model = ["--model", "TextMLPModule", "--data", "TextData", "--data.train", table]
    result = cli("fit", *model, "--data.augment", "[swapp]")
    assert result.code == 2
    assert "data.init_args.augment[0]: unknown text augmentation 'swapp'; did you mean 'swap'?" in result.error


def test_augmentations_are_shown(cli: Any, table: Path) -> None:
    result = cli("augment", "--data", "TextData", "--data.train", table, "--data.augment", "[{name: swap, p: 1.0}]")
    assert result.code == 0, result.err
    blocks = result.out.strip("\n").split("\n\n")
    assert len(blocks) == 4
    assert all(block.splitlines()[0].strip() in sentences()[0] for block in blocks)
    assert "{+" in result.out


@pytest.mark.slow
@pytest.mark.parametrize("augment", [None, [Stamp()]])
def test_workers_play_no_part(augment: Any, table: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    found = []
    for workers in (0, 1, 2):
        data = ready(TextData(str(table), augment=augment, batch_size=8, num_workers=workers))
        loader: Any = data.train_dataloader()
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            found.append([(b.index.tolist(), b.inputs.tolist(), b.targets.tolist()) for b in loader])
    assert found[0:2] == found[2:4] == found[4:6]
    assert found[0] != found[1]
    assert "tokenizers" not in capfd.readouterr().err  # no warning of forked processes


@pytest.mark.parametrize("by", ["group", "time", "column"])
def test_splits_by_a_column(by: str, tmp_path: Path) -> None:
    texts, labels = sentences()
    values = {"group": [f"p{i // 8}" for i in range(80)], "time": [f"2024-01-{1 + i // 4:02}" for i in range(80)]}
    values["column"] = (["train"] * 6 + ["val", "test"]) * 10
    path = write_csv(tmp_path / "a.csv", zip(texts, labels, values[by], strict=True), "text,label,more")
    data = ready(TextData(str(path), split_by={by: "more"}))
    sides = {split: [values[by][row] for row in dataset.rows.tolist()] for split, dataset in data.datasets.items()}
    if by == "group":
        assert not any(set(sides[a]) & set(sides[b]) for a, b in (("train", "val"), ("val", "test"), ("train", "test")))
    elif by == "time":
        assert max(sides["train"]) < min(sides["val"]) <= max(sides["val"]) < min(sides["test"])
    else:
        assert all(set(found) == {split} for split, found in sides.items())


def test_a_split_that_was_written_is_read(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", zip(*sentences(), strict=True))
    other = write_csv(tmp_path / "test.csv", zip(*sentences(20, seed=1), strict=True))
    first = ready(TextData(str(train), test=str(other), split_seed=3))
    first.write_split(tmp_path / "split.csv")
    again = ready(TextData(str(train), test=str(other), split_by={"file": str(tmp_path / "split.csv")}))
    for split, dataset in first.datasets.items():
        assert torch.equal(again.datasets[split].rows, dataset.rows)
    folder = write_folders(tmp_path / "folder", count=20)
    first = ready(TextData(str(folder), split_seed=3))
    first.write_split(tmp_path / "split.csv")
    again = ready(TextData(str(folder), split_by={"file": str(tmp_path / "split.csv")}))
    for split, dataset in first.datasets.items():
        assert torch.equal(again.datasets[split].rows, dataset.rows)


def test_it_can_be_pickled(table: Path) -> None:
    data = ready(TextData(str(table)))
    twin = pickle.loads(pickle.dumps(data))
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(batches(twin), batches(data), strict=True))


# The kit


@cache
def _file() -> str:
    folder = tempfile.mkdtemp()
    return str(write_csv(Path(folder) / "texts.csv", zip(*sentences(60), strict=True)))


class Sentences(TextData):
    """Sentences that are made up.

    Args:
        batch_size: As the parent's.
        **kwargs: Arguments of TextData.
    """

    def __init__(self, batch_size: int = 8, **kwargs: Any) -> None:
        super().__init__(_file(), batch_size=batch_size, **kwargs)


test_the_kit = check_datamodule(Sentences)


# Mistakes


def bad_file(folder: Path, name: str, content: bytes) -> str:
    path = folder / name
    path.write_bytes(content)
    return str(path)


GOOD = b"text,label\n" + b"good film,yes\nbad film,no\n" * 20
MISTAKES: list[Any] = [
    ({"a.csv": GOOD}, {"text": "texts"}, DataError, ["a.csv", "unknown column 'texts'", "did you mean 'text'?"]),
    ({"a.csv": GOOD}, {"target": "labels"}, DataError, ["unknown column 'labels'", "did you mean 'label'?"]),
    ({"a.csv": GOOD}, {"separator": ";"}, DataError, ["one column", 'set `separator: ","`']),
    ({"a.csv": b"good film,yes\nbad film,no\n"}, {}, DataError, ["unknown column 'text'"]),
    ({"a.csv": b""}, {}, DataError, ["a.csv", "empty"]),
    ({"a.csv": b"text,label\n"}, {}, DataError, ["a.csv", "no row"]),
    ({"a.csv": b"text,label,text\na,x,b\n"}, {}, DataError, ["2 columns are called 'text'"]),
    ({"a.csv": GOOD + b"what film,\n"}, {}, DataError, ["1 samples have no label", "a.csv:42"]),
    ({"a.csv": b"text,label\na,x\nb,x\n"}, {}, DataError, ["at least 2 classes", "'x' alone"]),
    ({"a.csv": b"text,label\n,x\n,y\n" * 1 + b",x\n,y\n" * 20}, {}, DataError, ["hold no word"]),
    ({"a.csv": GOOD + b"dull film,often\n"}, {"target_type": "binary"}, DataError, ["binary task has 2 classes"]),
    ({"a.csv": GOOD}, {"target_type": "regression"}, DataError, ["a.csv:2: the target 'yes' is no finite number"]),
    ({"a.csv": b"text,label\n" + b"".join(b"film,t%d\n" % i for i in range(50))}, {}, DataError, ["too many"]),
    ({"a.csv": GOOD}, {"max_tokens": 0}, ConfigError, ["max_tokens: 0 is out of range"]),
    ({"a.csv": GOOD}, {"vocabulary": 1}, ConfigError, ["vocabulary: 1 is out of range"]),
    ({"a.csv": GOOD}, {"text": []}, ConfigError, ["text: [] names no column"]),
    ({"a.csv": GOOD}, {"tokenizer": "words"}, ConfigError, ["unknown tokenizer 'words'; did you mean 'word'?"]),
    ({"a.csv": GOOD}, {"tokenizer": "absent.json"}, DataError, ["there is no file 'absent.json'"]),
    ({"a.csv": GOOD}, {"val": "absent.csv"}, DataError, ["there is no file 'absent.csv'"]),
    ({"a.csv": GOOD}, {"balance": "often"}, ConfigError, ["balance"]),
    ({"a.csv": GOOD}, {"encoding": "utf-99"}, DataError, ["encoding: 'utf-99' is not known"]),
    ({"a.jsonl": b'{"text": "a", "label": "x"}\n{"text": \n'}, {}, DataError, ["a.jsonl", "line 2 is no JSON object"]),
    ({"a.parquet": b"PAR1 nothing"}, {}, DataError, ["a.parquet cannot be read as Parquet"]),
]


@pytest.mark.parametrize(("files", "options", "error", "words"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_in_tables(
    files: dict[str, bytes], options: Any, error: Any, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ((name, content),) = files.items()
    with pytest.raises(error) as raised:
        TextData(bad_file(tmp_path, name, content), **options).setup("fit")
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ([], ["needs a folder of .txt files for each class; found none"]),
        (["train.csv"], ["it holds the table 'train.csv': give that file"]),
        (["bad/1.txt", "good/1.jpg"], ["the class folder", "good' holds no .txt file"]),
        (["val/bad/1.txt", "val/good/1.txt"], ["has val but no folder 'train'"]),
        (["bad/1.txt"], ["at least 2 classes", "'bad' alone"]),
        (["train/bad/1.txt", "train/good/1.txt", "test/goood/1.txt"], ["no sample of class", "'goood'"]),
    ],
)
def test_mistakes_in_folders(paths: list[str], words: list[str], tmp_path: Path) -> None:
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("a text")
    with pytest.raises(DataError) as raised:
        TextData(str(tmp_path)).setup("fit")
    for word in words:
        assert word in str(raised.value)


def test_mixed_encodings_in_a_folder(tmp_path: Path) -> None:
    write_folders(tmp_path)
    (tmp_path / "good" / "0.TXT").write_bytes(b"na\xefve caf\xe9\nna\xc3\xafve caf\xc3\xa9")
    with pytest.raises(DataError, match="mixes encodings"):
        TextData(str(tmp_path))
    with pytest.raises(DataError, match="cannot be read as ascii"):
        TextData(str(tmp_path), encoding="ascii")


def test_nothing_to_predict(tmp_path: Path, table: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty' holds no .txt file"):
        TextData(str(table), predict=str(tmp_path / "empty")).setup("fit")


def test_no_environment_is_needed() -> None:
    assert os.environ.get("TOKENIZERS_PARALLELISM") is None
