import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    FulmenError,
    PluginError,
    SpecError,
    nearest,
    unknown,
)

NAMES = st.lists(st.text(alphabet="abcXY_", min_size=1, max_size=8), unique=True)


@pytest.mark.parametrize("error", [ConfigError, SpecError, PluginError, DataError, CheckpointError])
def test_every_error_is_shown_as_a_message(error: type[Exception]) -> None:
    assert issubclass(error, FulmenError)
    assert str(error("what to type next")) == "what to type next"


@pytest.mark.parametrize("error", [ConfigError, SpecError, DataError])
def test_wrong_values_are_value_errors(error: type[Exception]) -> None:
    assert issubclass(error, ValueError)


@pytest.mark.parametrize("error", [ConfigError, SpecError, PluginError])
def test_place_is_shown_before_the_message(error: type[FulmenError]) -> None:
    raised = error("wrong")
    raised.place = "model.loss"
    assert str(raised) == "model.loss: wrong"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("rleu", "relu"), ("RELU", "relu"), ("leaky", "Leaky_ReLU"), ("relu", "relu"), ("zzz", None), ("", None)],
)
def test_nearest(name: str, expected: str | None) -> None:
    assert nearest(name, ["relu", "gelu", "Leaky_ReLU"]) == expected


@given(NAMES, st.text(max_size=8))
def test_nearest_is_allowed_and_blind_to_order(allowed: list[str], name: str) -> None:
    found = nearest(name, allowed)
    assert found is None or found in allowed
    assert nearest(name, reversed(allowed)) == found


@given(NAMES)
def test_nearest_to_an_allowed_name_differs_in_case_at_most(allowed: list[str]) -> None:
    for name in allowed:
        found = nearest(name, allowed)
        assert found is not None
        assert found.lower() == name.lower()


def test_unknown_says_what_is_allowed_in_order() -> None:
    assert unknown("loss", "xyz", ["mse", "mae"]) == "unknown loss 'xyz'. Allowed: mae, mse"
    assert unknown("loss", "msee", ["mse", "mae"]) == "unknown loss 'msee'; did you mean 'mse'? Allowed: mae, mse"
    assert unknown("plugin", "acme", []) == "unknown plugin 'acme'. Allowed: none"
