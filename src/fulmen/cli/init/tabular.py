"""Tables of numbers and categories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from fulmen.cli.init.columns import Column
from fulmen.cli.init.companions import Tables
from fulmen.cli.init.entries import Entry
from fulmen.cli.init.found import OF_TABLES, Found, name_of, section
from fulmen.cli.init.sample import Sample
from fulmen.cli.init.splits import divided
from fulmen.cli.init.table_entries import file_entries, reading_entries, target_entries
from fulmen.cli.init.target import Target
from fulmen.cli.init.training import balance, length, metrics
from fulmen.cli.init.writing import quoted
from fulmen.core.errors import DataError
from fulmen.data.columns import infer_columns

_SHOWN = 8
_MOST = 12
"""More columns than these make no list that somebody reads."""
_NAMES_ROWS = "another value in nearly each row"


def table_of_columns(
    sample: Sample, columns: Sequence[Column], target: Target, tables: Tables, division: Entry | None
) -> Found:
    """A config for a table.

    Args:
        sample: What was read of it.
        columns: Its columns.
        target: What is to be predicted.
        tables: The files.
        division: The key `split_by`.

    Raises:
        DataError: If no column is left to learn from.
    """
    kinds, ignored = _kinds(sample, columns, target, division)
    if not kinds:
        why = _reasons(ignored) or "it is alone"
        raise DataError(f"{tables.train}: no column is left to predict {target.column!r} from ({why})")
    together: dict[str, list[str]] = defaultdict(list)
    for name, kind in kinds.items():
        together[kind].append(name)
    says = [
        f"a table: {sample.size}, {len(kinds)} columns beside the target",
        f"  target  {target.column} ({target.reason}): {target.says}",
        *(f"  {_counted(len(names), kind)}: {some(names)}" for kind, names in together.items()),
        *([f"  not used: {_reasons(ignored)}"] if ignored else []),
        *target.warnings,
        *([f"  {tables.note}"] if tables.note else []),
        *_texts_aside(columns, target),
    ]
    identifier = next((c.name for c in columns if c.names_rows and c.name in ignored), None) if tables.predict else None
    arguments = [
        *file_entries(tables, sample.size),
        *reading_entries(sample),
        *target_entries(target, several=True),
        *_missing_targets(target),
        *([Entry("id_column", identifier, "names the rows in predictions; no input")] if identifier else []),
        *_ignored_entries({name: reason for name, reason in ignored.items() if name != identifier}),
        Entry("batch_size", _batch_size(sample.rows)),
        *divided(division, sample.rows, tables.splits, "rows"),
        balance(target),
    ]
    data = section("data", "TabularData", arguments)
    training = _training(sample.rows, target)
    return Found(name_of(tables.train), says, _model(sample.rows, target), data, training, "a table", OF_TABLES)


def _missing_targets(target: Target) -> list[Entry]:
    """Leaves out rows without a target."""
    if not target.missing or target.type == "multilabel":
        return []
    return [Entry("drop_missing_target", True, f"{target.missing:,} rows have none")]


def _ignored_entries(ignored: Mapping[str, str]) -> list[Entry]:
    """Columns that are left out; of very many only those that would not be by themselves."""
    if len(ignored) > _MOST:
        ignored = {name: reason for name, reason in ignored.items() if reason == _NAMES_ROWS}
    return [Entry("ignore", list(ignored), _reasons(ignored))] if ignored else []


def _counted(count: int, kind: str) -> str:
    words = {"number": "numbers", "category": "categories", "boolean": "yes or no", "date": "dates"}
    return f"{count} {kind if count == 1 or kind not in words else words[kind]}"


def some(names: Sequence[str]) -> str:
    """The first few names."""
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _kinds(
    sample: Sample, columns: Sequence[Column], target: Target, division: Entry | None
) -> tuple[dict[str, str], dict[str, str]]:
    """What each column is that can be learned from; and why the others are left out."""
    aside = [target.column, *(division.value.values() if division is not None and division.active else ())]
    names_rows = {c.name: c.is_identifier for c in columns if c.name not in aside}
    kinds: dict[str, str] = {}
    ignored: dict[str, str] = {}
    for column in infer_columns(sample.table.select(list(names_rows))):
        if column.kind == "ignore":
            ignored[column.name] = column.why
        elif names_rows[column.name]:
            ignored[column.name] = _NAMES_ROWS
        else:
            kinds[column.name] = column.kind
    return kinds, ignored


def _reasons(why: Mapping[str, str]) -> str:
    """Columns with the same reason together."""
    together: dict[str, list[str]] = defaultdict(list)
    for name, reason in why.items():
        together[reason].append(name)
    return "; ".join(f"{some(names)}: {reason}" for reason, names in together.items())


def _texts_aside(columns: Sequence[Column], target: Target) -> list[str]:
    """Says that a table has texts as well, which another model would read."""
    texts = [column.name for column in columns if column.is_long_text and column.name != target.column]
    return [f"  {texts[0]} holds texts; `--text {quoted(texts[0])}` trains on them instead"] if texts else []


def _batch_size(rows: int) -> int:
    return next((size for least, size in ((100_000, 1024), (20_000, 256), (2000, 64)) if rows >= least), 32)


def _model(rows: int, target: Target) -> Entry:
    arguments: list[Entry | None] = [
        Entry(
            "hidden_features",
            [64, 32] if rows < 2000 else [128, 64] if rows < 100_000 else [256, 128],
            "width of each hidden layer",
        ),
        Entry("activation", "relu", "or gelu, silu, tanh, ..."),
        Entry("dropout", 0.2 if rows < 20_000 else 0.1, "against learning by heart"),
        Entry("loss", "huber", "less impressed by single large errors than mse")
        if target.type == "regression"
        else None,
        Entry("optimizer", {"name": "adamw", "lr": 3e-3 if rows < 20_000 else 1e-3, "weight_decay": 0.01}),
        Entry("schedule", "cosine", "the rate falls to nothing at the end"),
        metrics(target),
    ]
    return section("model", "MLPModule", arguments)


def _training(rows: int, target: Target) -> Sequence[Entry]:
    epochs = next((n for least, n in ((200_000, 10), (20_000, 20), (2000, 40)) if rows >= least), 80)
    return length(target, epochs, max(epochs // 4, 4))
