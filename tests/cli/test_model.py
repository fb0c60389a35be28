"""`lightning model`: what is trained, from when on, at which rate."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from tests.conftest import Cli

from fulmen.networks.freezing import stages


@pytest.fixture
def write(tmp_path: Path, write_config: Any) -> Any:
    """A config of a small backbone on images that are made up."""
    rng = np.random.default_rng(0)
    for name in ("train/ants", "train/bees", "val/ants", "val/bees"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "images" / name / f"{i}.png")
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pth")

    def made(**options: Any) -> Path:
        arguments = {"backbone": "test_resnet", "weights": str(tmp_path / "weights.pth"), **options}
        data = {"root": str(tmp_path / "images"), "image_size": 32, "batch_size": 4, "num_workers": 0}
        path: Path = write_config(
            model={"class_path": "TransferModule", "init_args": arguments},
            data={"class_path": "ImageFolderData", "init_args": data},
        )
        return path

    return made


def table(out: str) -> dict[str, list[str]]:
    """Stage -> the cells of its row."""
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("stage "))
    head = lines[start]
    places = [head.index(name) for name in ("stage", "modules", "parameters", "trains", "learning rate", "statistics")]
    found = {}
    for line in lines[start + 1 : lines.index("", start)]:
        cells = [line[a:b].strip() for a, b in zip(places, [*places[1:], None], strict=True)]
        found[cells[0]] = cells[1:]
    return found


def test_table_of_gradual_unfreezing(cli: Cli, write: Any, tmp_path: Path) -> None:
    unfreeze = [{"epoch": 2, "stages": 1, "lr": 1e-4}, {"epoch": 4, "stages": 2}]
    result = cli("model", "--config", write(unfreeze=unfreeze), "--model.schedule", "cosine")
    assert result.code == 0, result.err
    model = timm.create_model("test_resnet", num_classes=1)
    named = dict(model.named_parameters())
    counts = {stage.name: sum(named[p].numel() for p in stage.parameters) for stage in stages(model)}
    rows = table(result.out)
    assert {name: row[1] for name, row in rows.items()} == {name: f"{n:,}" for name, n in counts.items()}
    assert {name: row[2:] for name, row in rows.items()} == {
        "stem": ["no", "-", "rest"],
        "layer1": ["no", "-", "rest"],
        "layer2": ["no", "-", "rest"],
        "layer3": ["from epoch 4", "0.001", "from epoch 4"],
        "layer4": ["from epoch 2", "0.0001", "from epoch 2"],
        "fc": ["yes", "0.001", "-"],
    }
    assert rows["stem"][0] == "conv1, bn1"
    last = [counts["fc"], counts["fc"] + counts["layer4"], counts["fc"] + counts["layer4"] + counts["layer3"]]
    assert f"parameters: {sum(counts.values()):,}\n" in result.out
    assert f"trained: {last[0]:,} at first, {last[1]:,} from epoch 2 on, {last[2]:,} from epoch 4 on\n" in result.out
    assert f"frozen throughout: {sum(counts.values()) - last[2]:,}\n" in result.out
    assert "optimizer: adam\nschedule: cosine, which changes all rates alike" in result.out
    assert "epochs 2, 4 are never reached (trainer.max_epochs is 1)" in result.out
    assert not (tmp_path / "runs").exists()


def test_layer_decay_and_a_module_inside_a_stage(cli: Cli, write: Any) -> None:
    path = write(freeze="until: layer3.0.conv2", layer_decay=0.5, batch_norm="update")
    rows = table(cli("model", "--config", path).out)
    assert [rows[name][3] for name in ("layer2", "layer3", "layer4", "fc")] == ["-", "0.00025", "0.0005", "0.001"]
    assert {row[4] for row in rows.values()} == {"move", "-"}


def test_a_part_of_a_stage(cli: Cli, write: Any) -> None:
    rows = table(cli("model", "--config", write(freeze=["layer4.0.conv*", "stem*", "conv1*"][::2])).out)
    whole = int(rows["layer4"][1].replace(",", ""))
    kept = sum(
        p.numel() for n, p in timm.create_model("test_resnet").named_parameters() if n.startswith("layer4.0.conv")
    )
    assert rows["layer4"][2] == f"{whole - kept:,} of {whole:,}"
    assert rows["layer4"][4] == "move"


def test_json(cli: Cli, write: Any) -> None:
    unfreeze = {"epoch": 1, "every": 2, "lr_factor": 0.5}
    result = cli("model", "--config", write(unfreeze=unfreeze, activation="silu"), "--format", "json")
    found = json.loads(result.out)
    assert found["backbone"] == "test_resnet"
    parts = {part["name"]: part for part in found["parts"]}
    assert [next(iter(parts[name]["trained"])) for name in ("fc", "layer4", "layer3")] == ["0", "1", "3"]
    assert [parts[name]["rates"] for name in ("fc", "layer4", "layer3")] == [[1e-3], [5e-4], [2.5e-4]]
    assert parts["stem"]["modules"] == ["conv1", "bn1"]
    assert "act1" in found["activation_swap"]["exchanged"]


def test_activation_swap_is_reported(cli: Cli, write: Any) -> None:
    assert "activations exchanged: " in cli("model", "--config", write(activation="silu")).out
    assert "activations exchanged" not in cli("model", "--config", write()).out


def test_other_networks(cli: Cli, write_config: Any, tmp_path: Path) -> None:
    result = cli("model", "--config", write_config(), "--model.optimizer.lr", "0.02")
    assert result.code == 0, result.err
    assert {name: row[1:] for name, row in table(result.out).items()} == {
        "hidden": ["80", "yes", "0.02", "-"],
        "head": ["51", "yes", "0.02", "-"],
    }
    assert "parameters: 131\ntrained: 131\nfrozen throughout: 0\n" in result.out
    model = {"class_path": "CNNModule", "init_args": {"normalization": "batch"}}
    result = cli("model", "--config", write_config(model=model, data={"class_path": "DigitsData"}))
    assert result.code == 0, result.err
    assert "move" in {row[4] for row in table(result.out).values()}
    assert not (tmp_path / "runs").exists()


def test_an_optimizer_of_ones_own(cli: Cli, write_config: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom fulmen.modules import MLPModule\n"
        "class Mine(MLPModule):\n"
        "    def configure_optimizers(self):\n"
        "        return torch.optim.SGD(self.parameters(), lr=0.1)\n"
    )
    result = cli("model", "--config", write_config(model={"class_path": "mine.Mine"}))
    assert result.code == 0, result.err
    assert {row[3] for row in table(result.out).values()} == {"own"}
    assert "optimizer: Mine's own" in result.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--model.freeze", "until: layer9"],
            "freeze: until: there is no stage or module 'layer9'; did you mean 'layer",
        ),
        (["--model.unfreeze", "{epoch: 1}", "--model.freeze", "none"], "unfreeze: nothing is frozen"),
        (["--model.unfreeze", "[{epoch: 2, stages: 9}]"], "unfreeze[0].stages: 9 is out of range; allowed: 1 to 5"),
        (["--model.freze", "all"], "did you mean 'freeze'?"),
        (["--fromat", "json"], "fromat: there is no such option; did you mean --format?"),
        (["--zzz", "1"], "`lightning model --help` lists the options of this command"),
    ],
)
def test_mistakes(cli: Cli, write: Any, options: list[str], message: str) -> None:
    result = cli("model", "--config", write(), *options)
    assert result.code == 2
    assert message in result.error


def test_no_config(cli: Cli) -> None:
    result = cli("model")
    assert result.code == 2
    assert "model: nothing is given" in result.error
