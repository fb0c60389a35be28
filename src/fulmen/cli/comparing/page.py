"""A comparison as files: a page, a table, JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.cli.comparing import wording
from fulmen.core.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fulmen.evaluation import Page
    from fulmen.workflows.compared import Comparison, Row

PAGE, TABLE, RECORD = "comparison.html", "leaderboard.csv", "comparison.json"
_BEST, _TAKEN, _OTHER = "#1f4e79", "#c0392b", "#7f8c8d"
_DRAWN, _NAMED = 40, 12


def write(comparison: Comparison, left_out: Mapping[Path, str], test_set: bool, folder: Path) -> None:
    """Writes ``comparison.html``, ``leaderboard.csv`` and ``comparison.json``.

    Args:
        comparison: What came of it.
        left_out: Runs that were not compared, and why.
        test_set: Whether test sets were used.
        folder: Where; made if it is missing.

    Raises:
        ConfigError: If it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / TABLE).open("w", newline="") as file:
            csv.writer(file).writerows(_csv_rows(comparison))
        facts = {
            **asdict(comparison),
            "choices": {wording.letter(group): asdict(choice) for group, choice in comparison.choices.items()},
            "test_set": test_set,
            "left_out": {str(path): why for path, why in left_out.items()},
        }
        (folder / RECORD).write_text(json.dumps(_finite(facts), indent=2, default=str) + "\n")
    except OSError as error:
        raise ConfigError(f"out: {str(folder)!r} cannot be written to ({error}); give a folder") from error
    make_page(comparison, left_out, test_set).write(folder / PAGE)


def make_page(comparison: Comparison, left_out: Mapping[Path, str], test_set: bool) -> Page:
    """The page."""
    from fulmen.evaluation import Page

    page = Page("Comparison", wording.heading(comparison))
    for text in wording.choices(comparison):
        page.lead(text)
    for text in wording.warnings(comparison, test_set):
        page.note(text)
    page.section("Leaderboard")
    taken = {choice.name for choice in comparison.choices.values()}
    shown = f" (the first {_DRAWN} of {len(comparison.rows)})" if len(comparison.rows) > _DRAWN else ""
    page.figure(
        forest(comparison),
        f"{comparison.metric} of each run with its {comparison.level:.0%} interval{shown}. Red is chosen; blue leads "
        "where another is chosen. Intervals of two runs on the same samples may overlap although they differ: "
        "see the paired tests.",
    )
    strong = [i for i, row in enumerate(comparison.rows) if row.name in taken]
    page.table(*wording.leaderboard(comparison), strong=strong)
    page.paragraph(
        "Memory is the peak of training: that of the GPU where one was used, else that of the process, in which "
        "libraries alone take some hundred MiB."
    )
    if len({row.cost.parameters for row in comparison.rows} - {None}) > 1:
        page.figure(price(comparison), f"{comparison.metric} against the number of parameters.")
    _add_tests(page, comparison)
    if comparison.replicates:
        page.section("Repetitions")
        page.paragraph(
            "Runs of one config that differ in their seed alone: how far chance in training moves the score."
        )
        page.table(*wording.replicates(comparison))
    page.section("Configs")
    if comparison.differences:
        page.table(*wording.config_table(comparison, [row.name for row in comparison.rows]))
    else:
        page.paragraph("The configs do not differ, but for what says where and how much is written.")
    if left_out:
        page.section("Left out")
        page.table(["run", "why"], [[str(path), why] for path, why in left_out.items()])
    return page


def _add_tests(page: Page, comparison: Comparison) -> None:
    page.section("Tests")
    if not comparison.pairs:
        page.paragraph("No two runs were scored on the same samples: there is nothing to test.")
        return
    page.table(*wording.tests(comparison, comparison.pairs))
    said = (
        "Ahead by: how much better the best run is, with the interval and p-value of the paired bootstrap: both runs "
        "are scored on the same drawn samples."
    )
    if comparison.task != "regression":
        said += (
            " McNemar's test counts the samples that one run alone gets right (exactly below 25 of them, else by "
            "chi-square with continuity correction); it is about accuracy, whatever the metric."
        )
    if len(comparison.pairs) > 1:
        said += " P-values are corrected for the number of pairs by Holm's method."
    page.paragraph(said)
    rule = (
        f"its difference to the best is not significant at {1 - comparison.level:.0%}"
        if comparison.rule == "significance"
        else "it is behind the best by at most one standard error of their difference"
    )
    page.paragraph(
        f"A run is within noise when {rule}. Of those, the one with the fewest parameters is chosen, then the one that "
        "trained in less time. The leader was found on these samples, so its own score there is a little too good."
    )


def forest(comparison: Comparison) -> Figure:
    """A point and its interval for each run, the best on top."""
    from matplotlib.figure import Figure

    rows = comparison.rows[:_DRAWN]
    figure = Figure(figsize=(8, 1.1 + 0.34 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    colours = _colours(comparison)
    for i, row in enumerate(rows):
        colour = colours[row.name]
        axes.plot([row.score.low, row.score.high], [i, i], color=colour, linewidth=2.2, solid_capstyle="round")
        axes.plot(row.score.value, i, "o", color=colour, markersize=7)
        axes.annotate(
            f"{row.score.value:.4f}", (row.score.value, i), (0, 7), textcoords="offset points", ha="center", fontsize=8
        )
    several = len(comparison.groups) > 1
    labels = [f"{row.name}  [{wording.letter(row.group)}]" if several else row.name for row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.set_xlabel(f"{comparison.metric} on {comparison.split}")
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


def price(comparison: Comparison) -> Figure:
    """The metric against the number of parameters."""
    from matplotlib.figure import Figure

    rows = [row for row in comparison.rows if row.cost.parameters]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    colours = _colours(comparison)
    for row in rows:
        errors = [[max(row.score.value - row.score.low, 0)], [max(row.score.high - row.score.value, 0)]]
        axes.errorbar(
            [row.cost.parameters or 0], [row.score.value], errors, fmt="o", color=colours[row.name], capsize=3
        )
    named: dict[int | None, list[Row]] = {}
    for row in rows:
        named.setdefault(row.cost.parameters, []).append(row)
    for size, same in list(named.items())[:_NAMED]:  # points of one size would be written over each other
        more = f" and {len(same) - 1} more" if len(same) > 1 else ""
        axes.annotate(
            f"{same[0].name}{more}", (size or 0, same[0].score.value), (6, 4), textcoords="offset points", fontsize=8
        )
    sizes = [row.cost.parameters or 1 for row in rows]
    if max(sizes) > 10 * min(sizes):
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(x=0.2)
    axes.set(xlabel="parameters", ylabel=f"{comparison.metric} on {comparison.split}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _colours(comparison: Comparison) -> dict[str, str]:
    chosen = {choice.name for choice in comparison.choices.values()}
    best = {choice.best for choice in comparison.choices.values()}
    return {
        row.name: _TAKEN if row.name in chosen else _BEST if row.name in best else _OTHER for row in comparison.rows
    }


def _csv_rows(comparison: Comparison) -> list[list[Any]]:
    """Every headline metric and cost of each run, with all digits."""
    names = list(dict.fromkeys(name for row in comparison.rows for name in row.scores))
    costs = list(asdict(comparison.rows[0].cost))
    metric = comparison.metric
    head = ["run", "set", "samples", f"{metric}_low", f"{metric}_high", *names, *costs]
    return [head, *(_csv_row(row, names, costs) for row in comparison.rows)]


def _csv_row(row: Row, names: list[str], costs: list[str]) -> list[Any]:
    values = [row.scores.get(name) for name in names] + [getattr(row.cost, name) for name in costs]
    return [row.name, wording.letter(row.group), row.samples, row.score.low, row.score.high, *values]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
