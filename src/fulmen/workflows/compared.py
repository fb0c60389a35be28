"""What is compared, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fulmen.evaluation import Interval, Predictions
from fulmen.workflows.choice import Choice, Rule
from fulmen.workflows.paired_tests import Difference, McNemar


@dataclass(frozen=True)
class Cost:
    """What a model costs; ``None`` where it is not known.

    Attributes:
        parameters: How many the model has.
        trainable: How many of them were trained.
        epochs: Of training.
        seconds: Of training.
        memory: Bytes at the peak of training: of the GPU where one was used, else of the process.
        checkpoint_bytes: Size of the checkpoint.
    """

    parameters: int | None = None
    trainable: int | None = None
    epochs: int | None = None
    seconds: float | None = None
    memory: int | None = None
    checkpoint_bytes: int | None = None


@dataclass(frozen=True)
class Entry:
    """A model that is compared.

    Attributes:
        name: Told apart by it.
        predictions: Of a split.
        cost: What it costs.
        config: What it was trained with.
    """

    name: str
    predictions: Predictions
    cost: Cost = field(default_factory=Cost)
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A line of the leaderboard.

    Attributes:
        name: The run.
        group: Number of the samples that it was scored on: rows of one group can be tested against each other.
        samples: How many samples.
        score: The metric that is compared by, with its interval.
        scores: Every headline metric.
        cost: What the run costs.
    """

    name: str
    group: int
    samples: int
    score: Interval
    scores: Mapping[str, float]
    cost: Cost


@dataclass(frozen=True)
class Pair:
    """The best run of a group against another one.

    Attributes:
        best: Its name.
        other: The other's.
        difference: How much better the best is: positive where it is, for metrics of which less is better too.
        p_value: Of the difference, corrected by Holm's method for all pairs of the group.
        mcnemar: First is the best; ``None`` for numbers.
        mcnemar_p: Its p-value, corrected likewise.
    """

    best: str
    other: str
    difference: Difference
    p_value: float
    mcnemar: McNemar | None
    mcnemar_p: float | None


@dataclass(frozen=True)
class Replicates:
    """Runs of one config that differ in their seed alone.

    Attributes:
        runs: Their names.
        mean: Of the metric.
        deviation: Standard deviation.
    """

    runs: list[str]
    mean: float
    deviation: float


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison.

    Attributes:
        task: Of all runs.
        split: That was scored.
        metric: By which they are ranked.
        higher: Whether more of it is better.
        level: Of intervals and tests.
        rule: Of the choice.
        rows: The leaderboard, best first.
        pairs: Tests, the best of each group against each of the others.
        choices: Group -> which run to take, of groups with at least two runs.
        replicates: Runs that differ in their seed alone, where there are any.
        differences: Config key -> value of each row, for keys that differ.
    """

    task: str
    split: str
    metric: str
    higher: bool
    level: float
    rule: Rule
    rows: list[Row]
    pairs: list[Pair]
    choices: dict[int, Choice]
    replicates: list[Replicates]
    differences: dict[str, list[Any]]

    @property
    def groups(self) -> list[int]:
        """Numbers of the groups, in the order of the leaderboard."""
        return list(dict.fromkeys(row.group for row in self.rows))
