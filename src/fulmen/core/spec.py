"""One grammar for everything that can be plugged in.

A *spec* is ``null``, a name, a mapping ``{name: ..., **options}``, or an object, in YAML and in Python alike.
Arguments that take specs are annotated with one of the types below; the command line reads the annotation
and checks names and options when it parses a config, before anything is trained.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

from fulmen.core.errors import ConfigError, FulmenError, SpecError, nearest, unknown
from fulmen.core.registry import KINDS, Component, registry

__all__ = [
    "ActivationSpec",
    "ImageAugmentationSpecs",
    "LossSpec",
    "MetricSpecs",
    "OptimizerSpec",
    "RegularizerSpecs",
    "ScheduleSpec",
    "TextAugmentationSpecs",
    "build",
]

if TYPE_CHECKING:
    Spec = object
    Specs = list[Any] | None
else:  # what the command line's parser is to accept
    Spec = str | dict[str, Any] | None
    Specs = list[str | dict[str, Any]] | None


@dataclass(frozen=True)
class Pluggable:
    """Marks an argument that takes a spec (or, with ``many``, a list of specs) of one kind."""

    kind: str
    many: bool = False


ActivationSpec = Annotated[Spec, Pluggable("activations")]
LossSpec = Annotated[Spec, Pluggable("losses")]
OptimizerSpec = Annotated[Spec, Pluggable("optimizers")]
ScheduleSpec = Annotated[Spec, Pluggable("schedules")]
RegularizerSpecs = Annotated[Specs, Pluggable("regularizers", many=True)]
MetricSpecs = Annotated[Specs, Pluggable("metrics", many=True)]
ImageAugmentationSpecs = Annotated[Specs, Pluggable("image_augmentations", many=True)]
TextAugmentationSpecs = Annotated[Specs, Pluggable("text_augmentations", many=True)]

SUPPLIED = {
    "metrics": {"task", "num_classes", "num_labels", "num_outputs"},
    "optimizers": {"params"},
    "schedules": {"optimizer", "total_steps", "steps_per_epoch"},
    "image_augmentations": {"image_shape"},
}
"""Kind -> arguments that Fulmen fills in itself, where a component has them."""

EXTRA: dict[str, dict[str, Any]] = {
    "metrics": {"log_as": str},
    "optimizers": {"decay_bias_and_norm": bool},
}
"""Kind -> options that Fulmen reads itself, beside those of the component."""


def read(kind: str, spec: object) -> tuple[str, dict[str, Any]]:
    """Splits a spec into a name and its options.

    Raises:
        SpecError: If it is neither a name nor a mapping with one.

    >>> read("activations", {"name": "leaky_relu", "negative_slope": 0.1})
    ('leaky_relu', {'negative_slope': 0.1})
    """
    if isinstance(spec, str) and spec:
        return spec, {}
    if isinstance(spec, Mapping) and isinstance(spec.get("name"), str):
        return spec["name"], {str(k): v for k, v in spec.items() if k != "name"}
    what = KINDS[kind]
    if isinstance(spec, Mapping):
        written = "".join(f", {option}: ..." for option in spec if option != "name")
        raise SpecError(f"{what} {dict(spec)} has no name; write {{name: ...{written}}}")
    raise SpecError(f"{what} {spec!r} is neither a name nor a mapping {{name: ..., option: value}}")


_used: ContextVar[list[Component] | None] = ContextVar("fulmen_used_components", default=None)


@contextmanager
def recording() -> Iterator[list[Component]]:
    """Collects every component that is built inside the ``with`` block, each once."""
    used: list[Component] = []
    token = _used.set(used)
    try:
        yield used
    finally:
        _used.reset(token)


@contextmanager
def at(path: str) -> Iterator[None]:
    """Puts the place in the config in front of the message of an error that is raised inside."""
    try:
        yield
    except FulmenError as error:
        error.place = f"{path}.{error.place}" if error.place else path
        raise


def resolve(kind: str, spec: object) -> tuple[Component, Any, dict[str, Any]]:
    """Finds, imports and checks what a spec names.

    Returns:
        The component, what it is (a class or a function), and the options with the types it declares.

    Raises:
        SpecError: If the name or an option is wrong.
        PluginError: If the plugin that provides it cannot be used.
    """
    name, options = read(kind, spec)
    component = registry().find(kind, name)
    target = component.load()
    what = f"{KINDS[kind]} {name!r}"
    return component, target, _check_options(what, target, options, SUPPLIED.get(kind, set()), EXTRA.get(kind, {}))


def build(kind: str, spec: object, **supplied: Any) -> Any:
    """Makes what a spec describes.

    Args:
        kind: A key of :data:`fulmen.core.registry.KINDS`.
        spec: A name, a mapping with a name and options, a class, or an object, which is returned as it is.
        **supplied: Arguments that the caller fills in; only those that the component has are passed.

    Raises:
        SpecError: If the spec is wrong, or its component refuses the options.
        PluginError: If the plugin that provides it cannot be used.

    >>> build("activations", {"name": "leaky_relu", "negative_slope": 0.1})
    LeakyReLU(negative_slope=0.1)
    """
    if isinstance(spec, type):
        return spec(**_accepted(spec, supplied))
    if spec is None or not isinstance(spec, str | Mapping):
        return spec
    component, target, options = resolve(kind, spec)
    options = {k: v for k, v in options.items() if k not in EXTRA.get(kind, {})}
    used = _used.get()
    if used is not None and component not in used:
        used.append(component)
    try:
        return target(**{**_accepted(target, supplied), **options})
    except ConfigError:
        raise
    except ImportError as error:  # packages that only some of a library's classes need, as nlpaug's need transformers
        raise SpecError(f"{KINDS[kind]} {component.name!r} needs a package that is not installed: {error}") from error
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{k}={v!r}" for k, v in options.items())
        raise SpecError(f"{KINDS[kind]} {component.name!r} refuses ({given}): {error}") from error


def _accepted(target: Callable[..., Any], supplied: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(target).parameters
    return {k: v for k, v in supplied.items() if k in parameters}


def _check_options(
    what: str, target: Any, options: dict[str, Any], supplied: set[str], extra: Mapping[str, Any]
) -> dict[str, Any]:
    parameters = inspect.signature(target).parameters
    named = {n: p for n, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    allowed = (set(named) - supplied) | set(extra)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for option in options:
        passed_on = takes_any and option not in supplied and nearest(option, allowed) is None
        if option not in allowed and not passed_on:
            with at(option):
                raise SpecError(unknown("option", option, allowed, of=what))
    for option, parameter in named.items():
        if parameter.default is parameter.empty and option not in supplied and option not in options:
            raise SpecError(f"{what} needs the option {option!r}; write {{name: ..., {option}: ...}}")
    hints = {**type_hints(target), **extra}
    return {
        k: _typed(k, v, hints[k], what) if k in hints and not _is_default(v, named.get(k)) else v
        for k, v in options.items()
    }


def _is_default(value: Any, parameter: inspect.Parameter | None) -> bool:
    """Whether a value is the default itself: some of others' are ``None`` where the annotation does not say so."""
    return parameter is not None and value is None and parameter.default is None


def type_hints(target: Any) -> dict[str, Any]:
    """The annotations of a component's options; none where they exist only for type checkers."""
    function = target
    if isinstance(target, type):
        function = getattr(target, "__new__" if inspect.isfunction(target.__new__) else "__init__")
    try:
        return get_type_hints(function)
    except (NameError, TypeError):  # annotations of others that exist only for type checkers: unchecked
        return {}


def _typed(option: str, value: Any, hint: Any, what: str) -> Any:
    """The value as its annotation wants it (``"1e-3"`` -> ``0.001``, list -> tuple)."""
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    try:
        parser.add_argument("--value", type=hint)
    except ValueError:  # an annotation that jsonargparse cannot check
        return value
    try:
        if value is None and hint is not Any and type(None) not in get_args(hint):
            raise ArgumentError(None, "null")  # which jsonargparse lets pass
        return parser.parse_object({"value": value}).value
    except ArgumentError as error:
        expected = getattr(hint, "__name__", None) if get_origin(hint) is None else str(hint).replace("typing.", "")
        with at(option):
            raise SpecError(f"{value!r} is not a valid value of {what}; expected {expected or hint}") from error


def arguments(target: Callable[..., Any]) -> dict[str, Pluggable]:
    """The arguments of a class (those of its parents included) or of a function that take specs."""
    found: dict[str, Pluggable] = {}
    parents = [vars(parent).get("__init__") for parent in reversed(target.__mro__)] if isinstance(target, type) else []
    for function in [*parents, target]:
        if not inspect.isfunction(function):
            continue
        try:
            hints = get_type_hints(function, include_extras=True)
        except (NameError, TypeError):  # a user's own, whose annotations exist only for type checkers
            continue
        for name, hint in hints.items():
            for mark in getattr(hint, "__metadata__", ()):
                if isinstance(mark, Pluggable):
                    found[name] = mark
    return found


def check(target: Callable[..., Any], values: Mapping[str, Any], path: str = "") -> list[Component]:
    """Checks every spec among the arguments of a class or function, without building anything.

    Specs inside of specs (``{name: one_of, transforms: [...]}``) are checked as well.

    Args:
        target: What the values are for.
        values: Argument -> value, as a config gives them.
        path: The place of the values in the config, for messages.

    Returns:
        The components that are named; objects are left alone.

    Raises:
        SpecError: At the first wrong one, with its place.
    """
    found = []
    for name, mark in arguments(target).items():
        value, place = values.get(name), f"{path}.{name}".lstrip(".")
        if mark.many and not isinstance(value, list | tuple | type(None)):
            with at(place):
                raise SpecError(f"{value!r} is no list; write [{value!r}]")
        specs = (value or []) if mark.many else [value]
        for i, spec in enumerate(specs):
            if spec is None or not isinstance(spec, str | Mapping | bool | int | float | list):
                continue
            with at(f"{place}[{i}]" if mark.many else place):
                component, inner, options = resolve(mark.kind, spec)
                found += [component, *check(inner, options)]
    return found


def primitive(spec: Any) -> Any:
    """A spec as names, numbers, lists and mappings: a class becomes its dotted path, others stay as they are.

    >>> primitive([int, "relu"])
    ['builtins.int', 'relu']
    """
    if isinstance(spec, type):
        return f"{spec.__module__}.{spec.__qualname__}"
    if isinstance(spec, Mapping):
        return {str(k): primitive(v) for k, v in spec.items()}
    if isinstance(spec, list | tuple):
        return [primitive(v) for v in spec]
    return spec
