"""One value of a config changed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fulmen.cli.config_edit import find_target, set_value, write
from fulmen.cli.invocation import Invocation
from fulmen.core.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"
LR = ("model", "init_args", "optimizer", "lr")
SIZE = ("data", "init_args", "batch_size")
HEAD = "model:\n  class_path: M\n  init_args:\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"{HEAD}    optimizer: {{name: sgd, lr: 1.0e-3}}  # why\n\n# data\ndata: 3\n",
            f"{HEAD}    optimizer: {{name: sgd, lr: 2.5e-4}}  # why\n\n# data\ndata: 3\n",
        ),
        (
            f"{HEAD}    optimizer:\n      lr:   1e-3   # a word\n      name: sgd\n",
            f"{HEAD}    optimizer:\n      lr:   2.5e-4   # a word\n      name: sgd\n",
        ),
        (
            f"{HEAD}    optimizer: {{name: sgd }} # why\n",
            f"{HEAD}    optimizer: {{name: sgd, lr: 2.5e-4 }} # why\n",
        ),
        (
            f"{HEAD}    optimizer:\n      name: sgd  # why\n\n# data\ndata: 3\n",
            f"{HEAD}    optimizer:\n      name: sgd  # why\n      lr: 2.5e-4\n\n# data\ndata: 3\n",
        ),
        (f"{HEAD}    optimizer: sgd # why\n", f"{HEAD}    optimizer: {{name: sgd, lr: 2.5e-4}} # why\n"),
        (
            f"{HEAD}    a: [1,\n      2]  # two\ndata: 3\n",
            f"{HEAD}    a: [1,\n      2]  # two\n    optimizer: {{name: adam, lr: 2.5e-4}}\ndata: 3\n",
        ),
        ("model: M", "model: {class_path: M, init_args: {optimizer: {name: adam, lr: 2.5e-4}}}"),
        (
            "model: {class_path: M, init_args: {}}\n",
            "model: {class_path: M, init_args: {optimizer: {name: adam, lr: 2.5e-4}}}\n",
        ),
        (f"{HEAD}data: 3\n", "model:\n  class_path: M\n  init_args: {optimizer: {name: adam, lr: 2.5e-4}}\ndata: 3\n"),
    ],
)
def test_a_rate(text: str, expected: str) -> None:
    assert set_value(text, LR, "2.5e-4", {"optimizer": "adam"}) == expected


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize(("keys", "value"), [(LR, "2.5e-4"), (SIZE, "96")])
def test_all_configs_can_be_edited(path: Path, keys: tuple[str, ...], value: str) -> None:
    text = path.read_text()
    edited = set_value(text, keys, value, {"optimizer": "adam"})
    found = yaml.safe_load(edited)
    for key in keys:
        found = found[key]
    assert found == yaml.safe_load(value)
    kept = set(text.splitlines()) - set(edited.splitlines())
    assert len(kept) <= 1  # the line that was changed, if it was not added
    assert all("#" not in line or line.partition("#")[2] in edited for line in kept)


def test_what_is_shared_is_left_to_the_person() -> None:
    text = f"{HEAD}    optimizer: &shared {{name: sgd, lr: 1.0}}\nother: *shared\n"
    with pytest.raises(ConfigError, match=r"set model.init_args.optimizer.lr: 0.5 by hand"):
        set_value(text, LR, "0.5", {})


def read(*paths: Path) -> Invocation:
    return Invocation.read("fit", [part for path in paths for part in ("--config", str(path))])


def test_the_last_config_that_has_it_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data, new = (tmp_path / f"{name}.yaml" for name in ("model", "data", "new"))
    model.write_text("model: {init_args: {optimizer: {lr: 1.0}}}\n")
    data.write_text("data: {init_args: {batch_size: 4}}\n")
    assert find_target(read(model, data), "", LR).path == model
    assert find_target(read(model, data), "", SIZE).path == data
    assert find_target(read(data), "", LR).path == data
    write(find_target(read(model, data), str(new), LR), LR, "0.5", {})
    assert (new.read_text(), model.read_text()) == (
        "model: {init_args: {optimizer: {lr: 0.5}}}\n",
        "model: {init_args: {optimizer: {lr: 1.0}}}\n",
    )
    assert capsys.readouterr().out == f"written: {new}: model.init_args.optimizer.lr: 0.5\n"
    write(find_target(read(model, data), str(new), SIZE), SIZE, "8", {"data": "IrisData"})  # it is there by now
    assert yaml.safe_load(new.read_text()) == {
        "model": {"init_args": {"optimizer": {"lr": 0.5}}},
        "data": {"class_path": "IrisData", "init_args": {"batch_size": 8}},
    }


def test_mistakes(tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    config.write_text("model: M\n")
    with pytest.raises(ConfigError, match="write: there is no config to write into; give --config FILE"):
        find_target(read(), "", LR)
    with pytest.raises(ConfigError, match=r"write: 'lr.png' is no config; give a file that ends in .yaml"):
        find_target(read(config), "lr.png", LR)
