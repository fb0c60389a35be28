"""What the README shows is what there is."""

import inspect
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml

from fulmen.augment import ImagePipeline
from fulmen.core.spec import resolve

README = (Path(__file__).parents[1] / "README.md").read_text()
ROWS = [yaml.safe_load(line) for line in re.findall(r"^\| `.*\| `(\{name: .*\})` \|$", README, re.MULTILINE)]


def test_every_name_has_a_row() -> None:
    declared = {
        e.name for e in entry_points(group="fulmen.image_augmentations") if e.value.startswith("fulmen_albumentations.")
    }
    assert {row["name"] for row in ROWS} | {"light", "strong"} == declared


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_rows_show_every_option_and_its_default(row: dict[str, Any]) -> None:
    _, target, options = resolve("image_augmentations", row)
    parameters = dict(inspect.signature(target).parameters)
    parameters.pop("image_shape", None)
    assert list(parameters) == list(options)
    for option, parameter in parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            default = parameter.default
            assert options[option] == (default if isinstance(default, str) else pytest.approx(default, rel=1e-4))


def test_the_first_example_works() -> None:
    (config,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    specs = yaml.safe_load(config)["data"]["init_args"]["augment"]
    assert len(ImagePipeline(specs, (1, 8, 8)).transforms) == 4
