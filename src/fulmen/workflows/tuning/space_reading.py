"""A space as people write it, in YAML."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from fulmen.core.errors import ConfigError, unknown
from fulmen.workflows.tuning.space import Choices, Parameter, Range, Space, flow, in_words, name_of, ranges_in, short

_RANGE = ("low", "high", "log", "step")
_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
_KEY = re.compile(r"[A-Za-z_][\w.]*")


def read_space(given: object) -> Space:
    """Reads a space as a YAML file holds it.

    Args:
        given: Key of a config, as on the command line -> a list of choices, or ``{low, high[, log][, step]}``.

    Raises:
        ConfigError: If it is no such thing; the message says what to write.

    >>> read_space({"model.activation": ["relu", "gelu"], "model.dropout": {"low": 0.0, "high": 0.5}}).describe()
    {'model.activation': 'relu, gelu', 'model.dropout': '0..0.5'}
    """
    if not isinstance(given, Mapping) or not given:
        raise ConfigError("space: write keys with their values, such as `model.activation: [relu, gelu]`")
    parameters: dict[str, Parameter] = {}
    for key, values in given.items():
        name = short(str(key))
        if not _KEY.fullmatch(name):
            raise ConfigError(f"space: {key!r} is no key; write it as on the command line, such as model.optimizer.lr")
        if name in parameters:
            raise ConfigError(f"space: {name} is given twice; write it once")
        parameters[name] = _parameter(name, values)
    return Space(parameters)


def _parameter(key: str, given: Any) -> Parameter:
    if isinstance(given, list | tuple):
        return _choices(key, list(given))
    if isinstance(given, Mapping):
        if "low" in given or "high" in given:
            return _range(key, given)
        close = next(iter(given), "...")
        raise ConfigError(
            f"space: {key}: a mapping is a range {{low: ..., high: ...}}; for a key inside write `{key}.{close}: ...`, "
            "for choices a list [...]"
        )
    raise ConfigError(
        f"space: {key}: {given!r} is one value, which leaves nothing to search; write a list [{given}, ...], a range "
        "{low: ..., high: ...}, or put it into the config"
    )


def _choices(key: str, given: list[Any]) -> Choices:
    if not given:
        raise ConfigError(f"space: {key}: the list is empty; write the values to try, such as [relu, gelu]")
    values = [_template(f"{key}[{i}]", value) for i, value in enumerate(given)]
    names = [name_of(value) for value in values]
    options: dict[str, Any] = {}
    for value, name in zip(values, names, strict=True):
        searched = next(ranges_in(value), None) is not None
        label = name if searched and name is not None and names.count(name) == 1 else flow(in_words(value))
        if label in options:
            raise ConfigError(f"space: {key}: {label} stands in the list twice; write it once")
        options[label] = value
    return Choices(options)


def _template(place: str, given: Any) -> Any:
    """A choice, with its ranges read."""
    if isinstance(given, Mapping):
        if "low" in given and "high" in given:
            return _range(place, given)
        return {str(key): _template(f"{place}.{key}", value) for key, value in given.items()}
    if isinstance(given, list | tuple):
        return [_template(f"{place}[{i}]", value) for i, value in enumerate(given)]
    return _number_or(given)


def _number_or(given: Any) -> Any:
    """YAML reads ``1e-4`` as a text; it is meant as a number."""
    return float(given) if isinstance(given, str) and _EXPONENT.fullmatch(given) else given


def _range(key: str, given: Mapping[str, Any]) -> Range:
    for name in given:
        if name not in _RANGE:
            raise ConfigError(f"space: {key}: {unknown('word', str(name), _RANGE, of='a range')}")
    low, high = (_bound(key, name, given) for name in ("low", "high"))
    log, step = given.get("log", False), given.get("step")
    if not isinstance(log, bool):
        raise ConfigError(f"space: {key}: log: {log!r} is not allowed; write true or false")
    if low == high:
        raise ConfigError(f"space: {key}: low and high are both {low}, which leaves nothing to search")
    if low > high:
        raise ConfigError(f"space: {key}: low {low} is above high {high}; write {{low: {high}, high: {low}}}")
    if log and low <= 0:
        raise ConfigError(
            f"space: {key}: log needs low > 0, not {low}; give the least value that matters, such as 1e-5"
        )
    if step is None:
        whole = isinstance(low, int) and isinstance(high, int)
        return Range(low, high, log) if whole else Range(float(low), float(high), log)
    return _stepped(key, low, high, log, _bound(key, "step", given))


def _stepped(key: str, low: float, high: float, log: bool, step: float) -> Range:
    if log:
        raise ConfigError(f"space: {key}: a range has a step or a log scale, not both; write the values as a list")
    if not 0 < step <= high - low:
        raise ConfigError(f"space: {key}: step {step} is out of range; allowed: above 0, {high - low:g} at most")
    last = low + math.floor((high - low) / step + 1e-9) * step
    if all(isinstance(number, int) for number in (low, high, step)):
        return Range(low, last, False, step)
    return Range(float(low), float(f"{last:.12g}"), False, float(step))


def _bound(key: str, name: str, given: Mapping[str, Any]) -> float:
    if name not in given:
        raise ConfigError(f"space: {key}: a range needs low and high; {name} is missing")
    value = _number_or(given[name])
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"space: {key}: {name}: {given[name]!r} is no number")
    return value
