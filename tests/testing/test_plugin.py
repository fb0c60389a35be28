"""The pytest plugin: what it prints, and when it fails a run."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import fulmen.testing.kit  # noqa: F401 (so that pytester need not import torch anew in each run)
from fulmen.testing.listed import LISTED
from fulmen.testing.plugin import asked_for_a_part

COUNT = len(LISTED["activation"])
SOURCE = """
import pytest
from fulmen.testing.kit import CheckError, Subject, make_test
from fulmen.testing.listed import LISTED

def stub(name, act):
    def check(subject):
        return act(name)
    check.__name__ = name
    check.__doc__ = "A stub."
    return check

def made(act=lambda name: None, names=LISTED["activation"], **more):
    return make_test({n: stub(n, act) for n in names}, Subject("activation", "bump"), **more)

def skipping(name):
    if name == "onnx":
        pytest.skip("no onnx here")

def failing(name):
    if name == "onnx":
        raise CheckError("no")
"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a test file with stubs of checks."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def start(lines: str, *arguments: str, conftest: str = "") -> pytest.RunResult:
        pytester.makepyfile(test_bump=SOURCE + lines)
        if conftest:
            pytester.makeconftest(conftest)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)

    gc.freeze()  # pytest collects garbage five times a run, which takes long with torch in memory
    yield start
    gc.unfreeze()


def line(result: pytest.RunResult) -> str:
    found = [text for text in result.outlines if text.startswith("fulmen.testing:")]
    assert len(found) <= 1
    return found[0].removeprefix("fulmen.testing: ") if found else ""


def test_all_checks_ran(run: Run) -> None:
    result = run("test_bump = made()\ntest_snake = made()")
    assert result.ret == 0
    assert line(result) == f"{2 * COUNT} of {2 * COUNT} checks of 2 components ran"


def test_nothing_is_said_where_the_kit_is_not_used(run: Run) -> None:
    result = run("def test_own(): pass")
    assert (result.ret, line(result)) == (0, "")


def test_an_expected_failure_ran(run: Run) -> None:
    result = run("test_bump = made(failing, expected_failures={'onnx': 'the exporter'})")
    assert (result.ret, line(result)) == (0, f"{COUNT} of {COUNT} checks of 1 component ran (1 expected failure)")


def test_an_expected_failure_that_passes_fails(run: Run) -> None:
    result = run("test_bump = made(expected_failures={'onnx': 'the exporter'})")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*XPASS(strict)*the exporter*"])


def test_a_failure_is_told_without_a_traceback(run: Run) -> None:
    result = run("test_bump = made(failing)")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["bump: no", "(onnx: A stub.)"])
    result.stdout.no_fnmatch_line("*raise CheckError*")
    assert line(result).startswith(f"{COUNT} of {COUNT} ")


def test_what_had_nothing_to_check_is_counted(run: Run) -> None:
    result = run("test_bump = made(lambda name: 'no p' if name == 'onnx' else None)")
    assert (result.ret, line(result)) == (0, f"{COUNT} of {COUNT} checks of 1 component ran (1 had nothing to check)")


def test_a_skip_fails_the_run(run: Run) -> None:
    result = run("test_bump = made(skipping)")
    assert result.ret == 1
    assert line(result) == f"{COUNT - 1} of {COUNT} checks of 1 component ran"
    result.stdout.fnmatch_lines(["*test_bump (bump) did not run: onnx (no onnx here); name a check*"])


def test_a_skip_that_is_allowed_does_not(run: Run) -> None:
    result = run("test_bump = made(skipping, allowed_skips={'onnx': 'not in our CI'})")
    assert (result.ret, line(result)) == (0, f"{COUNT - 1} of {COUNT} checks of 1 component ran (1 allowed skip)")


def test_an_allowed_skip_that_ran_is_no_matter(run: Run) -> None:
    result = run("test_bump = made(allowed_skips={'onnx': 'not in our CI'})")
    assert (result.ret, line(result)) == (0, f"{COUNT} of {COUNT} checks of 1 component ran")


@pytest.mark.parametrize(
    "lines",
    [
        "test_bump = pytest.mark.skip(reason='later')(made())",
        "test_bump = pytest.mark.skipif(True, reason='later')(made())",
        "pytestmark = pytest.mark.skip(reason='later')\ntest_bump = made()",
    ],
)
def test_a_mark_that_skips_all_fails_the_run(run: Run, lines: str) -> None:
    result = run(lines)
    assert (result.ret, line(result)) == (1, f"0 of {COUNT} checks of 1 component ran")


@pytest.mark.parametrize(
    "lines",
    [
        "test_bump = made(names=LISTED['activation'][1:])",
        "LISTED['activation'] = LISTED['activation'][1:]\ntest_bump = made(names=LISTED['activation'])",
        "test_bump = made(names=('renamed', *LISTED['activation'][1:]))",
        "test_bump = made()\ntest_bump.pytestmark[0].args[1].pop(0)",
    ],
    ids=["fewer", "shorter list", "renamed", "popped"],
)
def test_a_shorter_list_fails_the_run(run: Run, monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    first = LISTED["activation"][0]
    monkeypatch.setitem(LISTED, "activation", LISTED["activation"])  # put back what the file changes
    result = run(lines)
    assert (result.ret, line(result)) == (1, f"{COUNT - 1} of {COUNT} checks of 1 component ran")
    result.stdout.fnmatch_lines([f"*did not run: {first};*"])


@pytest.mark.parametrize("kept", [f"items[:{COUNT - 1}]", "[]"])
def test_deselection_by_a_hook_fails_the_run(run: Run, kept: str) -> None:
    hook = f"def pytest_collection_modifyitems(config, items):\n    items[:] = {kept}"
    result = run("test_bump = made()", conftest=hook)
    assert result.ret == 1
    assert line(result).endswith(f" of {COUNT} checks of 1 component ran")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["-k", "shapes"], "-k"),
        (["-qk", "shapes"], "-k"),
        (["-kshapes"], "-k"),
        (["-m", "slow"], "-m"),
        (["--deselect", "test_bump.py::test_bump[onnx]"], "--deselect"),
        (["test_bump.py::test_bump[onnx]"], "test_bump.py::test_bump[onnx]"),
    ],
)
def test_a_part_that_was_asked_for_does_not_fail(run: Run, arguments: list[str], why: str) -> None:
    result = run("test_bump = made()", *arguments)
    assert result.ret in (0, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert line(result).endswith(f" of {COUNT} checks of 1 component ran, a part ({why})")


def test_an_option_of_the_configuration_is_no_wish(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naddopts = -k 'not onnx'")
    result = run("test_bump = made()")
    assert (result.ret, line(result)) == (1, f"{COUNT - 1} of {COUNT} checks of 1 component ran")


def test_last_failed_is_a_part(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_bump=SOURCE + "test_bump = made(failing)")
    assert pytester.runpytest_inprocess().ret == 1
    result = pytester.runpytest_inprocess("--lf")
    assert (result.ret, line(result)) == (1, f"1 of {COUNT} checks of 1 component ran, a part (--lf)")


def test_a_run_that_broke_off_is_a_part(run: Run) -> None:
    result = run("test_a = made(failing)\ntest_b = made()", "-x")
    assert result.ret != 0
    assert line(result).endswith("2 components ran, a part (the run broke off)")


def test_collecting_alone_says_nothing(run: Run) -> None:
    result = run("test_bump = made()", "--collect-only")
    assert (result.ret, line(result)) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], ""),
        (["-v", "tests", "-x", "--tb=short", "-p", "no:cacheprovider"], ""),
        (["-xvs", "-k", "a"], "-k"),
        (["--last-failed"], "--lf"),
        (["--stepwise"], "--sw"),
        (["tests/test_a.py::test_b"], "tests/test_a.py::test_b"),
    ],
)
def test_which_arguments_ask_for_a_part(monkeypatch: pytest.MonkeyPatch, arguments: Any, part: str) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    assert asked_for_a_part(arguments) == part


def test_the_environment_asks_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k 'a b'")
    assert asked_for_a_part([]) == "-k"


def test_the_plugin_imports_nothing_heavy() -> None:
    heavy = ["torch", "lightning", "numpy", "yaml", "jsonargparse", "fulmen.core.registry", "fulmen.testing.kit"]
    code = f"import sys, fulmen.testing.plugin; print(*set({heavy}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
