"""The package is what its README says."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import yaml

from fulmen.core.spec import build
from fulmen.nn.regularizers import Regularizer

README = (Path(__file__).parents[1] / "README.md").read_text()
OWN = {
    e.name: e
    for e in entry_points(group="fulmen.regularizers")
    if e.dist is not None and e.dist.name == "fulmen-regularizers"
}


def test_the_table_lists_what_there_is() -> None:
    table = README[README.index("| name |") : README.index("`lightning plugins info group_lasso`")]
    assert sorted(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == sorted(OWN)
    assert len(OWN) == 15


def test_the_yaml_lines_build_every_one() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)]
    specs = blocks[1]["regularizers"]
    assert sorted(spec["name"] for spec in specs) == sorted(OWN)
    for spec in [*specs, *blocks[0]["model"]["init_args"]["regularizers"]]:
        assert isinstance(build("regularizers", spec), Regularizer)


def test_every_one_is_documented() -> None:
    for entry in OWN.values():
        text = entry.load().__doc__
        assert re.search(r"Args:\n", text), entry.name
        assert re.search(r"\(.+ (19|20)\d\d|https?://", text), f"{entry.name} names no paper"
        options = set(entry.load().__init__.__annotations__) - {"return"}
        assert all(f"{option}: " in text for option in options), entry.name
