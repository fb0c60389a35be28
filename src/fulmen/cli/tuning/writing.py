"""What a search says and leaves behind: lines, a table, trials.csv, pictures, and a page."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.cli.aligned import aligned
from fulmen.cli.tuning.settings import Settings
from fulmen.workflows.tuning import SearchResult, Study, TrialResult
from fulmen.workflows.tuning.space import flow, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS = 10
_LONGEST = 60


def line(trial: TrialResult, found: SearchResult, settings: Settings) -> str:
    """What is said of a trial that has ended.

    Args:
        trial: The trial.
        found: All so far.
        settings: Of the study.
    """
    total = sum(t.state != "restarted" for t in found.trials)
    done = len(found.of("complete", "pruned", "failed"))
    tried = " ".join(f"{key}={flow(shown(value))}" for key, value in trial.values.items())
    return (
        f"trial {trial.number} ({done} of {total}): {_outcome(trial, found, settings)}  {tried}  {trial.seconds:.1f} s"
    )


def _outcome(trial: TrialResult, found: SearchResult, settings: Settings) -> str:
    if trial.state == "failed":
        return f"failed: {trial.reason}"
    best = found.ranked[0] if found.ranked else None
    so_far = "" if best is None else f" (best {number(best.value)}, trial {best.number})"
    if trial.state == "pruned":
        where = "epoch" if settings.folds is None else "fold"
        stopped = trial.facts.get("stopped_in_epoch", len(trial.facts.get("folds", [1])) - 1)
        return f"pruned after {where} {stopped}, {settings.metric} {number(trial.value)}{so_far}"
    same = f", as trial {trial.facts['same_as']}" if "same_as" in trial.facts else ""
    return f"{settings.metric} {number(trial.value)}{same}{so_far}"


def number(value: float | None) -> str:
    """A score with four digits.

    >>> number(0.97222), number(1234.5), number(None)
    ('0.9722', '1234', '-')
    """
    return "-" if value is None else f"{value:.4f}" if abs(value) < 1000 else f"{value:.4g}"


def table(found: SearchResult, settings: Settings) -> str:
    """The best trials, and how many ended otherwise.

    Args:
        found: The trials.
        settings: Of the study.
    """
    rows = [_row(trial) for trial in found.ranked[:_ROWS]]
    lines = aligned(["trial", settings.metric, *found.space.parameters, "epochs", "seconds"], rows)
    more = len(found.ranked) - _ROWS
    lines += [f"... and {more} more"] if more > 0 else []
    return "\n".join([*lines, "", *tally(found)])


def tally(found: SearchResult) -> list[str]:
    """How many trials ended how, and why trials failed."""
    states = Counter(trial.state for trial in found.trials if trial.state != "restarted")
    said = ", ".join(f"{count} {state}" for state, count in states.items())
    lines = [f"{sum(states.values())} trials: {said}"]
    reasons = Counter(trial.reason for trial in found.of("failed"))
    lines += [f"  {count} failed: {reason}" for reason, count in reasons.most_common(3)]
    return lines


def _row(trial: TrialResult) -> list[str]:
    values = [_cut(flow(shown(value))) for value in trial.values.values()]
    return [str(trial.number), number(trial.value), *values, str(trial.facts.get("epochs", "")), f"{trial.seconds:.1f}"]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def write_csv(found: SearchResult, path: Path) -> None:
    """Writes all trials as a table: a column for each key, and for what only some choices have."""
    keys = list(found.space.parameters)
    inner = sorted({name for trial in found.trials for name in trial.params if name not in keys})
    facts = ["epochs", "best_epoch", "folds"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "state", "value", *keys, *inner, *facts, "seconds", "reason"])
        for trial in found.trials:
            values = [_cell(trial.values[key]) if key in trial.values else "" for key in keys]
            params = [trial.params.get(name, "") for name in inner]
            noted = [json.dumps(trial.facts[name]) if name in trial.facts else "" for name in facts]
            value = "" if trial.value is None else repr(trial.value)
            writer.writerow(
                [trial.number, trial.state, value, *values, *params, *noted, f"{trial.seconds:.3f}", trial.reason]
            )


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else flow(value)


def write_pictures(study: Study, settings: Settings, folder: Path) -> dict[str, Figure]:
    """Draws what there is to draw; file name -> picture.

    Args:
        study: With a complete trial at least.
        settings: Of the study.
        folder: Where they are written.
    """
    from fulmen.workflows.tuning.figures import (
        draw_history,
        draw_importance,
        draw_parallel,
        draw_slices,
        importances,
    )

    found = study.results()
    figures = {
        "history.png": draw_history(found, settings.score),
        "parallel.png": draw_parallel(found, settings.score),
        "slices.png": draw_slices(found, settings.score),
    }
    shares = importances(study)
    (folder / "importance.png").unlink(missing_ok=True)
    if shares:
        figures["importance.png"] = draw_importance(shares)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=150)
    return figures


def write_page(
    found: SearchResult, settings: Settings, figures: Mapping[str, Figure], best: Path, folder: Path
) -> Path:
    """Writes the page that a person reads who was not there.

    Args:
        found: The trials.
        settings: Of the study.
        figures: See :func:`write_pictures`.
        best: The config of the best trial.
        folder: Of the study.
    """
    from fulmen.evaluation import Page

    page = Page(f"Search {settings.name}", "lightning tune")
    top = found.best
    tried = ", ".join(f"{key} {flow(shown(value))}" for key, value in top.values.items())
    page.lead(f"The best of {len(found.ranked)} complete trials is trial {top.number}: {settings.score} "
              f"{number(top.value)} with {tried}.")  # fmt: skip
    page.note(_caution(found, settings))
    page.section("Trials")
    rows = [[t.number, t.value, *(_cut(flow(shown(v))) for v in t.values.values()), t.facts.get("epochs"), t.seconds]
            for t in found.ranked[:30]]  # fmt: skip
    page.table(["trial", settings.metric, *found.space.parameters, "epochs", "seconds"], rows, strong=[0])
    for text in tally(found):
        page.paragraph(text)
    page.section("Pictures")
    for name, figure in figures.items():
        width = round(figure.get_size_inches()[0] * 96)
        page.image((folder / name).read_bytes(), _CAPTIONS[name], width=width)  # drawn once
    if "importance.png" not in figures:
        page.paragraph(
            "What mattered cannot be said: that takes 8 complete trials or more with different scores, and two "
            "parameters at least that all of them have."
        )
    page.section("What was searched")
    page.facts({**found.space.describe(), "sampler": settings.sampler, "pruner": settings.pruner,
                "seed": settings.seed, "score": f"{settings.score} ({settings.mode})"})  # fmt: skip
    page.section("The best config")
    page.code(best.read_text())
    path = folder / "study.html"
    page.write(path)
    return path


def _caution(found: SearchResult, settings: Settings) -> str:
    where = "the validation samples" if settings.folds is None else "the folds"
    return (
        f"Scores are of {where} that chose among {len(found.ranked)} trials, so the best one flatters itself: test the "
        "chosen config once, on samples that no trial has seen."
    )


_CAPTIONS = {
    "history.png": "Scores in order of the trials. Where the line is level for long, more trials of the same kind "
    "would hardly help.",
    "parallel.png": "Each line is a trial. Where good lines meet on an axis, that value matters.",
    "slices.png": "What each value scored; the star is the best trial. If the best lie at an end of a range, widen it.",
    "importance.png": "Share of the variance of the scores that each parameter explains by itself and with others "
    "(fANOVA, Hutter et al. 2014). With few trials this is a hint, no more.",
}
