"""Tables of numbers and categories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from fulmen.cli.init.columns import Column
from fulmen.cli.init.companions import Tables
from fulmen.cli.init.entries import Entry
from fulmen.cli.init.found import Found, name_of, section
from fulmen.cli.init.options import Options
from fulmen.cli.init.sample import Sample
from fulmen.cli.init.splits import divided
from fulmen.cli.init.table_entries import file_entries, reading_entries, target_entries
from fulmen.cli.init.target import Target
from fulmen.cli.init.training import balance, length, metrics
from fulmen.cli.init.writing import quoted
from fulmen.core.errors import DataError
from fulmen.data.columns import infer_columns

_SHOWN = 8


def table_of_columns(
    sample: Sample,
    columns: Sequence[Column],
    target: Target,
    tables: Tables,
    options: Options,
    division: Entry | None,
) -> Found:
    """A config for a table.

    Args:
        sample: What was read of it.
        columns: Its columns.
        target: What is to be predicted.
        tables: The files.
        options: What was said.
        division: The key `split_by`.

    Raises:
        DataError: If no column is left to learn from.
    """
    kinds, ignored = _kinds(sample, columns, target, division)
    identifier = _identifier(columns, ignored) if tables.predict else None
    drop = target.missing and target.separator is None
    if not kinds:
        why = "; ".join(f"{some(names)}: {reason}" for reason, names in ignored.items())
        raise DataError(f"{tables.train}: no column is left to predict {target.column!r} from ({why})")
    says = [
        f"a table: {sample.size}, {sum(map(len, kinds.values()))} columns beside the target",
        f"  target  {target.column} ({target.reason}): {target.says}",
        *(f"  {len(names)} {kind}: {some(names)}" for kind, names in kinds.items()),
        *(f"  not used: {some(names)}: {reason}" for reason, names in ignored.items()),
        *([f"  {tables.note}"] if tables.note else []),
        *_texts_aside(columns, target),
    ]
    left_out = [name for names in ignored.values() for name in names if name != identifier]
    reasons = "; ".join(
        f"{some([n for n in names if n in left_out])}: {why}"
        for why, names in ignored.items()
        if set(names) & set(left_out)
    )
    arguments: list[Entry | None] = [
        *file_entries(tables, sample.size),
        *reading_entries(sample),
        *target_entries(target, options, several=True),
        Entry("drop_missing_target", True, f"{target.missing:,} rows have none") if drop else None,
        Entry("id_column", identifier, "names the rows in predictions; no input") if identifier else None,
        Entry("ignore", left_out, reasons) if left_out else None,
        Entry("batch_size", _batch_size(sample.rows)),
        *divided(division, sample.rows, tables, "rows"),
        balance(target),
    ]
    return Found(
        name_of(tables.train),
        says,
        _model(sample.rows, target),
        section("data", "TabularData", arguments),
        _training(sample.rows, target),
    )


def some(names: Sequence[str]) -> str:
    """The first few names."""
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _kinds(
    sample: Sample, columns: Sequence[Column], target: Target, division: Entry | None
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Columns to learn from by what they are, and the others by the reason."""
    aside = [target.column, *(division.value.values() if division is not None and division.active else ())]
    names = {c.name: c.is_identifier for c in columns if c.name not in aside}
    kinds: dict[str, list[str]] = defaultdict(list)
    ignored: dict[str, list[str]] = defaultdict(list)
    for column in infer_columns(sample.table.select(list(names))):
        if column.kind == "ignore":
            ignored[column.why].append(column.name)
        elif names[column.name]:
            ignored["another value in nearly each row"].append(column.name)
        else:
            kinds[column.kind].append(column.name)
    return kinds, ignored


def _identifier(columns: Sequence[Column], ignored: Mapping[str, list[str]]) -> str | None:
    """A column that names the rows of a table to predict."""
    unused = {name for names in ignored.values() for name in names}
    return next((column.name for column in columns if column.names_rows and column.name in unused), None)


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
