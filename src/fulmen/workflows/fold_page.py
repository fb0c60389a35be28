"""The page of a cross-validation: numbers, folds, learning curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fulmen.evaluation.metrics import HEADLINE, higher_is_better
from fulmen.evaluation.page import Page
from fulmen.workflows.fold_results import CrossValidation, FoldResult, row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINT, _MEAN, _TRAIN, _VAL = "#1f4e79", "#c0392b", "#9db7d1", "#1f4e79"
_ACROSS, _CURVES = 5, 20


def fold_page(found: CrossValidation, title: str, final: Mapping[str, Any] | None = None) -> Page:
    """A page for a reader who did not run it.

    Args:
        found: What came of the folds.
        title: Of the page.
        final: What came of the training on everything, if it was asked for.
    """
    page = Page(title, _subtitle(found))
    headline = HEADLINE[found.predictions.task]
    page.lead(_answer(found, headline))
    for name, why in found.failed.items():
        page.note(f"{name} failed, and is missing in all numbers: {why}")
    page.section("Numbers")
    page.table(
        ["metric", "all samples", "95 % low", "high", "mean of folds", "deviation", "worst fold", "best fold"],
        [_metric(found, name) for name in found.spread if name in found.intervals],
    )
    for note in found.notes():
        page.paragraph(note)
    page.section("Folds")
    page.figure(_values(found, headline), f"{headline} of each fold, and their mean.")
    _folds(page, found)
    curves = _curves(found)
    if curves is not None:
        page.section("Learning curves")
        page.figure(
            curves,
            "Loss of each epoch: training (light) and the inner validation (dark), which is no part of the scored "
            "fold; the dashed line is the epoch that was scored.",
        )
    page.section("How it was done")
    page.paragraph(_method(found))
    if final is not None:
        page.paragraph(_final(found, final))
    return page


def _subtitle(found: CrossValidation) -> str:
    plan = found.plan
    times = "" if plan.repeats == 1 else f", {plan.repeats} times"
    samples = len(set(found.predictions.samples))
    return f"{samples:,} samples in {plan.folds} folds by {plan.by}{times}; task: {found.predictions.task}"


def _answer(found: CrossValidation, headline: str) -> str:
    whole = found.intervals[headline]
    spread = found.spread[headline]
    over = (
        ""
        if spread.deviation != spread.deviation
        else (f" Over folds it is {spread.mean:.4g} on average, with a deviation of {spread.deviation:.2g}.")
    )
    return (
        f"{headline} of samples that the model has not seen: {whole.value:.4g} (95 % interval {whole.low:.4g} to "
        f"{whole.high:.4g}).{over}"
    )


def _metric(found: CrossValidation, name: str) -> list[object]:
    whole, spread = found.intervals[name], found.spread[name]
    defined = [value for value in spread.values if value is not None]
    ends = (min(defined), max(defined)) if higher_is_better(name) else (max(defined), min(defined))
    return [name, whole.value, whole.low, whole.high, spread.mean, spread.deviation, *ends]


def _folds(page: Page, found: CrossValidation) -> None:
    rows = [{**row(result, found.plan), "best_epoch": result.best_epoch + 1} for result in found.folds]  # as in words
    headline = HEADLINE[found.predictions.task]
    second = next((n for n in ("log_loss", "rmse") if n in found.spread), None)
    names = [name for name in (headline, second) if name is not None]
    keys = [key for key in rows[0] if key not in ("scores", "repeat", "fold")]
    page.table(
        [*(key.replace("_", " ") for key in keys), *names],
        [[*(r[key] for key in keys), *(r["scores"].get(n) for n in names)] for r in rows],
    )


def _values(found: CrossValidation, name: str) -> Figure:
    from matplotlib.figure import Figure

    spread, labels = found.spread[name], [_label(found, result) for result in found.folds]
    figure = Figure(figsize=(7, max(1.8, 0.9 + 0.26 * len(labels))), layout="constrained")
    axes = figure.add_subplot()
    shown = [(i, value) for i, value in enumerate(spread.values) if value is not None]
    axes.plot([value for _, value in shown], [i for i, _ in shown], "o", color=_POINT)
    axes.axvline(spread.mean, color=_MEAN, linestyle="--", linewidth=1.2)
    title = f"mean {spread.mean:.4g}"
    if spread.deviation == spread.deviation:
        axes.axvspan(spread.mean - spread.deviation, spread.mean + spread.deviation, color=_MEAN, alpha=0.1)
        title += f", deviation {spread.deviation:.2g} (shaded)"
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlabel(name)
    axes.set_title(title, fontsize=10)
    _plain(axes)
    return figure


def _label(found: CrossValidation, result: FoldResult) -> str:
    groups = found.plan.groups
    return result.name.replace("_", " ") if groups is None else groups[result.fold.fold]


def _curves(found: CrossValidation) -> Figure | None:
    """Small multiples of the loss; nothing where no epochs are known."""
    from matplotlib.figure import Figure

    known = [result for result in found.folds if len(result.history) > 1][:_CURVES]
    if not known:
        return None
    across = min(_ACROSS, len(known))
    down = -(-len(known) // across)
    figure = Figure(figsize=(1.9 * across + 0.4, 1.7 * down + 0.3), layout="constrained")
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, result in zip(grid, known, strict=False):
        for name, colour in (("train/loss", _TRAIN), ("val/loss", _VAL)):
            points = [(epoch["epoch"] + 1, epoch[name]) for epoch in result.history if name in epoch]
            axes.plot([x for x, _ in points], [y for _, y in points], color=colour, linewidth=1.4)
        axes.axvline(result.best_epoch + 1, color=_MEAN, linestyle="--", linewidth=1)
        axes.set_title(_label(found, result), fontsize=9)
        axes.tick_params(labelsize=8)
        axes.xaxis.get_major_locator().set_params(integer=True)
        _plain(axes)
    for axes in grid[len(known) :]:
        axes.set_visible(False)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("loss", fontsize=9)
    return figure


def _plain(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _method(found: CrossValidation) -> str:
    sizes = found.folds[0]
    inner = (
        f"a part of the other folds ({sizes.val:,} samples in the first) stopped the training and chose the epoch"
        if sizes.val
        else "nothing validated: every training had the same number of epochs"
    )
    return (
        f"For each fold a model was trained from scratch on the other folds ({sizes.train:,} samples in the first) and "
        f"scored on the fold ({len(sizes.predictions):,}), which had no say in its training: {inner}. Whatever is "
        "learned from data (scales, categories, vocabularies) was learned from the samples that train alone. Intervals "
        "are percentiles of 1,000 bootstrap resamples of the predictions; they do not contain what another training "
        "would have changed."
    )


def _final(found: CrossValidation, final: Mapping[str, Any]) -> str:
    if "failed" in final:
        return f"The final training failed: {final['failed']}"
    return (
        f"The final model, in the folder {final['folder']}, was trained on all samples but the data's own test split, "
        f"for {final['epochs']} epochs, the median of the folds' best ones; nothing validated it. The numbers above "
        "are an estimate for it, a little pessimistic since it has seen more samples than any of theirs."
    )
