"""Mistakes that people make: each ends with exit code 2 before training, and with a message that helps.

Every message names the place, says what is allowed or what to type, and, for a misspelt name, what is nearest.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import Cli, config

from fulmen.core.errors import SpecError

Write = Callable[..., Path]


def model(class_path: str = "MLPModule", **init_args: Any) -> dict[str, Any]:
    return {"model": {"class_path": class_path, "init_args": init_args}}


def data(class_path: str = "IrisData", **init_args: Any) -> dict[str, Any]:
    return {"data": {"class_path": class_path, "init_args": init_args}}


def trainer(**options: Any) -> dict[str, Any]:
    return {"trainer": {"max_epochs": 1, "enable_model_summary": False, **options}}


IN_THE_CONFIG: dict[str, tuple[dict[str, Any], list[str]]] = {
    # misspelt keys
    "top-level key": ({"modle": {"class_path": "MLPModule"}}, ["modle", "'model'", "early_stopping"]),
    "short key": ({"early_stoping": None, "earlystop": 1}, ["'early_stopping'", "Allowed"]),
    "trainer key": (trainer(max_epoch=3), ["trainer.max_epoch", "'trainer.max_epochs'"]),
    "init_arg for init_args": (
        {"model": {"class_path": "MLPModule", "init_arg": {"dropout": 0.1}}},
        ["model.init_arg", "'init_args'"],
    ),
    "model argument": (model(dropuot=0.1), ["model.init_args.dropuot", "'dropout'", "hidden_features"]),
    "data argument": (data(batchsize=3), ["data.init_args.batchsize", "'batch_size'", "val_fraction"]),
    "early stopping argument": ({"early_stopping": {"patienc": 3}}, ["early_stopping.patienc", "'patience'"]),
    "checkpoint argument": ({"checkpoint": {"monitr": "val/loss"}}, ["checkpoint.monitr", "'monitor'"]),
    # misspelt names
    "activation": (model(activation="rleu"), ["model.init_args.activation", "'rleu'", "'relu'", "gelu"]),
    "loss": (model(loss="crossentropy"), ["model.init_args.loss", "'cross_entropy'", "focal"]),
    "metric": (model(metrics=["accuracy", "acuracy"]), ["model.init_args.metrics[1]", "'accuracy'"]),
    "regularizer": (model(regularizers=[{"name": "l3", "weight": 1}]), ["regularizers[0]", "'l3'", "elastic_net"]),
    "optimizer": (model(optimizer={"name": "adm"}), ["model.init_args.optimizer", "'adam'", "sgd"]),
    "schedule": (model(schedule="cosin"), ["model.init_args.schedule", "'cosine'", "one_cycle"]),
    "activation by dotted path": (model(activation="torch.nn.RLeU"), ["model.init_args.activation", "torch.nn"]),
    "dotted path of another kind": (model(activation="os.system"), ["model.init_args.activation", "torch.nn.Module"]),
    # options of specs
    "option": (model(activation={"name": "leaky_relu", "slope": 1}), ["activation.slope", "negative_slope"]),
    "type of an option": (model(optimizer={"name": "adam", "lr": "fast"}), ["optimizer.lr", "'fast'", "float"]),
    "option that is needed": (model(regularizers=["l1"]), ["regularizers[0]", "'weight'", "{name: ..., weight: ...}"]),
    "spec without a name": (model(optimizer={"lr": 0.1}), ["model.init_args.optimizer", "no name", "{name: ..."]),
    "option out of range": (
        model(loss={"name": "cross_entropy", "label_smoothing": 2}),
        ["loss", "label_smoothing", "0 <= label_smoothing < 1"],
    ),
    "class weights that do not fit": (
        model(loss={"name": "cross_entropy", "class_weights": [1, 2]}),
        ["class_weights", "2", "3 classes"],
    ),
    # class paths
    "class": (model("MLPModul"), ["model.class_path", "'MLPModule'", "CNNModule", "my_file.MyClass"]),
    "data class": (data("IrissData"), ["data.class_path", "'IrisData'", "DigitsData"]),
    "module of a class": (
        model("my_modul.Mine"),
        ["model.class_path", "'my_modul.Mine'", "No module named 'my_modul'"],
    ),
    "class in a module": (model("fulmen.MLPModul"), ["model.class_path", "'MLPModule'"]),
    "data where a model belongs": (
        {"model": {"class_path": "fulmen.data.IrisData"}},
        ["model.class_path", "no LightningModule", "MLPModule"],
    ),
    "network": (
        model("NetworkModule", network={"class_path": "torch.nn.Linea"}),
        ["model.init_args.network.class_path", "'Linear'"],
    ),
    "network that is missing": (model("NetworkModule"), ["model.init_args.network", "is required"]),
    # wrong types
    "text for a number": (model(dropout="much"), ["model.init_args.dropout", "'much'", "a number"]),
    "number in a list": (model(hidden_features=["wide"]), ["model.init_args.hidden_features", "a whole number"]),
    "choice": (model(normalization="bach"), ["model.init_args.normalization", "'batch'", "'layer'"]),
    "number for a spec": (model(activation=3), ["model.init_args.activation", "3", "text"]),
    "no list of metrics": (model(metrics="accuracy"), ["model.init_args.metrics", "a list"]),
    "text for max_epochs": (trainer(max_epochs="many"), ["trainer.max_epochs", "'many'", "a whole number"]),
    "list for the model": ({"model": [1, 2]}, ["model", "class_path"]),
    "logger": ({"logger": "wandb"}, ["logger", "'wandb'", "'csv'"]),
    # values out of range
    "dropout": (model(dropout=1.5), ["dropout", "1.5", "0 <= dropout < 1"]),
    "width": (model(hidden_features=[16, 0]), ["hidden_features", "at least 1"]),
    "batch size": (data(batch_size=0), ["batch_size", "at least 1"]),
    "learning rate": (model(optimizer={"name": "sgd", "lr": -1}), ["optimizer", "lr"]),
    "even kernel": (
        {**model("CNNModule", kernel_size=2), **data("DigitsData")},
        ["kernel_size", "2", "odd"],
    ),
    # splits
    "impossible split": (data(val_fraction=0.6, test_fraction=0.5), ["val_fraction", "test_fraction", "below 1"]),
    "negative split": (data(val_fraction=-0.1), ["val_fraction", "0 <= val_fraction < 1"]),
    "split without a class": (data("BlobsData", samples=10, classes=5, val_fraction=0.6), ["no sample of class"]),
    # metrics to watch
    "monitor": ({"early_stopping": {"monitor": "val/los"}}, ["early_stopping.monitor", "'val/loss'", "val/accuracy"]),
    "monitor of a checkpoint": (
        {"checkpoint": {"monitor": "val_accuracy", "mode": "max"}},
        ["checkpoint.monitor", "'val/accuracy'"],
    ),
    "mode": ({"checkpoint": {"monitor": "val/accuracy", "mode": "min"}}, ["checkpoint.mode", "max", "higher"]),
    "monitor without validation": (data(val_fraction=0), ["monitor", "validation data", "null"]),
    "monitor of a schedule": (
        model(schedule={"name": "plateau", "monitor": "val/lss"}),
        ["schedule.monitor", "'val/loss'"],
    ),
    # what does not fit together
    "too many stages": (
        {**model("CNNModule", channels=[8, 8, 8, 8, 8]), **data("DigitsData")},
        ["channels", "8x8", "at most 3"],
    ),
    "vectors for a backbone": (model("TransferModule", freeze="none"), ["input_shape", "(C, H, W)", "(4,)"]),
    "network of another width": (
        model(
            "NetworkModule",
            network={"class_path": "torch.nn.Linear", "init_args": {"in_features": 4, "out_features": 2}},
        ),
        ["Linear", "(2, 2)", "(2, 3)"],
    ),
    "network for other samples": (
        model(
            "NetworkModule",
            network={"class_path": "torch.nn.Linear", "init_args": {"in_features": 5, "out_features": 3}},
        ),
        ["model", "shape (4,)"],
    ),
    "loss of another task": (model(loss="mse"), ["loss"]),
    "loss of many classes for two": (
        {**model(loss={"name": "cross_entropy", "label_smoothing": 0.1}), **data("BreastCancerData")},
        ["loss: CrossEntropy cannot take", "of a binary task", "give binary_cross_entropy"],
    ),
    "task of other targets": (model(task="binary"), ["task", "binary", "2 classes", "3"]),
    "number of outputs": (model(num_outputs=5), ["model.init_args.num_outputs", "5", "3"]),
    "head on random features": (
        {**model("TransferModule"), **data("DigitsData")},
        ["freeze", "pretrained: true", "weights"],
    ),
    "backbone": (
        {**model("TransferModule", backbone="resnt18", freeze="none"), **data("DigitsData")},
        ["backbone", "'resnet18'"],
    ),
    "weights that are missing": (
        {**model("TransferModule", weights="none.pth"), **data("DigitsData")},
        ["weights", "no file 'none.pth'"],
    ),
    "warm-up too long": (model(schedule={"name": "cosine", "warmup_epochs": 9}), ["schedule", "warmup_epochs"]),
    "average that is switched on": ({"ema": True}, ["ema: True is not allowed", "{} for the defaults", "null"]),
    "early stopping that is switched off": ({"early_stopping": False}, ["early_stopping: False", "null"]),
    # data that are missing
    "folder": (data("ImageFolderData", root="nowhere"), ["root", "no folder 'nowhere'"]),
    "root not given": (data("ImageFolderData"), ["data.init_args.root", "is required"]),
    "no data": ({"data": None}, ["data", "class_path"]),
    "no model": ({"model": None}, ["model", "class_path"]),
    "torchvision set": (data("TorchvisionData", name="MINST"), ["data.init_args.name", "'MNIST'"]),
    # the trainer
    "strategy": (trainer(strategy="dpp"), ["trainer", "'ddp'"]),
    "precision": (trainer(precision="17-mixed"), ["trainer", "17-mixed"]),
}


@pytest.mark.parametrize("name", IN_THE_CONFIG)
def test_mistake_in_the_config(cli: Cli, write_config: Write, tmp_path: Path, name: str) -> None:
    changes, expected = IN_THE_CONFIG[name]
    path = write_config(**{**config(), **changes})
    result = cli("fit", "--config", path)
    assert_helpful(result.code, result.err, expected)
    assert not list(tmp_path.glob("runs/*/*/checkpoints/*"))


def assert_helpful(code: int, err: str, expected: list[str]) -> None:
    assert code == 2, err
    message = err[err.index("error: ") :]
    assert "Traceback" not in err
    assert "usage:" not in err
    for part in expected:
        assert part in message, message
    assert len(message) < 1500, message


ON_THE_COMMAND_LINE: dict[str, tuple[list[str], list[str]]] = {
    "command": (["fitt"], ["'fitt'", "'fit'", "predict"]),
    "option": (["fit", "--config", "small.yaml", "--trainer.max_epoch", "3"], ["'trainer.max_epochs'"]),
    "model option": (["fit", "--config", "small.yaml", "--model.dropot", "0.1"], ["model.init_args.dropot", "'dropout'"]),
    "option of a spec": (["fit", "--config", "small.yaml", "--model.optimizer.lrr", "1"], ["optimizer.lrr", "'lr'"]),
    "config file": (["fit", "--config", "smal.yaml"], ["'smal.yaml'", "small.yaml"]),
    "config without a path": (["fit", "--config"], ["--config", "path"]),
    "nothing at all": (["fit"], ["model"]),
    "checkpoint that is missing": (["test", "--config", "small.yaml", "--ckpt_path", "no.ckpt"], ["ckpt_path", "best, last"]),
    "no run yet": (["test", "--config", "small.yaml"], ["runs/small", "train first"]),
    "a checkpoint that is none": (["test", "--config", "small.yaml", "--ckpt_path", "small.yaml"], ["small.yaml", "no checkpoint"]),
    "ending of the output": (["predict", "--config", "small.yaml", "--ckpt_path", "none", "--output", "p.xlsx"], ["output", ".csv or .parquet"]),
    "yaml": (["fit", "--config", "broken.yaml"], ["broken.yaml", "YAML", "line 1"]),
    "list for a config": (["fit", "--config", "list.yaml"], ["list.yaml", "keys and values"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ON_THE_COMMAND_LINE)
def test_mistake_on_the_command_line(cli: Cli, write_config: Write, tmp_path: Path, name: str) -> None:
    write_config()
    (tmp_path / "broken.yaml").write_text("model: {class_path: MLPModule")
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    arguments, expected = ON_THE_COMMAND_LINE[name]
    result = cli(*arguments)
    assert_helpful(result.code, result.err, expected)


def test_labels_out_of_range(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    (tmp_path / "labels_of_mistakes.py").write_text(
        "import torch\n"
        "from fulmen import ArrayData\n"
        "class Bad(ArrayData):\n"
        "    def __init__(self, **kwargs):\n"
        "        super().__init__(torch.rand(40, 4), torch.arange(40) % 4, class_names=['a', 'b', 'c'], **kwargs)\n"
    )
    result = cli("fit", "--config", write_config(**data("labels_of_mistakes.Bad")))
    assert_helpful(result.code, result.err, ["3", "allowed: 0 to 2"])


def image_folder(root: Path, counts: dict[str, int]) -> None:
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(root / name / f"{i}.png")


IMAGES = {"class_path": "ImageFolderData", "init_args": {"root": "images", "image_size": 32, "num_workers": 0}}


def test_empty_class_folder(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    image_folder(tmp_path / "images" / "train", {"cat": 8, "dog": 0})
    result = cli("fit", "--config", write_config(data=IMAGES))
    assert_helpful(result.code, result.err, ["dog", "holds no image"])


def test_class_that_training_lacks(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    image_folder(tmp_path / "images" / "train", {"cat": 8, "dog": 8})
    image_folder(tmp_path / "images" / "val", {"cat": 2, "dgo": 2})
    result = cli("fit", "--config", write_config(data=IMAGES))
    assert_helpful(result.code, result.err, ["'dgo'", "'dog'"])


def test_files_that_are_no_images_refused(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    image_folder(tmp_path / "images", {"cat": 8, "dog": 8})
    (tmp_path / "images" / "cat" / "0.png").write_text("not an image")
    result = cli("fit", "--config", write_config(data=IMAGES), "--data.on_bad_file", "error")
    assert_helpful(result.code, result.err, ["0.png", "on_bad_file: skip"])


def test_checkpoint_of_another_model(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    assert cli("fit", "--config", write_config()).code == 0
    other = write_config("other.yaml", **model("CNNModule", channels=[8]))
    checkpoint = "runs/small/version_0/checkpoints/best.ckpt"
    for command in ("test", "fit"):
        result = cli(command, "--config", other, "--ckpt_path", checkpoint)
        assert_helpful(result.code, result.err, ["MLPModule", "CNNModule", "trained with"])


def test_checkpoint_of_other_widths_cannot_be_resumed(cli: Cli, write_config: Write) -> None:
    path = write_config()
    assert cli("fit", "--config", path).code == 0
    result = cli("fit", "--config", path, "--ckpt_path", "best", "--model.hidden_features", "[8]")
    assert_helpful(result.code, result.err, ["best.ckpt", "hidden_features"])


def test_checkpoint_of_other_data(cli: Cli, write_config: Write) -> None:
    assert cli("fit", "--config", write_config()).code == 0
    other = write_config("other.yaml", data={"class_path": "WineData"})
    result = cli("test", "--config", other, "--ckpt_path", "runs/small/version_0/checkpoints/best.ckpt")
    assert_helpful(result.code, result.err, ["input_shape", "[4]", "[13]"])


def test_checkpoint_that_is_not_safe(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "callbacks": {"path": Path("x")}}, tmp_path / "unsafe.ckpt")
    result = cli("test", "--config", write_config(), "--ckpt_path", "unsafe.ckpt")
    assert_helpful(result.code, result.err, ["unsafe.ckpt", "loaded safely"])


def test_accelerator(cli: Cli, write_config: Write) -> None:
    result = cli("fit", "--config", write_config(), "--trainer.accelerator", "cpuu")
    assert_helpful(result.code, result.err, ["trainer", "'cpu'"])


def test_traceback_only_when_asked(cli: Cli, write_config: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_config(**model(activation="rleu"))
    assert "Traceback" not in cli("fit", "--config", path).err
    monkeypatch.setenv("FULMEN_TRACEBACK", "1")
    with pytest.raises(SpecError):
        cli("fit", "--config", path)


def test_there_are_at_least_forty() -> None:
    assert len(IN_THE_CONFIG) + len(ON_THE_COMMAND_LINE) >= 40
