"""How checks become a test, and what is refused."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import fulmen.testing
from fulmen.testing import activations, check_activation, datamodules, modules, options, regularizers
from fulmen.testing import image_augmentations as images
from fulmen.testing import text_augmentations as texts
from fulmen.testing.kit import CheckError, Subject, checks_of, make_test, run_check
from fulmen.testing.listed import LISTED
from fulmen.testing.state import changes, isolated, snapshot

KINDS = {
    "activation": activations,
    "regularizer": regularizers,
    "image augmentation": images,
    "text augmentation": texts,
    "module": modules,
    "datamodule": datamodules,
}


@pytest.mark.parametrize("kind", LISTED)
def test_every_listed_check_is_there_and_says_what_it_is_for(kind: str) -> None:
    checks = KINDS[kind].CHECKS
    assert tuple(checks) == LISTED[kind]
    for check in checks.values():
        assert check.__doc__
        assert check.__doc__.rstrip().endswith(".")


def test_a_check_that_is_listed_but_gone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LISTED, "activation", ("found_by_name", "lost"))
    with pytest.raises(RuntimeError, match="lost"):
        checks_of("activation", options)


def test_a_check_that_is_there_but_not_listed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LISTED, "activation", tuple(set(LISTED["activation"]) - {"shapes"}))
    with pytest.raises(RuntimeError, match="differ in shapes"):
        checks_of("activation", options, activations.activation_numbers, activations.activation_use)


@pytest.mark.parametrize("argument", ["expected_failures", "allowed_skips"])
@pytest.mark.parametrize(
    ("reasons", "message"),
    [
        ({"gradient_match": "no"}, "unknown check 'gradient_match'; did you mean 'gradients_match'"),
        ({"onnx": ""}, "'onnx' needs a reason"),
        ({"onnx": " "}, "'onnx' needs a reason"),
        ({"onnx": None}, "'onnx' needs a reason"),
    ],
)
def test_a_reason_is_asked_for(argument: str, reasons: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"{argument}: {message}"):
        check_activation("relu", **{argument: reasons})


def test_a_check_either_fails_or_is_skipped() -> None:
    with pytest.raises(ValueError, match="'onnx' is in both"):
        check_activation("relu", expected_failures={"onnx": "a"}, allowed_skips={"onnx": "b"})


def test_a_test_has_an_item_a_check() -> None:
    (mark,) = check_activation("relu", expected_failures={"onnx": "why"}).pytestmark
    assert [param.id for param in mark.args[1]] == list(LISTED["activation"])
    ((onnx,),) = [param.marks for param in mark.args[1] if param.id == "onnx"]
    assert onnx.kwargs == {"reason": "why", "strict": True}


def test_a_failure_names_the_component_and_says_what_the_check_is_for() -> None:
    def shapes(subject: Subject) -> None:
        """Shapes are kept."""
        raise CheckError("(2, 3) becomes (3, 2)")

    test = make_test({"shapes": shapes}, Subject("activation", "bump"))
    with pytest.raises(pytest.fail.Exception) as caught:
        test(shapes, None)
    assert str(caught.value) == "bump: (2, 3) becomes (3, 2)\n(shapes: Shapes are kept.)"


def test_what_there_was_nothing_of_is_recorded() -> None:
    recorded: dict[str, object] = {}

    def p_zero(subject: Subject) -> str:
        return "it has no p"

    make_test({"p_zero": p_zero}, Subject("activation", "bump"))(p_zero, recorded.__setitem__)
    assert recorded == {"fulmen_nothing": "it has no p"}


def test_options_are_not_shared() -> None:
    subject = Subject("activation", lambda sizes: SimpleNamespace(sizes=sizes), {"sizes": [1]})
    subject.make().sizes.append(2)
    assert subject.make().sizes == [1]
    assert subject.make(other=3).sizes == [1]


@pytest.mark.parametrize("name", ["rleu", "torch.nn.Nothing"])
def test_a_name_that_leads_nowhere_fails(name: str) -> None:
    with pytest.raises(CheckError, match=f"{name!r} cannot be imported"):
        _ = Subject("activation", name).target


def test_a_module_by_a_path_that_leads_nowhere_fails() -> None:
    with pytest.raises(CheckError, match="cannot be imported"):
        _ = Subject("module", "fulmen.modules.Nothing").target


def test_a_check_leaves_no_trace() -> None:
    def meddling(subject: Subject) -> None:
        random.random()
        np.random.rand()  # noqa: NPY002
        torch.rand(1)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True)

    before = snapshot()
    run_check(meddling, Subject("activation", "relu"))
    assert changes(before) == []


def test_a_check_has_the_same_numbers_each_time() -> None:
    def draw() -> tuple[float, float, float]:
        with isolated():
            return random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002

    assert draw() == draw()


def test_an_unknown_name_of_the_kit_is_an_error() -> None:
    with pytest.raises(AttributeError, match="check_optimizer"):
        fulmen.testing.check_optimizer  # noqa: B018
