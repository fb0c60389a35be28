"""The pytest plugin: counts the checks that ran, and fails a run in which fewer ran than the kit lists.

pytest loads it in every environment that has Fulmen; it does nothing where no test is made by the kit. Counting reads
the reports of tests, so that it works with the processes of pytest-xdist as well.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from fulmen.testing.listed import LISTED

_KEY, _NOTHING, _XDIST = "fulmen_check", "fulmen_nothing", "fulmen_components"


@dataclass
class Count:
    """What became of the checks of one component.

    Attributes:
        label: What it is called.
        listed: Names of the checks that the kit lists for its kind.
        allowed_skips: Those that may be skipped.
        ran: Those that ran, whether they passed or not.
        expected: How many of them failed as expected.
        nothing: How many of them found nothing to check.
        skipped: Those that did not run -> why.
    """

    label: str
    listed: tuple[str, ...]
    allowed_skips: tuple[str, ...]
    ran: set[str] = field(default_factory=set)
    expected: int = 0
    nothing: int = 0
    skipped: dict[str, str] = field(default_factory=dict)

    def missing(self) -> list[str]:
        """The checks that should have run and did not, with the reason where there is one."""
        absent = [n for n in self.listed if n not in self.ran and not (n in self.allowed_skips and n in self.skipped)]
        return [f"{n} ({self.skipped[n]})" if n in self.skipped else n for n in absent]


class Counter:
    """Counts the checks of a run.

    Args:
        config: pytest's.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.listed = dict(LISTED)  # as it stands before any test can touch it
        self.counts: dict[str, Count] = {}
        self.part = asked_for_a_part(config.invocation_params.args)
        self.complete = True

    def _count(self, test: str, kind: str, label: str, allowed_skips: Sequence[str]) -> Count:
        return self.counts.setdefault(test, Count(label, self.listed[kind], tuple(allowed_skips)))

    @pytest.hookimpl
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Notes whose check an item is, also for reports of other processes."""
        plan = getattr(getattr(item, "function", None), "fulmen_plan", None)
        if plan is not None:
            test = item.nodeid.partition("[")[0]
            name = item.callspec.params["check"].__name__  # type: ignore[attr-defined]
            mark = [test, plan.kind, plan.label, list(plan.allowed_skips), name]
            item.user_properties.append((_KEY, mark))
            self._count(*mark[:4])

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts a check."""
        properties: dict[str, Any] = dict(report.user_properties)
        if _KEY not in properties:
            return
        test, kind, label, allowed_skips, name = properties[_KEY]
        count = self._count(test, kind, label, allowed_skips)
        expected = hasattr(report, "wasxfail")
        if report.skipped and not expected:
            count.skipped[name] = _reason(report)
        elif report.when == "call":
            count.ran.add(name)
            count.expected += report.skipped
            count.nothing += _NOTHING in properties

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fails the run if checks are missing, unless it was to run a part, or broke off."""
        output = getattr(self.config, "workeroutput", None)
        if output is not None:  # a process of pytest-xdist: the one that started it counts
            output[_XDIST] = [(t, c.label, list(c.listed), list(c.allowed_skips)) for t, c in self.counts.items()]
            return
        self.complete = not (session.shouldstop or session.shouldfail)
        missing = any(count.missing() for count in self.counts.values())
        if missing and not self.part and self.complete and not self.config.option.collectonly:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Notes components of which a process of pytest-xdist ran nothing."""
        for test, label, listed, allowed_skips in getattr(node, "workeroutput", {}).get(_XDIST, ()):
            self.counts.setdefault(test, Count(label, tuple(listed), tuple(allowed_skips)))

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Prints how many checks ran, and which are missing."""
        if not self.counts or self.config.option.collectonly:
            return
        counts = self.counts.values()
        short = {test: missing for test, count in self.counts.items() if (missing := count.missing())}
        line = summary(list(counts))
        if short and (self.part or not self.complete):
            why = self.part or "the run broke off"
            terminalreporter.write_line(f"{line}, a part ({why})")
            return
        terminalreporter.write_line(line, red=bool(short), green=not short)
        for test, missing in short.items():
            terminalreporter.write_line(
                f"  {test} ({self.counts[test].label}) did not run: {', '.join(missing)}; name a check that cannot "
                "run in allowed_skips, one that fails in expected_failures",
                red=True,
            )


def summary(counts: Sequence[Count]) -> str:
    """How many checks ran, in one line.

    >>> summary([Count("bump", ("shapes", "onnx"), (), ran={"shapes"}, skipped={"onnx": "no onnx"})])
    'fulmen.testing: 1 of 2 checks of 1 component ran'
    """
    ran, listed = sum(len(c.ran & set(c.listed)) for c in counts), sum(len(c.listed) for c in counts)
    expected, nothing = sum(c.expected for c in counts), sum(c.nothing for c in counts)
    allowed = sum(name in c.allowed_skips for c in counts for name in c.skipped)
    notes = [
        f"{expected} expected failure{'s' * (expected != 1)}" if expected else "",
        f"{allowed} allowed skip{'s' * (allowed != 1)}" if allowed else "",
        f"{nothing} had nothing to check" if nothing else "",
    ]
    said = ", ".join(filter(None, notes))
    plural = "s" * (len(counts) != 1)
    return f"fulmen.testing: {ran} of {listed} checks of {len(counts)} component{plural} ran{said and f' ({said})'}"


def asked_for_a_part(arguments: Sequence[str]) -> str:
    """Which option of a command line, or of ``PYTEST_ADDOPTS``, asks for a part of the tests; empty for none.

    Options of configuration files do not count: what stands there is no wish of the person who runs the tests.

    >>> asked_for_a_part(["tests", "-k", "bump"]), asked_for_a_part(["-q", "tests"])
    ('-k', '')
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flags in (["-k"], ["-m"], ["--deselect"]):
        parser.add_argument(*flags, dest=flags[0])
    for flags in (["--lf", "--last-failed"], ["--sw", "--stepwise"], ["--sw-skip", "--stepwise-skip"]):
        parser.add_argument(*flags, dest=flags[0], action="store_true")
    for flag in "vqxsl":  # so that `-qk bump` is read as well
        parser.add_argument(f"-{flag}", dest=f"_{flag}", action="store_true")
    given = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *map(str, arguments)]
    known, rest = parser.parse_known_args(given)
    found = [flag for flag, value in vars(known).items() if value and not flag.startswith("_")]
    return found[0] if found else next((a for a in rest if "::" in a and not a.startswith("-")), "")


def _reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the counter."""
    config.pluginmanager.register(Counter(config), "fulmen-testing-counter")
