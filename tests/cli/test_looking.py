"""`lightning gradcam`, `lightning mistakes`, and their sheets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import Cli

from fulmen.cli.sheet import Cell, draw_cells
from fulmen.core.errors import ConfigError

Write = Callable[..., Path]
CPU = ("--trainer.accelerator", "cpu")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Class folders of red cats and blue dogs."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 5)):
        for plane, name in ((0, "cat"), (2, "dog")):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 100, (40, 50, 3), np.uint8)
                pixels[..., plane] += 100
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path / "pets"


def on_pets(root: Path) -> dict[str, Any]:
    options = {"lr": 0.01}
    return {
        "model": {
            "class_path": "CNNModule",
            "init_args": {"channels": [4], "normalization": None, "optimizer": {"name": "adam", **options}},
        },
        "data": {"class_path": "ImageFolderData", "init_args": {"root": str(root), "image_size": 32, "num_workers": 0}},
    }


def has_colour(path: Path) -> bool:
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    return bool((abs(pixels[..., 0] - pixels[..., 2]) > 60).any())


def test_looking_at_a_trained_cnn(cli: Cli, write_config: Write, pets: Path) -> None:
    path = write_config(**on_pets(pets))
    assert cli("fit", "--config", path).code == 0

    found = cli("gradcam", "--config", path, *CPU, "--samples", "4", "--out", "a/cam.png")
    assert found.code == 0, found.err
    assert "checkpoint: runs/small/version_0/checkpoints/best.ckpt" in found.out
    assert "a/cam.png: 4 val samples, each beside what speaks for the prediction; layer: features.1" in found.out
    with Image.open("a/cam.png") as sheet:
        assert sheet.width == 2 * (2 * 144 + 4 + 16)
    asked = cli("gradcam", "--config", path, *CPU, "--class", "dog", "--layer", "features.0", "--split", "train")
    assert "gradcam.png: 8 train samples, each beside what speaks for dog; layer: features.0" in asked.out

    found = cli("mistakes", "--config", path, *CPU, "--samples", "3", "--ckpt_path", "last")
    assert found.code == 0, found.err
    lines = found.out.splitlines()
    start = next(i for i, line in enumerate(lines) if "10 val samples are predicted wrongly; their mean loss" in line)
    assert lines[start + 2].split() == ["loss", "prediction", "target", "sample"]
    rows = [line.split() for line in lines[start + 3 : start + 6]]
    assert [float(row[0]) for row in rows] == sorted((float(row[0]) for row in rows), reverse=True)
    assert all(row[-1].startswith(f"val/{row[-2]}/") for row in rows)
    assert lines[-1] == "mistakes.png: the same as pictures"
    plain = cli("mistakes", "--config", path, *CPU, "--samples", "3", "--gradcam", "--out", "with.png")
    assert plain.code == 0, plain.err
    with Image.open("mistakes.png") as small, Image.open("with.png") as large:
        assert large.width > small.width


def test_the_model_is_the_one_that_was_trained(cli: Cli, write_config: Write, pets: Path) -> None:
    """Right where `validate` is right, and the same mean loss."""
    path = write_config(**on_pets(pets))
    assert cli("fit", "--config", path, "--model.channels", "[6]").code == 0
    scored = cli("validate", "--config", path).out
    found = cli("mistakes", "--config", path, *CPU)
    assert "model arguments taken from the checkpoint" in found.out
    loss = next(line.split()[1] for line in scored.splitlines() if line.startswith("loss"))
    accuracy = next(float(line.split()[1]) for line in scored.splitlines() if line.startswith("accuracy"))
    assert f"their mean loss is {float(loss):.3g}"[:-1] in found.out
    assert f"{round(10 * (1 - accuracy))} of 10 val samples" in found.out


def test_tables_have_a_table_alone(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    path = write_config()
    assert cli("fit", "--config", path).code == 0
    found = cli("mistakes", "--config", path, *CPU, "--samples", "2", "--split", "test")
    assert found.code == 0
    assert "test samples are predicted wrongly; their mean loss is " in found.out
    head, *rows = found.out.split("\n\n")[1].strip().splitlines()
    assert (head.split(), len(rows)) == (["loss", "prediction", "target", "sample"], 2)
    assert not list(tmp_path.glob("*.png"))


def test_texts_are_quoted(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    words = ["good", "bad"]
    rows = [f"{words[i % 2]}\tthis film is {words[i % 2]} and number {i} is {'long ' * 20}" for i in range(40)]
    (tmp_path / "films.tsv").write_text("label\ttext\n" + "\n".join(rows) + "\n")
    data = {"class_path": "TextData", "init_args": {"train": "films.tsv", "text": "text", "target": "label"}}
    model = {"class_path": "TextMLPModule", "init_args": {}}
    path = write_config(model=model, data=data)
    fitted = cli("fit", "--config", path)
    assert fitted.code == 0, fitted.err
    found = cli("mistakes", "--config", path, *CPU, "--samples", "2")
    assert found.code == 0, found.err
    rows = found.out.splitlines()[-2:]
    assert all("this film is" in row and row.endswith("...") and "\n" not in row for row in rows)
    refused = cli("mistakes", "--config", path, *CPU, "--gradcam")
    assert refused.error.startswith("gradcam: samples of TextData are no images to draw; leave it out")


@pytest.mark.parametrize(
    ("command", "options", "parts"),
    [
        ("gradcam", (), ("ckpt_path: there is no checkpoint in runs/small", "lightning fit")),
        ("mistakes", ("--ckpt_path", "no.ckpt"), ("ckpt_path: there is no file 'no.ckpt'", "best, last, a path")),
        ("gradcam", ("--ckpt_path", "none"), ("data: Grad-CAM needs images (C, H, W)", "IrisData", "[4]")),
        ("gradcam", ("--ckpt_path", "none", "--samples", "0"), ("samples: 0 is out of range",)),
        ("mistakes", ("--ckpt_path", "none", "--samples", "0"), ("samples: 0 is out of range",)),
        ("mistakes", ("--ckpt_path", "none", "--out", "a.png"), ("out: samples of IrisData are no images to draw",)),
        ("mistakes", ("--ckpt_path", "none", "--split", "all"), ("split: unknown split 'all'", "test, train, val")),
        (
            "mistakes",
            ("--ckpt_path", "none", "--sample", "3"),
            ("sample: there is no such option; did you mean --samples?", "mistakes --help"),
        ),
    ],
)
def test_mistakes(
    cli: Cli, write_config: Write, command: str, options: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    result = cli(command, "--config", write_config(), *CPU, *options)
    assert result.code == 2
    for part in parts:
        assert part in result.error


def test_mistakes_about_images(cli: Cli, write_config: Write, pets: Path) -> None:
    path = write_config(**on_pets(pets))
    look = ("gradcam", "--config", path, *CPU, "--ckpt_path", "none")
    assert "class: unknown class 'cow'; Allowed: cat, dog" in cli(*look, "--class", "cow").error.replace(". Al", "; Al")
    assert "layer: unknown module 'feature'; did you mean 'features'?" in cli(*look, "--layer", "feature").error
    assert "out: 'a.xyz' cannot be written" in cli(*look, "--out", "a.xyz").error
    as_vectors = on_pets(pets)
    as_vectors["model"] = {"class_path": "MLPModule", "init_args": {"hidden_features": [4]}}
    flat = write_config("flat.yaml", **as_vectors)
    refused = cli("gradcam", "--config", flat, *CPU, "--ckpt_path", "none")
    assert "layer: MLP has no convolution" in refused.error


@pytest.mark.parametrize("command", ["gradcam", "mistakes"])
def test_help(cli: Cli, command: str) -> None:
    result = cli(command, "--help")
    assert result.code == 0
    assert "--samples" in result.out


# Sheets


def test_a_grid_of_cells(tmp_path: Path) -> None:
    red, blue = torch.zeros(2, 3, 8, 8)
    red[0], blue[2] = 1, 1
    long = "folder/" * 40 + "name.png"
    cells = [Cell([red, blue], [("right", "black"), (long, "gray")]) for _ in range(5)]
    draw_cells("Five", cells, 2, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (44 + 3 * (144 + 2 * 16 + 16), 2 * (2 * 144 + 4 + 16), 3)
    assert pixels[60, 20].tolist() == [255, 0, 0]
    assert pixels[60, 20 + 148].tolist() == [0, 0, 255]
    assert (pixels[44 + 144 + 20 : 44 + 144 + 30, 8 + 292 : 8 + 308] == 255).all()  # the caption stays in its cell
    assert (pixels[44 + 2 * 192 :, 308:] == 255).all()  # no sixth cell


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    cells = [Cell([torch.zeros(1, 8, 8)], [])]
    with pytest.raises(ConfigError, match=r"^out: .* cannot be written"):
        draw_cells("", cells, 1, tmp_path / "sheet.xyz")
