"""fit, validate, test and predict, as a user types them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from pyarrow import parquet
from tests.conftest import Cli

from fulmen.data import DigitsData, IrisData
from fulmen.modules import MLPModule

Write = Callable[..., Path]


def run_folder(tmp_path: Path, version: int = 0, name: str = "small") -> Path:
    return tmp_path / "runs" / name / f"version_{version}"


def test_fit_ends_with_a_table_and_leaves_a_run_folder(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    result = cli("fit", "--config", write_config())
    assert result.code == 0
    folder = run_folder(tmp_path)
    for name in ("config.yaml", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "test_metrics.json"):
        assert (folder / name).is_file(), name
    scores = json.loads((folder / "test_metrics.json").read_text())
    assert f"accuracy  {scores['test/accuracy']:.4f}".split() in [line.split() for line in result.out.splitlines()]
    assert "runs/small/version_0/checkpoints/best.ckpt" in result.out
    assert "runs/small/version_0/checkpoints/last.ckpt" in result.out


def test_saved_config_gives_the_same_numbers(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    assert cli("fit", "--config", write_config(), "--model.activation", "tanh").code == 0
    assert cli("fit", "--config", run_folder(tmp_path) / "config.yaml").code == 0
    first, second = (run_folder(tmp_path, v) / "test_metrics.json" for v in (0, 1))
    assert first.read_text() == second.read_text()
    saved = [yaml.safe_load((run_folder(tmp_path, v) / "config.yaml").read_text()) for v in (0, 1)]
    assert saved[0] == saved[1]
    assert saved[0]["model"]["init_args"]["activation"] == "tanh"


def test_print_config_is_complete_and_runs(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    printed = cli("fit", "--config", write_config(), "--print_config")
    assert printed.code == 0
    config = yaml.safe_load(printed.out)
    assert config["model"]["init_args"]["dropout"] == 0.0
    assert config["checkpoint"]["monitor"] == "val/loss"
    again = tmp_path / "printed.yaml"
    again.write_text(printed.out)
    assert cli("fit", "--config", again).code == 0


def test_options_win_over_the_config_in_any_order(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config()
    assert cli("fit", "--model.dropout", "0.5", "--config", path, "--trainer.max_epochs", "2").code == 0
    saved = yaml.safe_load((run_folder(tmp_path) / "config.yaml").read_text())
    assert saved["model"]["init_args"]["dropout"] == 0.5
    assert saved["trainer"]["max_epochs"] == 2


@pytest.mark.parametrize(
    ("given", "options", "expected"),
    [
        ({"name": "sgd", "lr": 0.1}, ["--model.optimizer.lr", "3e-4"], {"name": "sgd", "lr": 3e-4}),
        ("sgd", ["--model.optimizer.lr", "3e-4"], {"name": "sgd", "lr": 3e-4}),
        (None, ["--model.optimizer.lr", "3e-4"], {"name": "adam", "lr": 3e-4}),
        (None, ["--model.optimizer", "adamw", "--model.optimizer.lr", "3e-4"], {"name": "adamw", "lr": 3e-4}),
        ({"name": "sgd", "lr": 0.1}, ["--model.optimizer", "{name: adamw, lr: 0.5}"], {"name": "adamw", "lr": 0.5}),
        ({"name": "sgd", "lr": 0.1}, ["--model.optimizer", "rmsprop"], "rmsprop"),
    ],
)
def test_options_reach_into_specs(
    cli: Cli, write_config: Write, given: object, options: list[str], expected: object
) -> None:
    arguments = {} if given is None else {"optimizer": given}
    path = write_config(model={"class_path": "MLPModule", "init_args": arguments})
    printed = cli("fit", "--config", path, *options, "--print_config")
    assert yaml.safe_load(printed.out)["model"]["init_args"]["optimizer"] == expected


def test_best_and_last_mean_those_of_the_newest_run(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config()
    cli("fit", "--config", path)
    cli("fit", "--config", path)
    for which in ("best", "last"):
        result = cli("test", "--config", path, "--ckpt_path", which)
        assert result.code == 0
        assert f"checkpoint: runs/small/version_1/checkpoints/{which}.ckpt" in result.out
    assert "version_1/checkpoints/best.ckpt" in cli("validate", "--config", path).out
    assert not run_folder(tmp_path, 2).exists()


def test_test_gives_the_numbers_that_fit_gave(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config(trainer={"max_epochs": 5, "enable_model_summary": False})
    cli("fit", "--config", path)
    file = run_folder(tmp_path) / "test_metrics.json"
    first = json.loads(file.read_text())
    file.unlink()
    assert cli("test", "--config", path).code == 0
    assert json.loads(file.read_text()) == first


def test_a_model_is_evaluated_as_it_was_trained(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config()
    cli("fit", "--config", path, "--model.activation", "tanh")
    first = json.loads((run_folder(tmp_path) / "test_metrics.json").read_text())
    result = cli("test", "--config", path)  # the config says relu: the same weights, other numbers
    assert "activation: tanh (the config says relu)" in result.out + result.err
    assert json.loads((run_folder(tmp_path) / "test_metrics.json").read_text()) == first


def test_best_of_several_is_found(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config(
        checkpoint={"monitor": "val/accuracy", "mode": "max", "save_top_k": 3, "filename": "{epoch}"},
        trainer={"max_epochs": 4, "enable_model_summary": False},
    )
    cli("fit", "--config", path)
    with (run_folder(tmp_path) / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/accuracy"] and not row["test/accuracy"]]
    best = max(rows, key=lambda row: float(row["val/accuracy"]))["epoch"]
    assert f"epoch={best}.ckpt" in cli("test", "--config", path).out


def test_predict_writes_a_row_a_sample(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config()
    cli("fit", "--config", path)
    assert cli("predict", "--config", path).code == 0
    with (run_folder(tmp_path) / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    data = IrisData()
    data.setup("predict")
    assert [int(row["sample"]) for row in rows] == data.datasets["test"].rows.tolist()  # type: ignore[attr-defined]
    model = MLPModule.load_from_checkpoint(run_folder(tmp_path) / "checkpoints" / "best.ckpt").eval()
    assert data.class_names is not None
    for row in rows:
        probabilities = {name: float(row[f"probability_{name}"]) for name in data.class_names}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert row["prediction"] == max(probabilities, key=lambda name: probabilities[name])
        raw = data.inputs[int(row["sample"])][None]
        with torch.no_grad():
            expected = model(data.normalize(raw)).softmax(1)[0]
        assert list(probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_predict_parquet_of_another_split_and_regression(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config(data={"class_path": "DiabetesData"})
    cli("fit", "--config", path)
    output = tmp_path / "out" / "p.parquet"
    assert cli("predict", "--config", path, "--output", output, "--data.predict_split", "val").code == 0
    table = parquet.read_table(output)
    assert table.column_names == ["sample", "prediction"]
    assert str(table.schema.field("prediction").type) == "double"


def test_short_keys_switch_off(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config(early_stopping=None)
    text = path.read_text() + "early_stopping: null\ncheckpoint: null\nlogger: null\ntest_after_fit: false\n"
    path.write_text(text)
    result = cli("fit", "--config", path)
    assert result.code == 0
    assert "test metric" not in result.out
    left = sorted(p.name for p in run_folder(tmp_path).iterdir())
    assert left == ["config.yaml", "environment.json", "run.json", "split.csv"]


def test_early_stopping_stops(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config(
        model={"class_path": "MLPModule", "init_args": {"optimizer": {"name": "sgd", "lr": 0.0}}},
        trainer={"max_epochs": 50, "enable_model_summary": False},
    )
    cli("fit", "--config", path, "--early_stopping.patience", "2")
    with (run_folder(tmp_path) / "metrics.csv").open() as file:
        epochs = {int(row["epoch"]) for row in csv.DictReader(file) if row["val/loss"] and not row["test/loss"]}
    assert max(epochs) == 2


def test_resume_continues(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config(trainer={"max_epochs": 4, "enable_model_summary": False})
    cli("fit", "--config", path)
    cli("fit", "--config", path, "--trainer.max_epochs", "2")
    result = cli("fit", "--config", path, "--ckpt_path", "last")
    assert "checkpoint: runs/small/version_1/checkpoints/last.ckpt" in result.out
    whole, resumed = (
        torch.load(run_folder(tmp_path, v) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for v in (0, 2)
    )
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key


def test_checkpoint_of_the_command_line_loads_in_python(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    cli("fit", "--config", write_config(), "--model.regularizers", "[{name: l1, weight: 1e-4}]")
    model = MLPModule.load_from_checkpoint(run_folder(tmp_path) / "checkpoints" / "best.ckpt")
    assert model.hparams["hidden_features"] == [16]
    assert model.hparams["class_names"] == ["setosa", "versicolor", "virginica"]
    assert len(model.regularizers) == 1
    assert model(torch.zeros(2, 4)).shape == (2, 3)


def test_classes_in_the_current_folder_are_found(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    (tmp_path / "my_modules_of_test_run.py").write_text(
        "from torch import nn\n"
        "from fulmen import SupervisedModule\n"
        "class Mine(SupervisedModule):\n"
        "    def __init__(self, width: int = 8, **kwargs):\n"
        "        super().__init__(**kwargs)\n"
        "    def build_network(self):\n"
        "        w = self.hparams.width\n"
        "        return nn.Sequential(nn.Linear(self.input_shape[0], w), nn.ReLU(), nn.Linear(w, self.num_outputs))\n"
    )
    path = write_config(model={"class_path": "my_modules_of_test_run.Mine", "init_args": {"width": 4}})
    result = cli("fit", "--config", path, "--model.optimizer.lr", "0.01")
    assert result.code == 0, result.err
    assert cli("test", "--config", path).code == 0


def test_a_network_of_ones_own_by_class_path(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    network = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 4, "out_features": 3}}
    path = write_config(model={"class_path": "NetworkModule", "init_args": {"network": network}})
    assert cli("fit", "--config", path).code == 0
    assert cli("test", "--config", path).code == 0


def test_a_function_that_makes_the_network_and_further_options(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    (tmp_path / "my_networks_of_test_run.py").write_text(
        "from torch import nn\n"
        "def two_layers(width: int) -> nn.Module:\n"
        "    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))\n"
    )
    network = {"class_path": "my_networks_of_test_run.two_layers", "init_args": {"width": 8}}
    path = write_config(model={"class_path": "NetworkModule", "init_args": {"network": network}})
    result = cli("fit", "--config", path, "--model.optimizer", "sgd", "--model.network.init_args.width", "5")
    assert result.code == 0, result.err
    saved = yaml.safe_load((tmp_path / "runs" / "small" / "version_0" / "config.yaml").read_text())
    assert saved["model"]["init_args"]["network"]["init_args"] == {"width": 5}


def test_plain_lightning_classes_work(cli: Cli, write_config: Write) -> None:
    demo = "lightning.pytorch.demos.boring_classes"
    path = write_config(
        model={"class_path": f"{demo}.BoringModel"},
        data={"class_path": f"{demo}.BoringDataModule"},
        early_stopping=None,
    )
    path.write_text(path.read_text() + "early_stopping: null\ncheckpoint: {monitor: null}\n")
    result = cli("fit", "--config", path)
    assert result.code == 0, result.err
    assert "checkpoints/last.ckpt" in result.out


def test_fast_dev_run_leaves_nothing(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    assert cli("fit", "--config", write_config(), "--trainer.fast_dev_run", "true").code == 0
    assert not (tmp_path / "runs").exists()


def test_without_test_data_validation_is_scored(cli: Cli, write_config: Write) -> None:
    result = cli("fit", "--config", write_config(), "--data.test_fraction", "0")
    assert "validation metric" in result.out


def test_weights_of_untrained_model_only_when_asked(cli: Cli, write_config: Write) -> None:
    path = write_config()
    assert cli("test", "--config", path).code == 2
    assert cli("test", "--config", path, "--ckpt_path", "none").code == 0


def test_facts_flow_from_data_to_model(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config(data={"class_path": "DigitsData"}, model={"class_path": "CNNModule"})
    assert cli("fit", "--config", path).code == 0
    saved = torch.load(run_folder(tmp_path) / "checkpoints" / "best.ckpt", weights_only=True)["hyper_parameters"]
    data = DigitsData()
    assert (saved["num_outputs"], saved["input_shape"]) == (data.num_outputs, data.input_shape)
    assert saved["class_names"] == data.class_names


def test_logger_is_auto_csv_or_tensorboard(cli: Cli, write_config: Write) -> None:
    result = cli("fit", "--config", write_config(), "--logger", "tensorboard")
    assert result.code == 2
    assert "pip install tensorboard" in result.error
