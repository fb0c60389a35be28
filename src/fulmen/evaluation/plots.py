"""The pictures of a report. Each function gives a figure of matplotlib, made without pyplot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fulmen.evaluation.curves import confusion, curve, reliability
from fulmen.evaluation.learning import Curves
from fulmen.evaluation.predictions import Predictions
from fulmen.evaluation.slices import Slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _RED, _GREY = "#1f4e79", "#c0392b", "#98a4b0"
_MOST_CURVES, _MOST_NUMBERS, _MOST_NAMES = 10, 15, 40
_POINTS = 5000


def draw_confusion(predictions: Predictions) -> Figure:
    """Rows are what samples are, columns what they are taken for; shades are shares of the row.

    Args:
        predictions: Of classes.
    """
    matrix = confusion(predictions)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    classes, names = len(matrix), [_short(name) for name in predictions.names]
    side = min(max(3.4, 1.6 + 0.5 * classes), 8.5)
    figure = _figure(side + 0.6, side)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if classes <= _MOST_NUMBERS:
        for i in range(classes):
            for j in range(classes):
                colour = "white" if shares[i, j] > 0.55 else "#1c2733"
                axes.text(j, i, f"{matrix[i, j]:,}", ha="center", va="center", color=colour, fontsize=9)
    if classes <= _MOST_NAMES:
        turned = max(map(len, names)) > 3
        axes.set_xticks(range(classes), names, rotation=45 if turned else 0, ha="right" if turned else "center")
        axes.set_yticks(range(classes), names)
    axes.set(xlabel="predicted", ylabel="is")
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the row")
    return figure


def draw_reliability(predictions: Predictions) -> Figure:
    """How often a model is right, against how sure it is; below, how often it is that sure.

    Args:
        predictions: Of classes or labels.
    """
    found = reliability(predictions)
    figure = _figure(5.2, 5.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    edges = np.linspace(0, 1, len(found.samples) + 1)
    middle, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    shown = found.samples > 0
    top.plot([0, 1], [0, 1], "--", color=_GREY, label="as sure as right")
    top.bar(middle[shown], found.accuracy[shown], width * 0.92, color="#9db7d1")
    top.plot(found.confidence[shown], found.accuracy[shown], "o", color=_BLUE, markersize=4, label="samples of a bin")
    top.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    _legend(top, loc="upper left")
    bottom.bar(middle, found.samples, width * 0.92, color=_BLUE)
    about = "probability of the predicted class"
    if predictions.task == "binary":
        about = f"probability of {_short(predictions.names[1])}"
        top.set_ylabel(f"share that is {_short(predictions.names[1])}")
    elif predictions.task == "multilabel":
        about = "probability of a label"
        top.set_ylabel("share that has the label")
    bottom.set(xlabel=about, ylabel="samples")
    _tidy(top, bottom)
    return figure


def draw_ranking(predictions: Predictions) -> Figure:
    """ROC curves, and precision over recall: of the classes with the lowest average precision where there are many.

    Args:
        predictions: Of classes or labels.
    """
    figure = _figure(9, 4)
    left, right = figure.subplots(1, 2)
    for i in _ranked(predictions):
        positive = _positive(predictions, i)
        found = curve(predictions.scores[:, i], positive)
        name = _short(predictions.names[i])
        left.plot(found.false_positives, found.recall, linewidth=1.6, label=name)
        right.step(found.recall, found.precision, where="pre", linewidth=1.6, label=name)
    left.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1)
    left.set(title="ROC", xlabel="share of the others that is let in", ylabel="share that is found (recall)")
    right.set(title="precision and recall", xlabel="share that is found (recall)", ylabel="precision", ylim=(0, 1.02))
    _tidy(left, right)
    _legend(left, fontsize=8, loc="lower right")
    return figure


def draw_residuals(predictions: Predictions, value: int = 0) -> Figure:
    """Predictions against targets; residuals by size, and against predictions.

    Args:
        predictions: Of a regression.
        value: Which of its values.
    """
    target, predicted = predictions.targets[:, value], predictions.predicted[:, value].astype(np.float64)
    step = max(1, len(target) // _POINTS)
    residual = target - predicted
    figure = _figure(11, 3.7)
    one, two, three = figure.subplots(1, 3)
    ends = [min(target.min(), predicted.min()), max(target.max(), predicted.max())]
    dots: dict[str, Any] = {"color": _BLUE, "markersize": 4, "alpha": 0.5, "markeredgewidth": 0}
    one.plot(ends, ends, "--", color=_GREY)
    one.plot(predicted[::step], target[::step], "o", **dots)
    one.set(title="predicted and true", xlabel="predicted", ylabel="true")
    two.hist(residual, bins=min(40, max(8, int(len(target) ** 0.5))), color="#9db7d1", edgecolor=_BLUE, linewidth=0.5)
    two.axvline(0, linestyle="--", color=_GREY)
    two.set(title="residuals", xlabel="true - predicted", ylabel="samples")
    three.axhline(0, linestyle="--", color=_GREY)
    three.plot(predicted[::step], residual[::step], "o", **dots)
    three.set(title="residuals by prediction", xlabel="predicted", ylabel="true - predicted")
    _tidy(one, two, three)
    return figure


def draw_learning(curves: Curves, metric: str | None, best: int | None) -> Figure:
    """Loss and a metric over the epochs, of training and validation.

    Args:
        curves: What was logged.
        metric: Its name without the stage; ``None``: the loss alone.
        best: Place of the epoch whose weights were kept.
    """
    shown = ["loss", *([metric] if metric else [])]
    figure = _figure(4.7 * len(shown), 3.6)
    panels = np.atleast_1d(figure.subplots(1, len(shown)))
    epochs = curves.epochs + 1
    for axes, name in zip(panels, shown, strict=True):
        for stage, colour in (("train", _GREY), ("val", _BLUE)):
            values = curves.values.get(f"{stage}/{name}")
            if values is not None:
                there = np.isfinite(values)
                label = "training" if stage == "train" else "validation"
                axes.plot(epochs[there], values[there], "o-", markersize=3, color=colour, label=label)
        if best is not None:
            axes.axvline(epochs[best], color=_RED, linestyle="--", linewidth=1, label=f"best: epoch {epochs[best]}")
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        _legend(axes, fontsize=9)
    _tidy(*panels)
    return figure


def draw_slices(slices: Sequence[Slice], metric: str, whole: float) -> Figure:
    """The slices of a column with their intervals, and the whole as a line.

    Args:
        slices: Those of one column.
        metric: What is shown.
        whole: Its value of all samples.
    """
    shown = [part for part in slices if part.interval is not None]
    figure = _figure(6.4, 1.2 + 0.34 * max(len(shown), 1))
    axes = figure.add_subplot()
    axes.axvline(whole, color=_GREY, linestyle="--", linewidth=1, label="all samples")
    for i, part in enumerate(shown):
        assert part.interval is not None
        colour = _RED if part.worse else _BLUE
        axes.plot([part.interval.low, part.interval.high], [i, i], color=colour, linewidth=2.4, alpha=0.6)
        axes.plot(part.interval.value, i, "o", color=colour)
    axes.set_yticks(range(len(shown)), [f"{_short(part.value)}  (n = {part.samples:,})" for part in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set(xlabel=f"{metric} and 95 % interval")
    _legend(axes, fontsize=8)
    _tidy(axes)
    return figure


def _ranked(predictions: Predictions) -> list[int]:
    """The classes whose curves are drawn: those that have samples, the hardest of many."""
    from fulmen.evaluation.metrics import per_class

    if predictions.task == "binary":
        return [1] if 0 < int((predictions.targets == 1).sum()) < len(predictions) else []
    scored = [per.get("average_precision") for per in per_class(predictions).values()]
    there = [i for i, value in enumerate(scored) if value is not None]
    hardest = sorted(there, key=lambda i: scored[i] or 0.0)[:_MOST_CURVES]
    return sorted(hardest)


def _positive(predictions: Predictions, i: int) -> Any:
    return predictions.targets[:, i] == 1 if predictions.task == "multilabel" else predictions.targets == i


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _legend(axes: Axes, **how: Any) -> None:
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, **how)


def _tidy(*panels: Axes) -> None:
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)


def _short(name: str, most: int = 28) -> str:
    r"""A name that fits, in which ``$`` begins no formula.

    >>> _short("a$b"), _short("a" * 40)
    ('a\\$b', 'aaaaaaaaaaaaaaaaaaaaaaaaa...')
    """
    cut = name if len(name) <= most else f"{name[: most - 3]}..."
    return cut.replace("$", r"\$")
