"""`lightning augment`: sheets of images and tables of texts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from tests.conftest import Cli

from fulmen.cli.marks import marked
from fulmen.data import DigitsData

CELL, GAP, HEAD = 144, 8, 44


def cell(sheet: Path, column: int, row: int) -> NDArray[np.uint8]:
    """The pixels of a picture of an 8x8 sheet, one for each block of 18."""
    image = np.asarray(Image.open(sheet).convert("L"))
    top, left = HEAD + row * (CELL + GAP), GAP + column * (CELL + GAP)
    return image[top + 9 : top + CELL : 18, left + 9 : left + CELL : 18]


@pytest.fixture
def digits(write_config: Callable[..., Path]) -> Callable[..., Path]:
    def write(augment: Any) -> Path:
        return write_config(data={"class_path": "DigitsData", "init_args": {"augment": augment}})

    return write


def test_a_sheet_shows_originals_each_alone_and_epochs(cli: Cli, digits: Callable[..., Path], tmp_path: Path) -> None:
    config = digits([{"name": "albumentations.HorizontalFlip", "p": 0.25}, {"name": "albumentations.VerticalFlip"}])
    result = cli("augment", "--config", config, "--out", "sheets/a.png", "--samples", 3, "--views", 2)
    assert result.code == 0, result.err
    assert result.out.startswith("sheets/a.png: 3 training samples; each alone (albumentations.HorizontalFlip, ")
    sheet = tmp_path / "sheets" / "a.png"
    with Image.open(sheet) as image:
        assert image.height == HEAD + 3 * (CELL + GAP) + GAP
    data = DigitsData()
    data.setup("fit")
    rows: Any = data.datasets["train"].rows  # type: ignore[attr-defined]
    images = load_digits().images
    for i in range(3):
        original = np.round(images[rows[i * len(rows) // 3]] / 16 * 255)
        np.testing.assert_array_equal(cell(sheet, 0, i), original)


def test_each_column_stands_below_its_name(cli: Cli, digits: Callable[..., Path], tmp_path: Path) -> None:
    cli("augment", "--config", digits([{"name": "flip", "p": 0.01}]), "--samples", 2, "--views", 4)
    sheet = tmp_path / "augment.png"
    for row in range(2):
        original = cell(sheet, 0, row)
        np.testing.assert_array_equal(cell(sheet, 1, row), original[:, ::-1])  # alone: always
        for epoch in range(4):  # as trained on: with probability 0.01 each
            np.testing.assert_array_equal(cell(sheet, 2 + epoch, row), original)
    title = np.asarray(Image.open(sheet).convert("L"))[:HEAD]
    for column in range(6):
        left = GAP + column * (CELL + GAP)
        assert (title[:, left : left + CELL] < 128).any()


def test_the_command_line_has_the_last_word(cli: Cli, digits: Callable[..., Path]) -> None:
    config = digits(["albumentations.HorizontalFlip"])
    result = cli("augment", "--config", config, "--augment", "[albumentations.Transpose]")
    assert "each alone (albumentations.Transpose)" in result.out
    result = cli("augment", "--config", config, "--data.augment", "[albumentations.VerticalFlip]")
    assert "each alone (albumentations.VerticalFlip)" in result.out
    result = cli("augment", "--data", "DigitsData", "--augment", "albumentations.Transpose")
    assert "each alone (albumentations.Transpose)" in result.out


def test_what_is_drawn_is_what_is_trained_on(cli: Cli, digits: Callable[..., Path], tmp_path: Path) -> None:
    spec = {"name": "albumentations.Affine", "translate_percent": [-0.4, 0.4], "p": 1.0}
    cli("augment", "--config", digits([spec]), "--samples", 1, "--views", 3)
    data = DigitsData(augment=[spec])
    data.setup("fit")
    samples = data.training_samples()
    for epoch in range(3):
        image = samples.__getitems__([epoch * len(samples)]).inputs[0, 0]
        np.testing.assert_array_equal(cell(tmp_path / "augment.png", 2 + epoch, 0), np.round(image.numpy() * 255))


def test_the_seed_is_the_one_that_fit_would_take(cli: Cli, digits: Callable[..., Path], tmp_path: Path) -> None:
    config = digits([{"name": "noise", "p": 1.0}])
    for name, text in (("one.yaml", "1"), ("null.yaml", "null")):
        (tmp_path / name).write_text(f"seed_everything: {text}\n")
    sheets = {}
    for name, options in {
        "none": [],
        "one": ["--config", "one.yaml"],
        "last": ["--config", "null.yaml", "--config", "one.yaml"],
        "typed": ["--config", "one.yaml", "--seed_everything", "0"],
    }.items():
        assert cli("augment", "--config", config, *options, "--out", f"{name}.png").code == 0
        sheets[name] = (tmp_path / f"{name}.png").read_bytes()
    assert sheets["none"] == sheets["typed"] != sheets["one"] == sheets["last"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["data: nothing is given", "--config FILE", "--text TEXT"]),
        (["--data", "DigitsData"], ["augment: the data have none", "--augment '[...]'"]),
        (["--data", "DigitsDat", "--augment", "flip"], ["data.class_path", "did you mean 'DigitsData'?"]),
        (["--data", "DigitsData", "--augment", "flipp"], ["augment[0]", "unknown image augmentation 'flipp'"]),
        (["--data", "DigitsData", "--augment", "[flip"], ["augment: '[flip' is no valid YAML"]),
        (["--data", "DigitsData", "--data.agument", "x"], ["data.init_args.agument", "did you mean 'augment'?"]),
        (["--data", "IrisData", "--augment", "flip"], ["need images (C, H, W)", "[4]"]),
        (["--data", "DigitsData", "--augment", "flip", "--out", "a.xyz"], ["out: 'a.xyz' cannot be written"]),
        (["--data", "DigitsData", "--augment", "flip", "--samples", "0"], ["samples: 0", "at least 1"]),
        (["--data", "DigitsData", "--augment", ""], ["augment: '' names none"]),
        (["--data", "DigitsData", "--augment", "[3]"], ["augment[0]: 'int' is no image augmentation", "{name: ...}"]),
        (["--data", "DigitsData", "--augment", "flip", "--seed_everything", "x"], ["seed_everything: 'x'"]),
        (["--data", "DigitsData", "--augment", "flip", "--data.batch_size", "0"], ["batch_size: 0 is out of range"]),
        (
            ["--data", "ImageFolderData", "--data.root", "nope", "--augment", "flip"],
            ["root: there is no folder 'nope'"],
        ),
        (["--data", "DigitsData", "--augment", "[{name: flip, p: null}]"], ["p: None is not a valid value"]),
        (["--data", "DigitsData", "--augment", "albumentations.Normalize"], ["Leave normalization to the data"]),
        (["--config", "absent.yaml"], ["there is no config file 'absent.yaml'"]),
        (["--data", "DigitsData", "--data.augment", "[{name: flip, q: 1}]"], ["augment", "unknown option 'q'"]),
    ],
)
def test_mistakes_end_with_a_message(cli: Cli, arguments: list[str], words: list[str]) -> None:
    result = cli("augment", *arguments)
    assert result.code == 2
    for word in words:
        assert word in result.error
    assert "Traceback" not in result.err


def test_a_text_is_shown_before_and_after(cli: Cli) -> None:
    before = "the quick brown fox jumps over the lazy dog"
    result = cli("augment", "--text", before, "--augment", "[{name: swap, p: 1.0}, {name: delete, p: 0.5}]")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert [line.split("  ")[0].strip() for line in lines] == ["", "swap", "delete", "epoch 0", "epoch 1", "epoch 2"]
    assert lines[0].strip() == before
    assert "{+" in lines[1]
    assert "[-" in lines[2]
    assert "{+" not in lines[2]
    assert len(set(lines[3:])) > 1


def test_without_specs_every_text_augmentation_is_shown(cli: Cli) -> None:
    from fulmen.core.registry import registry

    result = cli("augment", "--text", "it costs 3.14 dollars", "--text", "second")
    blocks = result.out.strip("\n").split("\n\n")
    assert len(blocks) == 2
    names = [line.split("  ")[0] for line in blocks[0].splitlines()[1:]]
    assert names == registry().names("text_augmentations")


def test_specs_of_a_config_serve_texts_too(cli: Cli, write_config: Callable[..., Path]) -> None:
    config = write_config(data={"class_path": "DigitsData", "init_args": {"augment": [{"name": "swap", "p": 1.0}]}})
    result = cli("augment", "--config", config, "--text", "one two three")
    assert "swap  " in result.out
    assert "{+" in result.out


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("same", "same", "same"),
        ("a b", "a", "a[- b-]"),
        ("a", "a b", "a{+ b+}"),
        ("a b c", "a x c", "a [-b-]{+x+} c"),
        ("", "new", "{+new+}"),
        ("line\nbreak", "line\nbroke", "line\\n[-break-]{+broke+}"),
    ],
)
def test_changes_are_marked(before: str, after: str, expected: str) -> None:
    assert marked(before, after) == expected
