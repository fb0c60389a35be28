"""The checks that all kinds share, each on a component that is broken in exactly this way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from torch import Tensor, nn

from fulmen import ArrayData, MLPModule
from fulmen.testing.activations import CHECKS
from fulmen.testing.kit import Subject, run_check
from fulmen.testing.module_subject import Module
from fulmen.testing.options import import_changes_nothing

from .conftest import SHARED

if TYPE_CHECKING:
    from collections import OrderedDict


class Good(nn.Module):
    """A line.

    Args:
        slope: Its slope.
    """

    def __init__(self, slope: float = 1.0) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return self.slope * x


class Silent(nn.Module):
    def __init__(self, slope: float = 1.0) -> None:
        super().__init__()


class Undocumented(Silent):
    """A line."""


class Stray(Good):
    """A line.

    Args:
        slope: Its slope.
        slop: Gone since.
    """


class Bare(Good):
    def __init__(self, slope=1.0) -> None:
        super().__init__()


class Unreadable(Good):
    def __init__(self, slope: OrderedDict | None = None) -> None:
        super().__init__()


class Whole(Good):
    def __init__(self, slope: int = 1) -> None:
        super().__init__()


class Greedy(Good):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__()


class Unlike(MLPModule):
    """Takes an object that no config can hold.

    Args:
        sizes: Widths.
    """

    def __init__(self, sizes: list[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)


def local() -> type[nn.Module]:
    class Local(Good):
        pass

    return Local


CASES = [
    ("found_by_name", local(), {}, "does not find it"),
    ("found_by_name", "rleu", {}, "cannot be imported|does not find it"),
    ("options_documented", Silent, {}, "no docstring"),
    ("options_documented", Undocumented, {}, "describes no `slope`"),
    ("options_documented", Stray, {}, "`slop`, which it does not take"),
    ("options_annotated", Bare, {}, "`slope` has no annotation"),
    ("options_annotated", Unreadable, {}, "cannot be read at run time"),
    ("unknown_option_refused", Greedy, {}, "ignores it"),
    ("yaml_round_trip", Good, {"slope": np.float64(0.5)}, "cannot be written to YAML"),
    ("yaml_round_trip", Whole, {"slope": 0.5}, "is refused"),
    ("yaml_round_trip", Good, {"slope": "1e-3"}, "becomes 0.001 by its annotation"),
]


@pytest.mark.parametrize(("name", "component", "options", "message"), CASES)
def test_a_broken_component_fails(
    fails: Callable[..., None], name: str, component: Any, options: dict[str, Any], message: str
) -> None:
    fails(CHECKS[name], Subject("activation", component, options), message)


@pytest.mark.parametrize(
    ("component", "options", "message"),
    [(local(), {}, "cannot be|does not lead"), (Unlike, {"sizes": "many"}, "the command line refuses")],
)
def test_a_broken_module_fails(
    fails: Callable[..., None], component: Any, options: dict[str, Any], message: str
) -> None:
    name = "yaml_round_trip" if options else "found_by_name"
    fails(CHECKS[name], Module("module", component, options), message)


def test_every_shared_check_has_a_broken_component() -> None:
    assert {case[0] for case in CASES} | {"import_changes_nothing"} == SHARED


@pytest.mark.parametrize("name", sorted(SHARED))
@pytest.mark.parametrize(
    "subject",
    [
        Subject("activation", Good, {"slope": 0.5}),
        Module("module", MLPModule, {"hidden_features": [3]}),
    ],
    ids=["class", "module"],
)
def test_a_good_component_passes(name: str, subject: Subject) -> None:
    assert run_check(CHECKS[name], subject) is None


def test_a_class_is_called_by_its_entry_point() -> None:
    assert Subject("activation", nn.ReLU).name == "relu"
    assert Subject("activation", Good).name == f"{__name__}.Good"
    assert Subject("datamodule", ArrayData).name == "fulmen.data.arrays.ArrayData"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import random; random.random()", "Python's random numbers"),
        ("import numpy as np; np.random.seed(1)", "numpy's random numbers"),
        ("import torch; torch.manual_seed(1)", "torch's random numbers"),
        ("import torch; torch.set_default_dtype(torch.float64)", "torch's default dtype"),
        ("import torch; torch.set_grad_enabled(False)", "torch's gradient mode"),
        (
            "import os; os.environ['FULMEN_TEST_SEEN'] = os.environ.get('FULMEN_TEST_SEEN', '') + 'x'",
            r"os.environ \(FULMEN_TEST_SEEN\)",
        ),
        ("import warnings; warnings.simplefilter('ignore', BytesWarning)", "the filters of warnings"),
    ],
)
def test_an_import_that_changes_something_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Callable[..., None], line: str, message: str
) -> None:
    (tmp_path / "meddling.py").write_text(f"class Bump:\n    pass\n{line}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FULMEN_TEST_SEEN", "")
    monkeypatch.delitem(sys.modules, "meddling", raising=False)
    from fulmen.testing.state import isolated

    with isolated():
        import meddling
    try:
        fails(import_changes_nothing, Subject("activation", meddling.Bump), f"importing meddling changes {message}")
    finally:
        sys.modules.pop("meddling")
