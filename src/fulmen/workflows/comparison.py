"""Several models, scored on the same samples: who leads, whether that is more than noise, and which one to take."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fulmen.core.errors import ConfigError, unknown
from fulmen.evaluation import Predictions, bootstrap, higher_is_better, scores
from fulmen.evaluation.bootstrap import interval
from fulmen.evaluation.metrics import HEADLINE
from fulmen.workflows.choice import Candidate, Rule, choose
from fulmen.workflows.compared import Comparison, Entry, Pair, Replicates, Row
from fulmen.workflows.config_differences import config_differences, without_seed
from fulmen.workflows.paired_tests import McNemar, difference, holm, mcnemar, right


def compare(
    entries: Sequence[Entry],
    metric: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    rule: Rule = "significance",
) -> Comparison:
    """Ranks models, tests the best against the others, and chooses one.

    Tests are paired, so only models that were scored on the same samples are tested against each other. That the best
    was found on these very samples makes it look a little better than it is; a fresh test set tells how good it is.

    Args:
        entries: At least two, of one task and the same classes.
        metric: A name of :func:`fulmen.evaluation.scores`; ``None``: the first metric of the task.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
        level: Of intervals and tests.
        rule: See :func:`choose`.

    Raises:
        ConfigError: If they cannot be compared, or the metric is not known.
        DataError: If a prediction is not a number.
    """
    first = _check(entries)
    entries = _aligned(entries)
    points = {entry.name: scores(entry.predictions) for entry in entries}
    known = set.intersection(*({*found} for found in points.values()))
    metric = metric or HEADLINE[first.predictions.task]
    if metric not in known:
        raise ConfigError(f"metric: {unknown('metric', metric, known)}")
    higher = higher_is_better(metric)
    drawn = {entry.name: bootstrap(entry.predictions, resamples, seed)[metric] for entry in entries}
    sign = -1 if higher else 1  # of equals, the smaller one leads
    order = sorted(entries, key=lambda e: (sign * points[e.name][metric], e.cost.parameters or math.inf, e.name))
    numbers: dict[str, int] = {}
    rows = []
    for entry in order:
        group = numbers.setdefault(_identity(entry.predictions), len(numbers))
        score = interval(points[entry.name][metric], drawn[entry.name], level)
        rows.append(Row(entry.name, group, len(entry.predictions), score, points[entry.name], entry.cost))
    by_name = {entry.name: entry for entry in entries}
    pairs, choices = [], {}
    for number in numbers.values():
        members = [row for row in rows if row.group == number]
        tested = _pairs(members, by_name, drawn, higher, level)
        pairs += tested
        if tested:
            choices[number] = choose(_candidates(members, tested), metric, rule, level)
    return Comparison(
        task=first.predictions.task,
        split=first.predictions.split,
        metric=metric,
        higher=higher,
        level=level,
        rule=rule,
        rows=rows,
        pairs=pairs,
        choices=choices,
        replicates=_replicates(rows, by_name),
        differences=config_differences([by_name[row.name].config for row in rows]),
    )


def _check(entries: Sequence[Entry]) -> Entry:
    if len(entries) < 2:
        raise ConfigError(f"compare takes at least two runs; {len(entries)} given")
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        raise ConfigError(f"runs: {next(n for n in names if names.count(n) > 1)!r} is given more than once")
    first = entries[0]
    for entry in entries[1:]:
        mine, other = (e.predictions for e in (first, entry))
        if mine.task != other.task:
            raise ConfigError(
                f"runs: {first.name} is of a {mine.task} task, {entry.name} of a {other.task} task; compare runs of "
                "one task"
            )
        if mine.names != other.names:
            raise ConfigError(
                f"runs: {first.name} knows {_listed(mine.names)}, {entry.name} knows {_listed(other.names)}; compare "
                "runs of the same targets"
            )
        if mine.split != other.split:
            raise ConfigError(f"runs: {first.name} is scored on {mine.split}, {entry.name} on {other.split}")
    return first


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _aligned(entries: Sequence[Entry]) -> list[Entry]:
    """Equal samples in equal rows; those that stand so already keep their order, and with it their intervals."""
    ordered = [_sorted(entry.predictions) for entry in entries]
    found: dict[str, list[int]] = {}
    for i, predictions in enumerate(ordered):
        found.setdefault(_identity(predictions), []).append(i)
    aligned = list(entries)
    for members in found.values():
        first = entries[members[0]].predictions.samples
        if any(entries[i].predictions.samples != first for i in members):
            for i in members:
                aligned[i] = replace(entries[i], predictions=ordered[i])
    return aligned


def _sorted(predictions: Predictions) -> Predictions:
    """In the order of the samples' names, so that equal samples stand in equal rows."""
    return predictions.take(np.argsort(np.array(predictions.samples, object), kind="stable"))


def _identity(predictions: Predictions) -> str:
    """Equal for predictions of the same samples with the same targets."""
    found = hashlib.sha256("\0".join(predictions.samples).encode())
    found.update(np.ascontiguousarray(predictions.targets).tobytes())
    return found.hexdigest()


def _pairs(
    members: Sequence[Row], entries: Mapping[str, Entry], drawn: Mapping[str, Any], higher: bool, level: float
) -> list[Pair]:
    """The best against each of the others."""
    best, *others = members
    sign = 1 if higher else -1
    found = [
        difference(sign * (best.score.value - row.score.value), sign * (drawn[best.name] - drawn[row.name]), level)
        for row in others
    ]
    corrected = holm([each.p_value for each in found])
    tests: list[McNemar | None] = [None] * len(others)
    if entries[best.name].predictions.task != "regression":
        correct = right(entries[best.name].predictions)
        tests = [mcnemar(correct, right(entries[row.name].predictions)) for row in others]
    mcnemar_p = holm([test.p_value for test in tests if test is not None])
    return [
        Pair(best.name, row.name, found[i], corrected[i], tests[i], mcnemar_p[i] if mcnemar_p else None)
        for i, row in enumerate(others)
    ]


def _candidates(members: Sequence[Row], pairs: Sequence[Pair]) -> list[Candidate]:
    behind = {pair.other: pair for pair in pairs}
    return [
        Candidate(
            row.name,
            row.score.value,
            row.cost.parameters,
            row.cost.seconds,
            behind[row.name].difference if row.name in behind else None,
            behind[row.name].p_value if row.name in behind else None,
        )
        for row in members
    ]


def _replicates(rows: Sequence[Row], entries: Mapping[str, Entry]) -> list[Replicates]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        config = entries[row.name].config
        if config:
            found.setdefault(without_seed(config), []).append(row)
    groups = [group for group in found.values() if len(group) > 1]
    made = []
    for group in groups:
        values = np.array([row.score.value for row in group])
        deviation = float(values.std(ddof=1)) if len(values) > 1 else math.nan
        made.append(Replicates([row.name for row in group], float(values.mean()), deviation))
    return made
