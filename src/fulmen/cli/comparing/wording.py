"""A comparison in words and tables: what the terminal and the page both show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.cli.aligned import aligned

if TYPE_CHECKING:
    from fulmen.workflows.compared import Comparison, Pair, Row

_LONGEST = 40
_KEYS = 12


def heading(comparison: Comparison) -> str:
    """What is compared, by what, on what."""
    less = "" if comparison.higher else ", less is better"
    sizes = sorted({row.samples for row in comparison.rows})
    samples = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    return (
        f"{len(comparison.rows)} runs by {comparison.metric}{less}, on {samples} {comparison.split} samples, "
        f"with {comparison.level:.0%} bootstrap intervals"
    )


def warnings(comparison: Comparison, test_set: bool) -> list[str]:
    """What a reader must know of how the numbers came about."""
    said = []
    if test_set:
        said.append(
            "These runs were compared on their test sets. What is chosen by a test set has been fitted to it: its "
            "score there is no longer an honest estimate, which needs fresh data. Each run.json keeps that this was "
            "done."
        )
    if len(comparison.groups) > 1:
        letters = ", ".join(letter(group) for group in comparison.groups)
        said.append(
            f"The runs were scored on {len(comparison.groups)} different sets of samples ({letters}). Runs of "
            "different sets are not tested against each other: a part of their difference is that of the samples. "
            "Train them with the same split, data.split_by: {file: RUN/split.csv}, to compare them."
        )
    return said


def letter(group: int) -> str:
    """Name of a set of samples.

    >>> letter(0), letter(27)
    ('A', 'B2')
    """
    turn, place = divmod(group, 26)
    return chr(ord("A") + place) + (str(turn + 1) if turn else "")


def leaderboard(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Head and rows: the metric, its interval, cost."""
    several = len(comparison.groups) > 1
    head = ["run", *(["samples"] if several else []), comparison.metric, f"{comparison.level:.0%} interval"]
    head += ["parameters", "trained", "seconds", "epochs", "memory", "checkpoint"]
    rows = []
    for row in comparison.rows:
        cost, place = row.cost, [f"{letter(row.group)} ({row.samples:,})"] if several else []
        sizes = [_count(cost.parameters), _count(cost.trainable), _seconds(cost.seconds), _count(cost.epochs)]
        rows.append([row.name, *place, *_scored(row), *sizes, _bytes(cost.memory), _bytes(cost.checkpoint_bytes)])
    return head, rows


def tests(comparison: Comparison, pairs: Sequence[Pair]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: the best run against each other one."""
    head = ["best", "against", "ahead by", f"{comparison.level:.0%} interval", "p"]
    counted = comparison.task != "regression"
    head += ["best alone right", "other alone right", "McNemar p"] if counted else []
    rows = []
    for pair in pairs:
        found = pair.difference.interval
        row = [pair.best, pair.other, f"{found.value:.4f}", f"{found.low:.4f} .. {found.high:.4f}", _p(pair.p_value)]
        if pair.mcnemar is not None and pair.mcnemar_p is not None:
            row += [f"{pair.mcnemar.first_only:,}", f"{pair.mcnemar.second_only:,}", _p(pair.mcnemar_p)]
        rows.append(row)
    return head, rows


def config_table(comparison: Comparison, names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: keys that differ; the runs as columns, or as rows where there are more of them than keys."""
    differences = comparison.differences
    if len(names) > len(differences):
        rows = [[name, *(_value(differences[key][i]) for key in differences)] for i, name in enumerate(names)]
        return ["run", *differences], rows
    return ["key", *names], [[key, *map(_value, values)] for key, values in differences.items()]


def replicates(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Head and rows: runs that differ in their seed alone."""
    head = ["runs", "count", f"mean {comparison.metric}", "standard deviation"]
    rows = [
        [", ".join(found.runs), str(len(found.runs)), f"{found.mean:.4f}", f"{found.deviation:.4f}"]
        for found in comparison.replicates
    ]
    return head, rows


def choices(comparison: Comparison) -> list[str]:
    """Which run to take, and why; of each set of samples."""
    if not comparison.choices:
        return ["No two runs were scored on the same samples, so none is chosen."]
    if len(comparison.groups) == 1:
        return [choice.reason for choice in comparison.choices.values()]
    return [f"On {letter(group)}: {choice.reason}" for group, choice in comparison.choices.items()]


def terminal(comparison: Comparison, left_out: Mapping[Path, str], test_set: bool) -> str:
    """The whole comparison, for a terminal."""
    parts = [heading(comparison), "", *aligned(*leaderboard(comparison))]
    if comparison.pairs:
        corrected = ", corrected for their number (Holm)" if len(comparison.pairs) > 1 else ""
        parts += ["", f"paired tests{corrected}", *aligned(*tests(comparison, comparison.pairs))]
    if comparison.replicates:
        parts += ["", "runs that differ in their seed alone", *aligned(*replicates(comparison))]
    if comparison.differences:
        head, rows = config_table(comparison, [row.name for row in comparison.rows])
        parts += ["", "what differs in their configs", *aligned(head[: _KEYS + 1], [r[: _KEYS + 1] for r in rows])]
    else:
        parts += ["", "their configs do not differ"]
    if left_out:
        parts += ["", "left out", *(f"  {folder}: {why}" for folder, why in left_out.items())]
    parts += ["", *(f"note: {text}" for text in warnings(comparison, test_set))]
    return "\n".join([*parts, *(f"choice: {text}" for text in choices(comparison))])


def _scored(row: Row) -> list[str]:
    return [f"{row.score.value:.4f}", f"{row.score.low:.4f} .. {row.score.high:.4f}"]


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.3g}" if seconds < 100 else f"{seconds:,.0f}"


def _bytes(size: float | None) -> str:
    """A size.

    >>> _bytes(642381), _bytes(959102976), _bytes(None)
    ('627 KiB', '915 MiB', '-')
    """
    if size is None:
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} GiB"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _value(value: Any) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
