"""Texts, in a table or in class folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from fulmen.cli.init.columns import Column
from fulmen.cli.init.companions import Tables
from fulmen.cli.init.entries import Entry
from fulmen.cli.init.folders import Folder
from fulmen.cli.init.found import OF_TABLES, Found, name_of, section
from fulmen.cli.init.images import class_folders, named_splits, split_folders
from fulmen.cli.init.options import Options
from fulmen.cli.init.sample import Sample
from fulmen.cli.init.splits import divided
from fulmen.cli.init.table_entries import check_complete, column_value, file_entries, reading_entries, target_entries
from fulmen.cli.init.target import Target
from fulmen.cli.init.training import balance, length, metrics

if TYPE_CHECKING:
    import pyarrow as pa

FILES = frozenset({".txt"})
_LOOKED_AT = 5000
_BESIDE_LONG = 4
"""So many columns beside long texts may be their target and notes on them; more make a table."""
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")


@dataclass(frozen=True)
class Words:
    """How long some texts are.

    Attributes:
        median: Median of the numbers of words and signs.
        long: A length that 99 of 100 texts do not exceed.
        spaced: Whether the language writes spaces between words.
    """

    median: int
    long: int
    spaced: bool


def count_words(texts: Sequence[str]) -> Words:
    """Counts the words of some texts.

    >>> count_words(["It's a fine film.", "A bore"])
    Words(median=5, long=5, spaced=True)
    """
    lengths = sorted(len(_WORD.findall(text)) for text in texts) or [0]
    signs = [c for text in texts[:200] for c in text[:500] if not c.isspace()]
    spaced = sum(c > "\u2e7f" for c in signs) <= len(signs) / 2
    if not spaced:  # a token is about two signs
        lengths = sorted(len(text) // 2 for text in texts)
    return Words(lengths[len(lengths) // 2], lengths[min(len(lengths) * 99 // 100, len(lengths) - 1)], spaced)


def text_columns(columns: Sequence[Column], options: Options) -> list[Column]:
    """The columns of texts, if the table is one of texts: there is little beside them that could be learned from."""
    if options.text:
        return [column for column in columns if column.name in options.text]
    texts = [c for c in columns if c.is_text and c.name != options.target]
    long = [c for c in texts if c.is_long_text]
    rest = [c for c in columns if c not in texts and not c.is_identifier and c.distinct > 1]
    return (long or texts) if len(rest) <= (_BESIDE_LONG if long else 1) else []


def texts_of_table(
    sample: Sample,
    texts: Sequence[Column],
    target: Target,
    tables: Tables,
    ignored: Sequence[str],
    division: Entry | None,
) -> Found:
    """A config for a table of texts."""
    check_complete(target, tables)
    names = [column.name for column in texts]
    some: pa.Table = sample.table.select(names).slice(0, _LOOKED_AT)
    joined = [" ".join(str(cell or "") for cell in row.values()) for row in some.to_pylist()]
    words = count_words(joined)
    says = [
        f"texts with labels: {sample.size}",
        f"  text    {', '.join(names)}: about {words.median} words, 99 % have at most {words.long}",
        f"  target  {target.column} ({target.reason}): {target.says}",
        *([f"  not used: {', '.join(ignored)}"] if ignored else []),
        *target.warnings,
        *([f"  {tables.note}"] if tables.note else []),
    ]
    text = (
        Entry("text", names, "columns of the texts, joined by a blank")
        if len(names) > 1
        else Entry("text", column_value(names[0]), "column of the texts")
    )
    files = [*file_entries(tables, sample.size), *reading_entries(sample), text, *target_entries(target)]
    return _found(name_of(tables.train), says, files, words, target, sample.rows, tables.splits, division)


def find_text_classes(folder: Folder, options: Options) -> Found | None:
    """Texts in class folders, one a file, with or without folders for the splits."""
    splits = split_folders(folder)
    train = splits.get("train", folder)
    counts = class_folders(train, FILES)
    if not counts or ("train" not in splits and splits):
        return None
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    target = Target("", "binary" if len(counts) == 2 else "multiclass", ordered)
    each = max(2000 // len(counts), 1)
    paths = [path for name in counts for path in islice(train.folders[name].files(FILES), each)]
    words = count_words([path.read_bytes().decode("utf-8", errors="replace") for path in paths])
    tables = Tables(folder.path, options.val, options.test, options.predict)
    has = tables.splits | (set(splits) & {"val", "test"})
    says = [
        f"texts (.txt) in class folders: {target.says}{named_splits(splits)}",
        f"  about {words.median} words a text, 99 % have at most {words.long}",
        *target.warnings,
    ]
    files = file_entries(tables, "a folder of .txt files for each class")
    return _found(name_of(folder.path), says, files, words, target, sum(counts.values()), has)


def _found(
    name: str,
    says: Sequence[str],
    files: Sequence[Entry | None],
    words: Words,
    target: Target,
    rows: int,
    has: AbstractSet[str],
    division: Entry | None = None,
) -> Found:
    arguments = [
        *files,
        Entry(
            "tokenizer",
            "word" if words.spaced else "bpe",
            "learned from the training texts; or bpe, wordpiece"
            if words.spaced
            else "pieces of words: the texts have no spaces",
        ),
        Entry("max_tokens", _max_tokens(words), f"longer texts are cut; 99 % have at most {words.long} words"),
        Entry("batch_size", 32 if rows < 20_000 else 64 if rows < 200_000 else 256),
        *divided(division, rows, has, "texts"),
        balance(target),
    ]
    kind, takes = ("texts in class folders", frozenset({"val", "test", "predict"}))
    if target.column:
        kind, takes = "a table of texts", OF_TABLES | {"text"}
    data = section("data", "TextData", arguments)
    return Found(name, says, _model(rows, target), data, _training(rows, target), kind, takes)


def _max_tokens(words: Words) -> int:
    return min(max(-(-words.long // 16) * 16, 16), 512)


def _model(rows: int, target: Target) -> Entry:
    arguments: list[Entry | None] = [
        Entry("embedding_features", 100 if rows < 20_000 else 200, "numbers a word"),
        Entry("filters", 100, "of each width"),
        Entry("widths", [3, 4, 5], "so many words side by side are looked at"),
        Entry("dropout", 0.5, "against learning by heart"),
        Entry("optimizer", {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01}),
        metrics(target),
        Entry("vectors", "glove.6B.100d.txt", "pretrained word vectors, if you have a file", active=False),
    ]
    return section("model", "TextCNNModule", arguments, "or TextMLPModule, which is faster")


def _training(rows: int, target: Target) -> Sequence[Entry]:
    epochs = 20 if rows < 20_000 else 10 if rows < 200_000 else 4
    return length(target, epochs, 5 if rows < 20_000 else 3)
