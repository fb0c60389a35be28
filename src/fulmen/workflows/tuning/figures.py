"""Pictures of a search: its history, its trials side by side, what each value scored, and what mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fulmen.workflows.tuning.results import SearchResult
from fulmen.workflows.tuning.space import Choices, Parameter, flow, shown
from fulmen.workflows.tuning.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

ENOUGH = 8
"""Complete trials from which on it can be said what mattered."""
_LINE, _DOT, _PALE, _FAILED, _BEST = "#1f4e79", "#4f81b0", "#a9b4bf", "#c0392b", "#d98c00"
_MOST = 12


def draw_history(found: SearchResult, score: str) -> Figure:
    """Scores in order of the trials, and the best so far.

    Args:
        found: The trials; at least one is complete.
        score: What the score is.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = _new(8, 4)
    for state, colour, marker, label in (("complete", _DOT, "o", "complete"), ("pruned", _PALE, "x", "pruned")):
        points = [(t.number, t.value) for t in found.trials if t.state == state and t.value is not None]
        if points:
            x, y = zip(*points, strict=True)
            axes.scatter(x, y, c=colour, marker=marker, s=26, label=label)
    numbers, values = zip(*sorted((t.number, t.value or 0.0) for t in found.ranked), strict=True)
    best = (np.minimum if found.mode == "min" else np.maximum).accumulate(values)
    axes.step(numbers, best, where="post", color=_BEST, linewidth=2, label="best so far")
    _limit(axes, found, [t.value for t in found.of("complete", "pruned") if t.value is not None])
    failed = [t.number for t in found.of("failed")]
    if failed:
        bottom = axes.get_ylim()[0]
        axes.scatter(failed, [bottom] * len(failed), c=_FAILED, marker="|", s=120, label="failed", clip_on=False)
    axes.set(title="History", xlabel="trial", ylabel=score)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="best", fontsize=9)
    return figure


def draw_parallel(found: SearchResult, score: str) -> Figure:
    """Each complete trial as a line through its values, coloured by its score; the best is thick.

    Args:
        found: The trials; at least one is complete.
        score: What the score is.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    names = _parameters(found)[:_MOST]
    figure, axes = _new(max(6.0, 1.35 * (len(names) + 2)), 4.8)
    known: dict[str, Parameter] = {**found.space.parameters, **found.space.inner()}
    scales = [_Scale(known[name], name) for name in names]
    worst_first = found.ranked[::-1]
    norm = Normalize(*_bounds(found))
    colours = colormaps["viridis" if found.mode == "max" else "viridis_r"]
    for trial in worst_first:
        heights = [scale.place(trial.params.get(name)) for scale, name in zip(scales, names, strict=True)]
        assert trial.value is not None
        best = trial is worst_first[-1]
        heights.append(float(np.clip(norm(trial.value), 0, 1)))
        colour = _BEST if best else colours(norm(trial.value))
        axes.plot(range(len(heights)), heights, color=colour, linewidth=3 if best else 1.2, alpha=1 if best else 0.65)
    for i, scale in enumerate(scales):
        _draw_axis(axes, i, scale.ticks())
    _draw_axis(axes, len(names), [(place, f"{norm.inverse(place):.4g}") for place in (0.0, 0.5, 1.0)])
    labels = [_broken(name) for name in [*names, score]]
    axes.set_xticks(range(len(labels)), labels, fontsize=8)
    axes.set_yticks([])
    axes.set(title="Trials side by side (the best is thick)", ylim=(-0.16, 1.06), xlim=(-0.3, len(names) + 0.5))
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    figure.colorbar(ScalarMappable(norm, colours), ax=axes, fraction=0.03, pad=0.02, label=score)
    return figure


def draw_slices(found: SearchResult, score: str) -> Figure:
    """What each value of each parameter scored.

    Args:
        found: The trials; at least one is complete.
        score: What the score is.
    """
    from matplotlib.figure import Figure

    names = _parameters(found)[:_MOST]
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    known: dict[str, Parameter] = {**found.space.parameters, **found.space.inner()}
    figure = Figure(figsize=(max(4.5, 3.4 * columns), 2.9 * rows), layout="constrained")
    for i, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, i + 1)
        points = [(t.params[name], t.value or 0.0) for t in found.ranked if name in t.params]
        _draw_slice(axes, known[name], points)
        axes.set_title(name, fontsize=9)
        _limit(axes, found, [value for _, value in points])
        if i % columns == 0:
            axes.set_ylabel(score, fontsize=8)
        axes.grid(alpha=0.25)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_importance(shares: Mapping[str, float]) -> Figure:
    """How much of the scores' spread each parameter explains.

    Args:
        shares: See :func:`importances`.
    """
    figure, axes = _new(7, 1.2 + 0.4 * len(shares))
    names = sorted(shares, key=lambda name: shares[name])
    bars = axes.barh(names, [shares[name] for name in names], color=_DOT)
    axes.bar_label(bars, [f"{100 * shares[name]:.0f} %" for name in names], padding=3, fontsize=9)
    axes.set(title="What mattered (share of the scores' variance)", xlim=(0, 1.1 * max([*shares.values(), 0.01])))
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.tick_params(labelsize=9)
    return figure


def importances(study: Study) -> dict[str, float] | None:
    """The share of the scores' variance that each parameter explains (fANOVA, Hutter et al. 2014).

    https://proceedings.mlr.press/v32/hutter14.html, as Optuna computes it from a random forest.

    Args:
        study: The study.

    Returns:
        Parameters that every complete trial has, the most important first; ``None`` where there are fewer than
        :data:`ENOUGH` complete trials, all scored the same, or only one parameter varies.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    complete = study.results().ranked
    if len(complete) < ENOUGH or len({t.value for t in complete}) < 2:
        return None
    shared = [n for n in _parameters(study.results()) if all(n in t.params for t in complete)]
    varied = [name for name in shared if len({t.params[name] for t in complete}) > 1]
    if len(varied) < 2:
        return None
    return get_param_importances(study.optuna, evaluator=FanovaImportanceEvaluator(seed=0), params=varied)


def _parameters(found: SearchResult) -> list[str]:
    """Those of the space, each followed by those that only some choices have, as far as there is room."""
    keys = list(found.space.parameters)
    tried = {name for trial in found.ranked for name in trial.params}
    inner = [name for name in found.space.inner() if name in tried][: max(_MOST - len(keys), 0)]
    return [name for key in keys[:_MOST] for name in (key, *(n for n in inner if n.startswith(f"{key}=")))]


class _Scale:
    """Where values lie on an axis from 0 to 1."""

    def __init__(self, parameter: Parameter, name: str) -> None:
        self.parameter, self.name = parameter, name

    def place(self, value: Any) -> float:
        if value is None:  # of a choice that this trial did not make
            return -0.12
        if isinstance(self.parameter, Choices):
            labels = list(self.parameter.options)
            return labels.index(value) / max(len(labels) - 1, 1) if len(labels) > 1 else 0.5
        low, high = self.parameter.low, self.parameter.high
        if self.parameter.log:
            return float(np.log(value / low) / np.log(high / low))
        return float((value - low) / (high - low))

    def ticks(self) -> list[tuple[float, str]]:
        if isinstance(self.parameter, Choices):
            return [(self.place(label), _label(label, value)) for label, value in self.parameter.options.items()]
        low, high = self.parameter.low, self.parameter.high
        middle = float(np.sqrt(low * high)) if self.parameter.log else (low + high) / 2
        numbers = [low, high] if self.parameter.whole and high - low < 2 else [low, middle, high]
        ticks = [(self.place(number), f"{number:.3g}") for number in numbers]
        return [*ticks, (-0.12, "none")] if "=" in self.name else ticks


def _label(label: str, value: Any) -> str:
    text = label if len(label) <= 24 else flow(shown(value))
    return text if len(text) <= 24 else f"{text[:22]}..."


def _draw_axis(axes: Axes, x: int, ticks: Sequence[tuple[float, str]]) -> None:
    axes.axvline(x, color="#5b6875", linewidth=1, zorder=0)
    for place, text in ticks:
        box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1}
        axes.text(x + 0.04, place, text, fontsize=7.5, va="center", bbox=box, zorder=5)


def _draw_slice(axes: Axes, parameter: Parameter, points: Sequence[tuple[Any, float]]) -> None:
    if isinstance(parameter, Choices):
        labels = list(parameter.options)
        spread = np.random.default_rng(0).uniform(-0.12, 0.12, len(points))
        x: NDArray[Any] = np.array([labels.index(value) for value, _ in points]) + spread
        names = [_label(label, value) for label, value in parameter.options.items()]
        turned = max(map(len, names)) * len(names) > 26
        axes.set_xticks(range(len(labels)), names, rotation=25 if turned else 0, ha="right" if turned else "center")
        axes.set_xlim(-0.5, len(labels) - 0.5)
    else:
        x = np.array([value for value, _ in points], float)
        if parameter.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")  # formulas take half a second to set
    values = [value for _, value in points]
    axes.scatter(x[1:], values[1:], c=_DOT, s=18, alpha=0.8)
    axes.scatter(x[:1], values[:1], c=_BEST, s=60, marker="*", zorder=3)  # they are ranked


def _new(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # without pyplot, which opens windows and keeps figures

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _bounds(found: SearchResult) -> tuple[float, float]:
    """The scores that matter: those of trials that went wrong would press all others flat."""
    values = np.array([t.value for t in found.ranked], float)
    low, high = float(values.min()), float(values.max())
    quarter, half = np.quantile(values, [0.25, 0.75])
    reach = 3 * max(half - quarter, 1e-12)
    if found.mode == "min":
        high = min(high, max(float(half + reach), low))
    else:
        low = max(low, min(float(quarter - reach), high))
    return (low, high) if high > low else (float(values.min()) - 0.5, float(values.max()) + 0.5)


def _limit(axes: Axes, found: SearchResult, values: Sequence[float]) -> None:
    low, high = _bounds(found)
    margin = 0.07 * (high - low)
    axes.set_ylim(low - margin, high + margin)
    out = sum(not low - margin <= value <= high + margin for value in values)
    if out:
        axes.text(0.99, 0.02, f"{out} outside", transform=axes.transAxes, ha="right", fontsize=8, color="#5b6875")


def _broken(name: str) -> str:
    """A long name on several lines."""
    return name.replace(".", ".\n").replace("=", "=\n").replace(": ", ":\n").replace(", ", ",\n")
