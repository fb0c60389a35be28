"""What a search may vary: lists of choices, and ranges of numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import yaml

from fulmen.core.errors import ConfigError


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole ones if both are ``int``.

    Attributes:
        low: The least.
        high: The largest; with a step, the last that is reached.
        log: Whether a factor counts, not a difference: 0.001 and 0.01 are as far apart as 0.01 and 0.1.
        step: Distance of neighbours; ``None``: any number between.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole."""
        return isinstance(self.low, int)

    def grid(self) -> list[float] | None:
        """Its numbers in order; ``None`` where there is no end of them.

        >>> Range(0.1, 0.3, step=0.1).grid(), Range(1, 3).grid(), Range(0.0, 1.0).grid()
        ([0.1, 0.2, 0.3], [1, 2, 3], None)
        """
        step = 1 if self.whole and self.step is None and not self.log else self.step
        if step is None:
            return None
        return [self.clean(self.low + i * step) for i in range(round((self.high - self.low) / step) + 1)]

    def clean(self, value: float) -> float:
        """A number without the dust of binary fractions, where it lies on a grid."""
        return value if self.whole or self.step is None else float(f"{value:.12g}")

    def __str__(self) -> str:
        step = f" by {self.step:g}" if self.step is not None else ""
        return f"{self.low:g}..{self.high:g}{step}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Choices:
    """Values to choose from.

    Attributes:
        options: Label -> value; in a mapping or list, ranges may take the place of numbers: they are searched where
            this one is chosen.
    """

    options: Mapping[str, Any]


Parameter = Range | Choices
Pick = Callable[[str, Parameter], Any]
"""Given the name of a parameter and what it may be: a number of a range, or the label of a choice."""


@dataclass(frozen=True)
class Space:
    """All that a search varies.

    Attributes:
        parameters: Key -> its values.
    """

    parameters: Mapping[str, Parameter]

    def values(self, pick: Pick) -> dict[str, Any]:
        """Key -> value, as ``pick`` decides."""
        return {key: _picked(key, parameter, pick) for key, parameter in self.parameters.items()}

    def inner(self) -> dict[str, Range]:
        """Ranges inside of choices, by the names of their parameters.

        >>> from fulmen.workflows.tuning import read_space
        >>> list(read_space({"model.optimizer": [{"name": "adam", "lr": {"low": 0.1, "high": 1.0}}]}).inner())
        ['model.optimizer=adam: lr']
        """
        return {
            inner_name(key, label, path): found
            for key, parameter in self.parameters.items()
            if isinstance(parameter, Choices)
            for label, template in parameter.options.items()
            for path, found in ranges_in(template)
        }

    def cells(self) -> list[dict[str, Any]]:
        """The Cartesian product: name of a parameter -> number or label, each combination once.

        Raises:
            ConfigError: If a range has no end of values.

        >>> from fulmen.workflows.tuning import read_space
        >>> read_space({"a": [1, 2], "b": {"low": 0, "high": 1}}).cells()
        [{'a': '1', 'b': 0}, {'a': '1', 'b': 1}, {'a': '2', 'b': 0}, {'a': '2', 'b': 1}]
        """
        parts = [list(_cells_of(key, parameter)) for key, parameter in self.parameters.items()]
        return [{name: value for part in cell for name, value in part.items()} for cell in product(*parts)]

    @property
    def size(self) -> int | None:
        """How many combinations there are; ``None`` where a range has no end of values."""
        sizes = [_size(parameter) for parameter in self.parameters.values()]
        return None if None in sizes else math.prod(size for size in sizes if size is not None)

    def describe(self) -> dict[str, str]:
        """Key -> its values, in words."""
        return {
            key: str(p) if isinstance(p, Range) else ", ".join(f"{flow(shown(v))}" for v in p.options.values())
            for key, p in self.parameters.items()
        }

    def samples(self) -> dict[str, list[Any]]:
        """Key -> values that stand for all: every choice, with the ends of ranges in it, and the ends of a range."""
        found: dict[str, list[Any]] = {}
        for key, parameter in self.parameters.items():
            for label in [None] if isinstance(parameter, Range) else list(parameter.options):
                ends = [_picked(key, parameter, _end(label, last)) for last in (0, 1)]
                found.setdefault(key, []).extend(ends if ends[0] != ends[1] else ends[:1])
        return found


def short(key: str) -> str:
    """A key as people write it on the command line.

    >>> short("--model.init_args.optimizer.lr")
    'model.optimizer.lr'
    """
    return re.sub(r"^(model|data)\.init_args\.", r"\1.", key.removeprefix("--"))


def inner_name(key: str, label: str, path: str) -> str:
    """The name of a range inside of a choice."""
    return f"{key}={label}: {path.removeprefix('.')}"


def flow(value: Any) -> str:
    """A value as one line of YAML.

    >>> flow([{"name": "l2", "weight": 0.0001}]), flow("relu"), flow(None)
    ('[{name: l2, weight: 0.0001}]', 'relu', 'null')
    """
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf, sort_keys=False).strip()
    return text.removesuffix("...").strip()


def shown(value: Any) -> Any:
    """A value with its numbers rounded, and its ranges in words, for people."""
    if isinstance(value, Range):
        return str(value)
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: shown(part) for key, part in value.items()}
    return [shown(part) for part in value] if isinstance(value, list) else value


def ranges_in(template: Any, path: str = "") -> Iterator[tuple[str, Range]]:
    """The ranges in a choice, with their paths."""
    if isinstance(template, Range):
        yield path, template
    elif isinstance(template, Mapping):
        for key, value in template.items():
            yield from ranges_in(value, f"{path}.{key}")
    elif isinstance(template, list):
        for key, value in zip(_places(template), template, strict=True):
            yield from ranges_in(value, f"{path}.{key}")


def name_of(value: Any) -> str | None:
    """What a spec, or a list of specs, is called: ``sgd``, ``[l1, l2]``."""
    if isinstance(value, Mapping):
        value = value.get("name")
    if isinstance(value, list):
        names = [name_of(part) for part in value]
        return None if None in names else f"[{', '.join(map(str, names))}]"
    return value if isinstance(value, str) else None


def _places(values: list[Any]) -> list[str]:
    """What the parts of a list are called: by their names where each has its own, else by numbers."""
    names = [name_of(value) for value in values]
    named = None not in names and len(set(names)) == len(names)
    return [str(name) for name in names] if named else [str(i) for i in range(len(values))]


def _filled(template: Any, path: str, value_at: Mapping[str, Any]) -> Any:
    if isinstance(template, Range):
        return value_at[path]
    if isinstance(template, Mapping):
        return {key: _filled(value, f"{path}.{key}", value_at) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(v, f"{path}.{k}", value_at) for k, v in zip(_places(template), template, strict=True)]
    return template


def in_words(template: Any) -> Any:
    """A choice with its ranges in words."""
    return _filled(template, "", {path: str(found) for path, found in ranges_in(template)})


def _picked(key: str, parameter: Parameter, pick: Pick) -> Any:
    if isinstance(parameter, Range):
        return parameter.clean(pick(key, parameter))
    label = pick(key, parameter)
    template = parameter.options[label]
    numbers = {path: found.clean(pick(inner_name(key, label, path), found)) for path, found in ranges_in(template)}
    return _filled(template, "", numbers)


def _cells_of(name: str, parameter: Parameter) -> Iterator[dict[str, Any]]:
    if isinstance(parameter, Range):
        numbers = parameter.grid()
        if numbers is None:
            raise ConfigError(
                f"space: {name}: a grid needs an end of values, and the range {parameter} has none; add a step, write "
                "the values as a list, or take --sampler random or tpe"
            )
        yield from ({name: number} for number in numbers)
        return
    for label, template in parameter.options.items():
        inner = [list(_cells_of(inner_name(name, label, path), found)) for path, found in ranges_in(template)]
        for cell in product(*inner):
            yield {name: label, **{key: value for part in cell for key, value in part.items()}}


def _size(parameter: Parameter) -> int | None:
    if isinstance(parameter, Range):
        grid = parameter.grid()
        return None if grid is None else len(grid)
    total = 0
    for template in parameter.options.values():
        sizes = [_size(found) for _, found in ranges_in(template)]
        if None in sizes:
            return None
        total += math.prod(size for size in sizes if size is not None)
    return total


def _end(label: str | None, last: int) -> Pick:
    return lambda _, p: (p.low, p.high)[last] if isinstance(p, Range) else label
