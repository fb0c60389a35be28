"""`lightning plugins schema`: what works is valid, and mistakes are not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
import yaml
from tests.conftest import ROOT, Cli, config

from fulmen.cli.plugins import schema as schemas
from fulmen.cli.plugins.schema_types import type_schema
from fulmen.core.registry import KINDS, registry

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return schemas.schema()


@pytest.fixture(scope="module")
def validator(schema: dict[str, Any]) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(schema)


def full() -> dict[str, Any]:
    """A config with a bit of everything."""
    made: dict[str, Any] = copy.deepcopy(config())
    made["model"]["init_args"] = {
        "hidden_features": [16],
        "activation": {"name": "leaky_relu", "negative_slope": 0.1},
        "regularizers": [{"name": "l1", "weight": 0.1}],
        "metrics": ["accuracy", {"name": "f1", "average": "micro", "log_as": "micro_f1"}],
        "optimizer": {"name": "adam", "lr": 0.1, "betas": [0.9, 0.99], "decay_bias_and_norm": False},
        "schedule": "cosine",
    }
    return {
        "seed_everything": 3,
        **made,
        "early_stopping": None,
        "checkpoint": {"monitor": "val/accuracy", "mode": "max"},
        "logger": ["csv"],
    }


def test_schema_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_is_valid(validator: jsonschema.Draft7Validator, path: Path) -> None:
    validator.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_with_all_its_keys_is_valid(validator: jsonschema.Draft7Validator, cli: Cli, path: Path) -> None:
    printed = cli("fit", "--config", path, "--print_config")
    assert printed.code == 0, printed.err
    validator.validate(yaml.safe_load(printed.out))


def test_config_that_a_run_saved_is_valid(
    validator: jsonschema.Draft7Validator, cli: Cli, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_config()
    path.write_text(yaml.safe_dump(full()))
    ended = cli("fit", "--config", path, "--trainer.max_epochs", "1")
    assert ended.code == 0, ended.err
    (saved,) = tmp_path.glob("runs/*/version_0/config.yaml")
    contents = yaml.safe_load(saved.read_text())
    assert contents["provenance"]
    validator.validate(contents)


def put(value: object, *place: str | int) -> Change:
    """A change of a config: another value at a place."""

    def change(config: Any) -> None:
        for key in place[:-1]:
            config = config[key]
        config[place[-1]] = value

    return change


ARGUMENTS = ("model", "init_args")
RIGHT: dict[str, Change] = {
    "as it is": lambda c: None,
    "bare class": put("CNNModule", "model"),
    "full path of a class": put("fulmen.modules.mlp.MLPModule", "model", "class_path"),
    "own class": put({"class_path": "my_file.Wide", "init_args": {"anything": 1}}, "model"),
    "file for a part": put("parts/trainer.yaml", "trainer"),
    "null activation": put(None, *ARGUMENTS, "activation"),
    "bare name": put("gelu", *ARGUMENTS, "activation"),
    "qualified name": put("fulmen:gelu", *ARGUMENTS, "activation"),
    "qualified name with options": put({"name": "fulmen:elu", "alpha": 2.0}, *ARGUMENTS, "activation"),
    "dotted path": put({"name": "my_file.Bump", "width": 1}, *ARGUMENTS, "activation"),
    "callbacks": put([{"class_path": "LearningRateMonitor"}], "trainer", "callbacks"),
    "no early stopping": put(None, "early_stopping"),
    "patience": put({"patience": 3}, "early_stopping"),
    "no model": lambda c: c.pop("model"),  # it may be given on the command line
}
WRONG: dict[str, Change] = {
    "unknown key": put({}, "modle"),
    "unknown class": put("MLPModul", "model", "class_path"),
    "unknown class of ours": put("fulmen.MLPModul", "model", "class_path"),
    "unknown key beside class_path": put({}, "model", "init_arg"),
    "unknown argument": put(0.1, *ARGUMENTS, "dropuot"),
    "wrong type of an argument": put("0.1x", *ARGUMENTS, "dropout"),
    "wrong choice": put("bach", *ARGUMENTS, "normalization"),
    "number for a list": put(16, *ARGUMENTS, "hidden_features"),
    "unknown activation": put("rleu", *ARGUMENTS, "activation"),
    "unknown activation in a mapping": put({"name": "rleu"}, *ARGUMENTS, "activation"),
    "unknown activation of a distribution": put("fulmen:rleu", *ARGUMENTS, "activation"),
    "option that another has": put({"name": "relu", "negative_slope": 0.1}, *ARGUMENTS, "activation"),
    "unknown option of a qualified name": put({"name": "fulmen:elu", "alhpa": 1.0}, *ARGUMENTS, "activation"),
    "wrong type of an option": put({"name": "elu", "alpha": "much"}, *ARGUMENTS, "activation"),
    "mapping without a name": put({"negative_slope": 0.1}, *ARGUMENTS, "activation"),
    "missing option": put([{"name": "l1"}], *ARGUMENTS, "regularizers"),
    "missing option of a bare name": put(["l1"], *ARGUMENTS, "regularizers"),
    "no list": put({"name": "l1", "weight": 0.1}, *ARGUMENTS, "regularizers"),
    "name of another kind": put("adam", *ARGUMENTS, "schedule"),
    "what fulmen fills in": put({"name": "cosine", "total_steps": 3}, *ARGUMENTS, "schedule"),
    "unknown argument of the data": put(32, "data", "init_args", "bach_size"),
    "unknown argument of the trainer": put(3, "trainer", "max_epoch"),
    "wrong type of the trainer": put("many", "trainer", "max_epochs"),
    "unknown argument of early stopping": put({"patince": 3}, "early_stopping"),
    "wrong mode": put("most", "checkpoint", "mode"),
    "unknown logger": put("tensorbord", "logger"),
    "seed in words": put("three", "seed_everything"),
}


@pytest.mark.parametrize("change", RIGHT.values(), ids=RIGHT)
def test_what_works_is_valid(validator: jsonschema.Draft7Validator, change: Change) -> None:
    changed = full()
    change(changed)
    validator.validate(changed)


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_mistakes_are_refused(validator: jsonschema.Draft7Validator, change: Change) -> None:
    changed = full()
    change(changed)
    assert not validator.is_valid(changed)


def test_names_and_options_are_described(schema: dict[str, Any]) -> None:
    for kind in KINDS:
        names = schema["definitions"][kind]["anyOf"][0]["anyOf"][0]
        if "enum" in names:
            assert len(names["enum"]) == len(names["markdownEnumDescriptions"])
            assert set(names["enum"]) <= set(registry().names(kind))
    weight = schema["definitions"]["regularizers.fulmen:l1"]["properties"]["weight"]
    assert weight == {"type": "number", "description": "Strength, >= 0."}
    dropout = schema["definitions"]["model.MLPModule"]["properties"]["dropout"]
    assert dropout["default"] == 0.0
    assert "Probability" in dropout["description"]


def test_every_component_is_there(schema: dict[str, Any]) -> None:
    expected = {f"{c.kind}.{c.qualified}" for c in registry().components()}
    assert expected <= set(schema["definitions"])


def test_schema_is_written_or_printed(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "schema", lambda: {"title": "ours"})
    result = cli("plugins", "schema", "--out", "fulmen.schema.json")
    assert json.loads((tmp_path / "fulmen.schema.json").read_text()) == {"title": "ours"}
    assert "# yaml-language-server: $schema=fulmen.schema.json" in result.out
    assert json.loads(cli("plugins", "schema").out) == {"title": "ours"}
    assert cli("plugins", "schema", "--out", "nowhere/x.json").error.startswith("--out: nowhere/x.json cannot be")
    assert "# yaml-language-server: $schema=fulmen.schema.json" in cli("plugins", "schema", "--help").out


@pytest.mark.parametrize(
    ("hint", "right", "wrong"),
    [
        (list[int], [[], [1]], [1, ["a"]]),
        (dict[str, float], [{"a": 1}], [{"a": "b"}, []]),
        (tuple[int, ...], [[1, 2]], [["a"]]),
        (tuple[int, str], [[1, "a"]], [[1], ["a", 1]]),
        (bool | Literal["warn"], [True, "warn"], ["wran", 1]),
        (Callable[[int], int], ["my_file.f"], [1]),
        (Path | None, ["a/b", None], [1]),
        (type, ["my_file.A"], [1]),
        (Any, [1, "a", None], []),
    ],
)
def test_types(hint: Any, right: list[Any], wrong: list[Any]) -> None:
    validator = jsonschema.Draft7Validator(type_schema(hint))
    assert [value for value in right if not validator.is_valid(value)] == []
    assert [value for value in wrong if validator.is_valid(value)] == []
