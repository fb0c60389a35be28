"""Charts of what a finder measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fulmen.core.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENDINGS = (".png", ".jpg", ".pdf", ".svg")
_LINE, _POINTS, _MARKS = "#1f4e79", "#9db7d1", ("#c0392b", "#7f8c8d")


@dataclass(frozen=True)
class Chart:
    """A curve over a logarithmic axis.

    Attributes:
        title: Stands above it.
        x: Name and values of the axis.
        y: Name and values.
        smoothed: Values that are drawn as the line; then ``y`` is drawn as points.
        marks: Name -> x of vertical lines.
        base: Of the logarithm: 10, or 2 for sizes that double.
    """

    title: str
    x: tuple[str, Sequence[float]]
    y: tuple[str, Sequence[float]]
    smoothed: Sequence[float] | None = None
    marks: Mapping[str, float] = field(default_factory=dict)
    base: int = 10


def check_ending(path: Path) -> None:
    """Checks before anything is measured that a chart can be drawn.

    Raises:
        ConfigError: If the file's ending is none of a picture.
    """
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"out: {str(path)!r} must end in {', '.join(ENDINGS)}")


def draw_chart(chart: Chart, path: Path) -> None:
    """Draws a chart.

    Args:
        chart: What is drawn.
        path: File to write.

    Raises:
        ConfigError: If the file cannot be written.
    """
    from matplotlib.figure import Figure  # without pyplot, which opens windows and keeps figures

    figure = Figure(figsize=(7, 4), layout="constrained")
    _draw(chart, figure.add_subplot())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise ConfigError(f"out: {str(path)!r} cannot be written ({error}); give a file such as plot.png") from error


def _draw(chart: Chart, axes: Axes) -> None:
    (x_name, x), (y_name, y) = chart.x, chart.y
    if chart.smoothed is None:
        axes.plot(x, y, color=_LINE, marker="o")
    else:
        axes.plot(x, y, ".", color=_POINTS, markersize=4, label="each batch")
        axes.plot(x, chart.smoothed, color=_LINE, linewidth=2, label="smoothed")
        axes.set_ylim(*_limits(chart.smoothed))
    axes.set_xscale("log", base=chart.base)
    if chart.base == 2:
        axes.set_xticks(list(x), [f"{value:g}" for value in x])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
    for (name, place), colour in zip(chart.marks.items(), _MARKS, strict=False):
        said = f"{place:.1e}" if chart.base == 10 else f"{place:g}"
        axes.axvline(place, color=colour, linestyle="--", linewidth=1.2, label=f"{name}: {said}")
    axes.set(title=chart.title, xlabel=x_name, ylabel=y_name)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False)


def _limits(smoothed: Sequence[float]) -> tuple[float, float]:
    """The range of losses that matters: a loss that diverges would press the curve flat."""
    low = min(smoothed)
    first = smoothed[0]
    high = max(first, low + 1e-12) + 0.25 * max(first - low, 1e-12)
    margin = 0.08 * (high - low)
    return low - margin, high + margin
