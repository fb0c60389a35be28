"""How named checks become a pytest test, and what they know of the component that they check."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from fulmen.core.errors import FulmenError, unknown
from fulmen.core.registry import KINDS, registry
from fulmen.testing.listed import LISTED
from fulmen.testing.state import TORCH_RANDOM, changes, isolated, snapshot

_GROUPS = {what: kind for kind, what in KINDS.items()}


class CheckError(AssertionError):
    """What is wrong with a component, and what its author should change."""


def require(condition: object, message: str) -> None:
    """Fails a check.

    Args:
        condition: What has to be true.
        message: What is wrong and what to change, where it is not.

    Raises:
        CheckError: If it is not.
    """
    if not condition:
        raise CheckError(message)


def leaves_state_alone(make: Callable[[], Callable[[Any], Any]], sample: Callable[[], Any]) -> None:
    """Requires that making a module changes no state but torch's random numbers, and calling it none at all.

    Args:
        make: Makes the module, in evaluation mode.
        sample: Makes its input.

    Raises:
        CheckError: If something is changed.
    """
    before = snapshot()
    module = make()
    changed = [name for name in changes(before) if name != TORCH_RANDOM]
    require(not changed, f"making it changes {', '.join(changed)}")
    x = sample()
    before = snapshot()
    module(x)
    changed = changes(before)
    require(not changed, f"calling it in evaluation changes {', '.join(changed)}")


@dataclass(frozen=True)
class Subject:
    """A component that is checked.

    Attributes:
        kind: A key of :data:`fulmen.testing.listed.LISTED`.
        given: A class, a function that makes one, or what a config calls it.
        options: Its options, as a config gives them.
    """

    kind: str
    given: Any
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str | None:
        """The group of entry points (``activations``); ``None`` for modules and data modules, which have none."""
        return _GROUPS.get(self.kind)

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.given if isinstance(self.given, str) else str(getattr(self.given, "__name__", self.given))

    @cached_property
    def target(self) -> Any:
        """The class or function.

        Raises:
            CheckError: If its name leads nowhere.
        """
        if not isinstance(self.given, str):
            return self.given
        try:
            if self.group is not None:
                return registry().find(self.group, self.given).load()
            module, _, name = self.given.rpartition(".")
            return getattr(import_module(module), name)
        except (FulmenError, ImportError, AttributeError, ValueError) as error:
            raise CheckError(f"{self.given!r} cannot be imported: {error}") from error

    @cached_property
    def name(self) -> str:
        """What a config calls it: its name among the entry points, else its dotted path."""
        if isinstance(self.given, str):
            return self.given
        path: str = self.given.__qualname__
        declared = [] if self.group is None else registry().components(self.group)
        for component in declared:
            if component.value.rpartition(":")[2] == path and registry().problem(component) is None:
                twins = [c for c in declared if c.name == component.name]
                if component.load() is self.given:
                    return component.name if len(twins) == 1 else component.qualified
        return f"{self.given.__module__}.{path}"

    @property
    def spec(self) -> dict[str, Any]:
        """The component as a config gives it."""
        return {"name": self.name, **copy.deepcopy(self.options)}

    @cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Name -> parameter of its signature."""
        return dict(inspect.signature(self.target).parameters)

    @property
    def supplied(self) -> dict[str, Any]:
        """What Fulmen fills in, where it has such arguments."""
        return {}

    def make(self, **more: Any) -> Any:
        """Makes one.

        Args:
            **more: Further options, in place of those given; those it does not have are left out.
        """
        takes_any = any(p.kind is p.VAR_KEYWORD for p in self.parameters.values())
        fitting = {k: v for k, v in {**self.supplied, **more}.items() if takes_any or k in self.parameters}
        return self.target(**{**copy.deepcopy(self.options), **fitting})


Check = Callable[[Any], str | None]
"""Takes a subject; raises :class:`CheckError`, or returns why there was nothing to check, or ``None``."""


@dataclass(frozen=True)
class Plan:
    """What the pytest plugin reads from a test to count its checks.

    Attributes:
        kind: A key of :data:`fulmen.testing.listed.LISTED`.
        label: What the component is called.
        allowed_skips: Names of the checks that may be skipped.
    """

    kind: str
    label: str
    allowed_skips: tuple[str, ...]


def checks_of(kind: str, *modules: ModuleType) -> dict[str, Check]:
    """The checks of a kind by name, in the order of :data:`fulmen.testing.listed.LISTED`.

    Args:
        kind: A key of the list.
        *modules: Where they are; the public functions of these modules are checks.

    Raises:
        RuntimeError: If the modules and the list do not agree.
    """
    found = {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    odd = sorted(set(found) ^ set(LISTED[kind]))
    if odd:
        raise RuntimeError(f"the checks of kind {kind!r} and fulmen.testing.listed differ in {', '.join(odd)}")
    return {name: found[name] for name in LISTED[kind]}


def make_test(
    checks: Mapping[str, Check],
    subject: Subject,
    expected_failures: Mapping[str, str] | None = None,
    allowed_skips: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """A pytest test with one item for each check.

    Args:
        checks: The checks by name.
        subject: What they check.
        expected_failures: Check -> why it fails; it must then fail.
        allowed_skips: Check -> why it may be skipped.

    Raises:
        ValueError: If a check is not known, has no reason, or is named in both.
    """
    failures, skips = dict(expected_failures or {}), dict(allowed_skips or {})
    _check_reasons("expected_failures", failures, checks)
    _check_reasons("allowed_skips", skips, checks)
    both = sorted(set(failures) & set(skips))
    if both:
        raise ValueError(f"expected_failures, allowed_skips: {both[0]!r} is in both; a check fails or is skipped")

    def marks(name: str) -> list[pytest.MarkDecorator]:
        return [pytest.mark.xfail(reason=failures[name], strict=True)] if name in failures else []

    @pytest.mark.parametrize("check", [pytest.param(c, id=n, marks=marks(n)) for n, c in checks.items()])
    def test(check: Check, record_property: Callable[[str, object], None]) -> None:
        nothing, failure = None, ""
        try:
            nothing = run_check(check, subject)
        except CheckError as error:
            failure = str(error)
        if failure:  # outside of the handler, so that the message stands alone
            pytest.fail(f"{subject.label}: {failure}\n({check.__name__}: {_why(check)})", pytrace=False)
        if nothing:
            record_property("fulmen_nothing", nothing)

    test.__doc__ = f"The checks of {subject.kind} {subject.label!r}."
    test.fulmen_plan = Plan(subject.kind, subject.label, tuple(skips))  # type: ignore[attr-defined]
    return test


def run_check(check: Check, subject: Subject) -> str | None:
    """Runs one check with a seed of its own, and puts back the random state that it found.

    Raises:
        CheckError: If the component fails it.
    """
    with isolated():
        return check(subject)


def _check_reasons(argument: str, reasons: Mapping[str, str], checks: Mapping[str, Check]) -> None:
    for name, reason in reasons.items():
        if name not in checks:
            raise ValueError(f"{argument}: {unknown('check', name, checks)}")
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"{argument}: {name!r} needs a reason; write {{{name!r}: 'why'}}")


def _why(check: Check) -> str:
    return " ".join((inspect.getdoc(check) or "").split())
