import inspect
from typing import Annotated, Any

import pytest
from torch import nn

from fulmen.core import spec as spec_module
from fulmen.core.errors import ConfigError, PluginError, SpecError
from fulmen.core.registry import Component, Registry
from fulmen.core.spec import (
    ActivationSpec,
    Pluggable,
    RegularizerSpecs,
    arguments,
    at,
    build,
    check,
    primitive,
    read,
    recording,
    resolve,
)
from fulmen.modules import MLPModule
from fulmen.nn.regularizers import L1


class Shift(nn.Module):
    """An activation with an option that has no default, and one that only its parent names."""

    def __init__(self, by: float, scale: int = 1, *, tag: str | None = None, **kwargs: Any) -> None:
        super().__init__()
        self.by, self.scale, self.tag, self.rest = by, scale, tag, kwargs


class Closed(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        if size > 9:
            raise ValueError("size must be at most 9")
        self.size = size


@pytest.fixture
def local_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only ``shift``, ``closed``, and a name that two distributions provide."""
    monkeypatch.setattr("fulmen.nn.blocks.Shift", Shift, raising=False)
    monkeypatch.setattr("fulmen.nn.blocks.Closed", Closed, raising=False)
    components = [
        Component("activations", "shift", "fulmen.nn.blocks:Shift", "acme", "1.0"),
        Component("activations", "closed", "fulmen.nn.blocks:Closed", "acme", "1.0"),
        Component("activations", "twice", "torch.nn:ReLU", "acme", "1.0"),
        Component("activations", "twice", "torch.nn:ReLU", "rival", "2.0"),
    ]
    found = Registry(components, {}, {}, "0.1.0")
    monkeypatch.setattr(spec_module, "registry", lambda: found)


# The grammar


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("gelu", ("gelu", {})),
        ("acme:gelu", ("acme:gelu", {})),
        ({"name": "gelu"}, ("gelu", {})),
        ({"name": "leaky_relu", "negative_slope": 0.1}, ("leaky_relu", {"negative_slope": 0.1})),
    ],
)
def test_read(spec: object, expected: tuple[str, dict[str, Any]]) -> None:
    assert read("activations", spec) == expected


def test_read_leaves_the_mapping_alone() -> None:
    spec = {"name": "gelu", "approximate": "tanh"}
    read("activations", spec)[1]["approximate"] = "none"
    assert spec == {"name": "gelu", "approximate": "tanh"}


@pytest.mark.parametrize("spec", ["", None, True, 3, 0.5, [], ["gelu"]])
def test_read_refuses_what_is_neither(spec: object) -> None:
    with pytest.raises(SpecError, match="is neither a name nor a mapping"):
        read("activations", spec)


@pytest.mark.parametrize(
    ("spec", "written"),
    [
        ({}, "{name: ...}"),
        ({"name": 3}, "{name: ...}"),
        ({"name": None, "slope": 1}, "{name: ..., slope: ...}"),
        ({"slope": 1, "inplace": True}, "{name: ..., slope: ..., inplace: ...}"),
    ],
)
def test_read_says_how_to_write_a_mapping_without_a_name(spec: object, written: str) -> None:
    with pytest.raises(SpecError) as raised:
        read("activations", spec)
    assert str(raised.value) == f"activation {spec} has no name; write {written}"


# Building


def test_build_by_name_and_by_mapping() -> None:
    assert isinstance(build("activations", "gelu"), nn.GELU)
    assert build("activations", {"name": "leaky_relu", "negative_slope": 0.1}).negative_slope == 0.1
    assert isinstance(build("activations", "fulmen:gelu"), nn.GELU)
    assert isinstance(build("activations", "torch.nn.GELU"), nn.GELU)


def test_build_passes_objects_through() -> None:
    layer = nn.ReLU()
    assert build("activations", layer) is layer
    assert build("activations", None) is None


def test_build_instantiates_classes_with_what_they_accept() -> None:
    assert isinstance(build("activations", nn.Tanh, elsewhere=1), nn.Tanh)
    assert build("activations", Closed, size=3, elsewhere=1).size == 3


def test_build_fills_in_only_what_the_component_has() -> None:
    metric = build("metrics", "accuracy", task="multiclass", num_classes=3, num_labels=None, num_outputs=3)
    assert metric.num_classes == 3
    assert isinstance(build("metrics", "mse", task="multiclass", num_classes=3), nn.Module)


@pytest.mark.parametrize("spec", [{"name": "l1", "weight": -1}, {"name": "l1", "weight": "-1.0"}])
def test_build_passes_on_what_the_component_says_of_its_options(spec: object) -> None:
    with pytest.raises(ConfigError, match=r"^weight: -1\.0 is out of range; allowed: weight >= 0$"):
        build("regularizers", spec)


@pytest.mark.usefixtures("local_registry")
def test_build_keeps_the_cause() -> None:
    with pytest.raises(SpecError, match=r"'closed' refuses \(size=10\): size must be at most 9") as raised:
        build("activations", {"name": "closed", "size": 10})
    assert isinstance(raised.value.__cause__, ValueError)


# Options


def test_options_take_their_declared_type() -> None:
    _, _, options = resolve("optimizers", {"name": "adam", "lr": "1e-3", "betas": [0.8, "0.9"], "amsgrad": "true"})
    assert options == {"lr": 0.001, "betas": (0.8, 0.9), "amsgrad": True}
    assert isinstance(options["lr"], float)
    assert isinstance(options["betas"], tuple)


def test_whole_number_becomes_the_float_that_is_declared() -> None:
    slope = build("activations", {"name": "leaky_relu", "negative_slope": 1}).negative_slope
    assert isinstance(slope, float)


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        (
            "activations",
            {"name": "leaky_relu", "negative_slop": 1},
            "negative_slop: unknown option 'negative_slop' of activation 'leaky_relu'; did you mean 'negative_slope'? "
            "Allowed: inplace, negative_slope",
        ),
        (
            "activations",
            {"name": "leaky_relu", "negative_slope": "steep"},
            "negative_slope: 'steep' is not a valid value of activation 'leaky_relu'; expected float",
        ),
        (
            "optimizers",
            {"name": "adam", "decay_bias_and_norm": "maybe"},
            "decay_bias_and_norm: 'maybe' is not a valid value of optimizer 'adam'; expected bool",
        ),
        (
            "regularizers",
            {"name": "l1", "weight": 1, "parameters": "some"},
            "parameters: 'some' is not a valid value of regularizer 'l1'; "
            "expected Union[Literal['weights', 'all'], list[str]]",
        ),
        (
            "regularizers",
            "l1",
            "regularizer 'l1' needs the option 'weight'; write {name: ..., weight: ...}",
        ),
    ],
)
def test_wrong_option(kind: str, spec: object, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        resolve(kind, spec)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("metrics", {"name": "accuracy", "task": "binary"}),
        ("metrics", {"name": "f1", "num_classes": 3}),
        ("optimizers", {"name": "adam", "params": []}),
        ("schedules", {"name": "cosine", "total_steps": 10}),
        ("schedules", {"name": "cosine", "steps_per_epoch": 10}),
        ("schedules", {"name": "plateau", "optimizer": None}),
    ],
)
def test_supplied_arguments_are_not_for_the_user(kind: str, spec: dict[str, Any]) -> None:
    option = next(key for key in spec if key != "name")
    with pytest.raises(SpecError, match=f"^{option}: unknown option '{option}' of ") as raised:
        resolve(kind, spec)
    assert option not in str(raised.value).partition("Allowed:")[2].split(", ")


def test_extra_options_are_read_by_fulmen_and_not_passed_on() -> None:
    _, _, options = resolve("metrics", {"name": "accuracy", "log_as": "acc"})
    assert options == {"log_as": "acc"}
    metric = build("metrics", {"name": "accuracy", "log_as": "acc"}, task="multiclass", num_classes=3)
    assert metric.num_classes == 3
    parameters = [nn.Parameter()]
    optimizer = build("optimizers", {"name": "sgd", "lr": 0.1, "decay_bias_and_norm": False}, params=parameters)
    assert optimizer.param_groups[0]["params"] == parameters


def test_extra_options_are_of_their_kind_alone() -> None:
    with pytest.raises(SpecError, match="unknown option 'log_as' of activation 'relu'"):
        resolve("activations", {"name": "relu", "log_as": "acc"})


@pytest.mark.usefixtures("local_registry")
def test_component_that_takes_any_option_gets_what_is_no_slip_of_the_pen() -> None:
    made = build("activations", {"name": "shift", "by": "0.5", "depth": 3})
    assert (made.by, made.rest) == (0.5, {"depth": 3})
    with pytest.raises(SpecError, match="did you mean 'scale'"):
        resolve("activations", {"name": "shift", "by": 1, "scal": 3})


@pytest.mark.usefixtures("local_registry")
def test_required_option_of_a_plugin() -> None:
    with pytest.raises(SpecError, match=r"^activation 'shift' needs the option 'by'"):
        resolve("activations", {"name": "shift", "scale": 2})
    assert resolve("activations", {"name": "shift", "by": 2, "tag": None})[2] == {"by": 2.0, "tag": None}


# Recording


def test_recording_collects_each_component_once() -> None:
    with recording() as used:
        build("activations", "relu")
        build("activations", {"name": "relu", "inplace": True})
        build("losses", "mse")
        build("losses", nn.L1Loss())
    assert [(c.kind, c.name, c.distribution) for c in used] == [
        ("activations", "relu", "fulmen"),
        ("losses", "mse", "fulmen"),
    ]


def test_recording_ends_with_its_block() -> None:
    with recording() as outer:
        with recording() as inner:
            build("activations", "relu")
        build("activations", "gelu")
    build("activations", "tanh")
    assert [c.name for c in inner] == ["relu"]
    assert [c.name for c in outer] == ["gelu"]


# Arguments of classes


def test_arguments_of_the_parents_are_found() -> None:
    assert arguments(MLPModule) == {
        "activation": Pluggable("activations"),
        "loss": Pluggable("losses"),
        "metrics": Pluggable("metrics", many=True),
        "optimizer": Pluggable("optimizers"),
        "schedule": Pluggable("schedules"),
        "regularizers": Pluggable("regularizers", many=True),
    }
    assert "optimizer" not in inspect.signature(MLPModule).parameters


def test_arguments_of_a_class_without_specs() -> None:
    assert arguments(nn.Linear) == {}


class Configured:
    def __init__(self, activation: ActivationSpec = "relu", regularizers: RegularizerSpecs = None) -> None: ...


def test_check_returns_what_is_named() -> None:
    values = {"activation": "gelu", "regularizers": [{"name": "l1", "weight": 1}, L1(2.0), None], "other": "nonsense"}
    assert [(c.kind, c.name) for c in check(Configured, values)] == [("activations", "gelu"), ("regularizers", "l1")]
    assert check(Configured, {}) == []
    assert check(Configured, {"activation": nn.ReLU(), "regularizers": None}) == []
    assert check(Configured, {"activation": nn.ReLU}) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"activation": "rleu"}, "model.init_args.activation: unknown activation 'rleu'; did you mean 'relu'?"),
        ({"activation": {"name": "gelu", "aproximate": "tanh"}}, "model.init_args.activation.aproximate: unknown"),
        ({"activation": 3}, "model.init_args.activation: activation 3 is neither a name nor a mapping"),
        ({"activation": ["relu"]}, "model.init_args.activation: activation ['relu'] is neither"),
        ({"activation": {"slope": 1}}, "model.init_args.activation: activation {'slope': 1} has no name"),
        (
            {"regularizers": [{"name": "l2", "weight": 1}, {"name": "l1", "weight": "heavy"}]},
            "model.init_args.regularizers[1].weight: 'heavy' is not a valid value of regularizer 'l1'",
        ),
        ({"regularizers": [True]}, "model.init_args.regularizers[0]: regularizer True is neither"),
        ({"regularizers": "l1"}, "model.init_args.regularizers: 'l1' is no list; write ['l1']"),
        ({"regularizers": {"name": "l1"}}, "model.init_args.regularizers: {'name': 'l1'} is no list"),
    ],
)
def test_check_says_where(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as raised:
        check(Configured, values, "model.init_args")
    assert str(raised.value).startswith(message)


def test_check_without_a_path_starts_with_the_argument() -> None:
    with pytest.raises(SpecError, match=r"^activation: unknown activation 'rleu'"):
        check(Configured, {"activation": "rleu"})


@pytest.mark.usefixtures("local_registry")
def test_check_says_where_a_plugin_fails() -> None:
    with pytest.raises(PluginError, match=r"^model\.activation: activation 'twice' is provided by acme 1\.0 and rival"):
        check(Configured, {"activation": "twice"}, "model")


def test_check_builds_nothing() -> None:
    with recording() as used:
        check(Configured, {"activation": "gelu", "regularizers": [{"name": "l1", "weight": -1}]})
    assert used == []


def test_at_adds_one_place_a_level() -> None:
    def fail() -> None:
        with at("model"), at("loss"):
            raise ConfigError("wrong")

    with pytest.raises(ConfigError, match=r"^model\.loss: wrong$"):
        fail()


# Primitives


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (None, None),
        ("relu", "relu"),
        (nn.GELU, "torch.nn.modules.activation.GELU"),
        ({"name": nn.GELU, "n": (1, 2)}, {"name": "torch.nn.modules.activation.GELU", "n": [1, 2]}),
        ([nn.GELU, {"name": "l1"}], ["torch.nn.modules.activation.GELU", {"name": "l1"}]),
    ],
)
def test_primitive(spec: object, expected: object) -> None:
    assert primitive(spec) == expected


def test_primitive_leaves_objects_alone() -> None:
    loss = nn.MSELoss()
    assert primitive(loss) is loss
    assert primitive([loss])[0] is loss


def test_primitive_of_a_class_builds_the_same_again() -> None:
    assert isinstance(build("activations", primitive(nn.GELU)), nn.GELU)


ActivationSpecs = Annotated[list[Any] | None, Pluggable("activations", many=True)]


def nested(parts: ActivationSpecs = None) -> None:
    """A component that is made of others."""


def test_specs_inside_of_specs_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Registry.find
    component = Component("activations", "nested", f"{__name__}:nested", "acme", "1.0")
    monkeypatch.setattr(Registry, "find", lambda r, k, n: component if n == "nested" else original(r, k, n))
    monkeypatch.setattr(Component, "load", lambda c: nested if c is component else nn.ReLU)

    def outer(activation: ActivationSpec = None) -> None: ...

    deep: dict[str, Any] = {"name": "nested", "parts": ["relu", {"name": "nested", "parts": ["relu"]}]}
    assert [c.name for c in check(outer, {"activation": deep})] == ["nested", "relu", "nested", "relu"]
    deep["parts"][1]["parts"] = ["relu", "rleu"]
    with pytest.raises(SpecError, match=r"^x.activation.parts\[1\].parts\[1\]: unknown activation 'rleu'"):
        check(outer, {"activation": deep}, "x")


def needs_more() -> None:
    import package_that_nobody_has  # noqa: F401


def test_a_package_that_a_component_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    component = Component("losses", "hungry", f"{__name__}:needs_more", "acme", "1.0")
    monkeypatch.setattr(Registry, "find", lambda *_: component)
    monkeypatch.setattr(Component, "load", lambda _: needs_more)
    with pytest.raises(SpecError, match=r"loss 'hungry' needs a package that is not installed: .*nobody_has"):
        build("losses", "hungry")
