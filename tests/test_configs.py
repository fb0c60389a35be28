"""Every shipped config: it names its command on its first line, parses completely, and runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tests.conftest import ROOT, Cli

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
DATA = ROOT.parent / "shared" / "data"
COMPILED = {"digits_compiled_cnn"}
"""Those whose first steps take long."""


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_first_line_is_the_command(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith(f"# lightning fit --config configs/{path.name}")


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=[pytest.mark.slow] if p.stem in COMPILED else []) for p in CONFIGS],
    ids=lambda p: p.stem,
)
def test_config_runs(cli: Cli, path: Path, tmp_path: Path) -> None:
    options: list[object] = ["--trainer.max_epochs", 2]
    if path.stem.startswith("ants_bees_"):
        options += own_images(tmp_path)
    if path.stem == "image_table_cnn":
        options += own_image_table(tmp_path)
    if path.stem in OWN_TEXTS:
        options += OWN_TEXTS[path.stem](tmp_path)
    if path.stem in OWN_TABLES:
        options += OWN_TABLES[path.stem](tmp_path)
    if path.stem == "fashion_mnist_cnn":
        options += ["--data.download", "false"]
    result = cli("fit", "--config", path, *options)
    if path.stem == "fashion_mnist_cnn":  # nothing is fetched in a test
        assert result.code == 2
        assert "FashionMNIST is not in" in result.error
        assert "Offline?" in result.error
        return
    assert result.code == 0, result.err
    assert (tmp_path / "runs" / path.stem / "version_0" / "checkpoints" / "best.ckpt").is_file()


def own_images(folder: Path) -> list[object]:
    """Images and backbone weights that take the place of real ones."""
    import timm

    rng = np.random.default_rng(0)
    for name in ("train/ants", "train/bees", "val/ants", "val/bees"):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).save(folder / "images" / name / f"{i}.jpg")
    weights = folder / "weights.pth"
    torch.save(timm.create_model("mobilenetv2_100").state_dict(), weights)
    return [
        "--data.root",
        folder / "images",
        "--data.image_size",
        64,
        "--data.num_workers",
        0,
        "--model.weights",
        weights,
    ]


def own_image_table(folder: Path) -> list[object]:
    """Photos of 20 people."""
    rows = ["path,label,person"]
    for i in range(80):
        Image.new("RGB", (40, 30), (200 * (i % 2), i, 0)).save(folder / f"{i}.jpg")
        rows.append(f"{i}.jpg,{('cat', 'dog')[i % 2]},person {i // 4}")
    (folder / "photos.csv").write_text("\n".join(rows))
    return ["--data.table", folder / "photos.csv", "--data.num_workers", 0]


def texts(count: int = 60, seed: int = 0) -> list[tuple[str, bool]]:
    """Texts that differ in all but one word, and whether they are good."""
    rng = np.random.default_rng(seed)
    letters = rng.choice(list("abcdefgh"), (count, 9, 6))
    return [
        (" ".join(["".join(word) for word in found] + [("bad", "good")[i % 2]]), i % 2 == 1)
        for i, found in enumerate(letters)
    ]


def own_sst2(folder: Path) -> list[object]:
    """Three tables without names of columns."""
    options: list[object] = []
    for seed, split in enumerate(("train", "val", "test")):
        path = folder / f"{split}.tsv"
        path.write_text("".join(f"{text}\t{int(good)}\n" for text, good in texts(seed=seed)))
        options += [f"--data.{split}", path]
    return options


def own_sms(folder: Path) -> list[object]:
    """A table whose quotes are no quotes."""
    lines = ["Label\tSMS", *(f'{("ham", "spam")[good]}\t"{text}' for text, good in texts())]
    (folder / "sms").write_text("\n".join(lines) + "\n")
    return ["--data.train", folder / "sms"]


def own_folders(folder: Path) -> list[object]:
    """One file a text."""
    for i, (text, good) in enumerate(texts()):
        path = folder / "texts" / ("bad", "good")[good] / f"{i}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return ["--data.train", folder / "texts"]


OWN_TEXTS: dict[str, Callable[[Path], list[object]]] = {
    "sst2_text_cnn": own_sst2,
    "sms_spam_text_mlp": own_sms,
    "text_folders_cnn": own_folders,
}


def own_titanic(folder: Path) -> list[object]:
    """Passengers who are made up, some of unknown age."""
    rng = np.random.default_rng(0)
    rows = ["PassengerId,Survived,Pclass,Name,Sex,Age,SibSp,Parch,Ticket,Fare,Cabin,Embarked"]
    for i in range(120):
        sex, age = ("male", "female")[i % 2], "" if i % 9 == 4 else f"{rng.uniform(1, 70):.1f}"
        survived, fare = int(rng.random() < 0.5), f"{rng.uniform(5, 99):.2f}"
        rows.append(f'{i},{survived},{i % 3},"Nobody, {i}",{sex},{age},0,{i % 4},T{i},{fare},,{"SCQ"[i % 3]}')
    (folder / "train.csv").write_text("\n".join(rows))
    return ["--data.train", folder / "train.csv"]


def own_adult(folder: Path) -> list[object]:
    """Two tables of people who are made up, some of unknown work."""
    rng, options = np.random.default_rng(0), []
    for split in ("train", "test"):
        rows = ["age,workclass,hours_per_week,income"]
        for i in range(120):
            age, work = rng.uniform(20, 70), ("Private", "State-gov", "?")[i % 3]
            rows.append(f"{age:.3f},{work},{rng.uniform(10, 60):.3f},{('<=50K', '>50K')[int(age > 45)]}")
        (folder / f"{split}.csv").write_text("\n".join(rows))
        options += [f"--data.{split}", folder / f"{split}.csv"]
    return options


OWN_TABLES = {"titanic_mlp": own_titanic, "adult_mlp": own_adult}


def scores(folder: Path, stage: str = "test") -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / f"{stage}_metrics.json").read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "metric", "least"),
    [
        ("digits_mlp", "accuracy", 0.97),
        ("digits_cnn", "accuracy", 0.985),
        ("iris_mlp", "accuracy", 0.9),
        ("wine_linear", "accuracy", 0.93),
        ("breast_cancer_mlp", "auroc", 0.98),
        ("diabetes_mlp", "r2", 0.35),
        ("spirals_mlp", "accuracy", 0.97),
    ],
)
def test_accuracy_of_shipped_configs(cli: Cli, name: str, metric: str, least: float, tmp_path: Path) -> None:
    assert cli("fit", "--config", ROOT / "configs" / f"{name}.yaml").code == 0
    assert scores(tmp_path / "runs" / name / "version_0")[f"test/{metric}"] >= least


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not here")
def test_ants_and_bees(cli: Cli, tmp_path: Path) -> None:
    weights = DATA / "mobilenetv2_100" / "mobilenetv2_100_imagenet_from_tflite.pth"
    images = DATA / "hymenoptera" / "hymenoptera_data"
    path = ROOT / "configs" / "ants_bees_transfer.yaml"
    assert yaml.safe_load(path.read_text())["trainer"]["max_epochs"] == 5
    assert cli("fit", "--config", path, "--data.root", images, "--model.weights", weights).code == 0
    assert scores(tmp_path / "runs" / path.stem / "version_0", "val")["val/accuracy"] >= 0.94


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not here")
@pytest.mark.parametrize(
    ("name", "metric", "least"), [("sst2_text_cnn", "accuracy", 0.78), ("sms_spam_text_mlp", "f1", 0.93)]
)
def test_real_texts(cli: Cli, name: str, metric: str, least: float, tmp_path: Path) -> None:
    sst2 = DATA / "sst2" / "data" / "SST2"
    options: list[object] = ["--data.train", DATA / "sms_spam" / "SMSSpamCollection"]
    if name == "sst2_text_cnn":
        options = ["--data.train", sst2 / "train.tsv", "--data.val", sst2 / "dev.tsv", "--data.test", sst2 / "test.tsv"]
    assert cli("fit", "--config", ROOT / "configs" / f"{name}.yaml", *options).code == 0
    assert scores(tmp_path / "runs" / name / "version_0")[f"test/{metric}"] >= least


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not here")
@pytest.mark.parametrize(("name", "least"), [("adult_mlp", 0.845), ("titanic_mlp", 0.74)])
def test_real_tables(cli: Cli, name: str, least: float, tmp_path: Path) -> None:
    adult, titanic = DATA / "adult", DATA / "titanic_kaggle" / "titanic"
    options: list[object] = ["--data.train", titanic / "train.csv"]
    if name == "adult_mlp":
        options = ["--data.train", adult / "adult_train.csv", "--data.test", adult / "adult_test.csv"]
    path = ROOT / "configs" / f"{name}.yaml"
    assert cli("fit", "--config", path, *options).code == 0
    assert scores(tmp_path / "runs" / name / "version_0")["test/accuracy"] >= least
    if name == "titanic_mlp":
        assert cli("predict", "--config", path, *options, "--data.predict", titanic / "test.csv").code == 0
        lines = (tmp_path / "runs" / name / "version_0" / "predictions.csv").read_text().splitlines()
        assert len(lines) == 419
        assert lines[1].startswith('"892","died",')
