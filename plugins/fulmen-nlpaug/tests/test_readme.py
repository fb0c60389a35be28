"""The README says what is so: its examples are made again, its tables are compared with the code."""

from __future__ import annotations

import inspect
import os
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from fulmen.augment import TextPipeline
from fulmen.core.spec import build

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SST2 = Path(__file__).parents[4] / "shared" / "data" / "sst2" / "data" / "SST2" / "train.tsv"
WORDNET = Path(os.environ.get("FULMEN_WORDNET") or "/usr/share/wordnet")
ENTRIES = {
    entry.name: entry
    for entry in entry_points(group="fulmen.text_augmentations")
    if entry.dist is not None and entry.dist.name == "fulmen-nlpaug"
}

(_block,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
EXAMPLES = {line[:10].strip(): line[10:] for line in _block.splitlines()}
TABLE = {
    name: yaml.safe_load(options)
    for name, options in re.findall(r"^\| `(\w+)` \|.*\| `(\{name: .*\})` \|$", README, re.MULTILINE)
}


def test_every_name_is_there() -> None:
    assert set(ENTRIES) == set(TABLE) == set(EXAMPLES) - {"as it is"}


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_options_and_defaults(name: str) -> None:
    parameters = inspect.signature(ENTRIES[name].load()).parameters.values()
    expected = {p.name: "train.txt" if p.default is p.empty else p.default for p in parameters}
    assert TABLE[name] == {"name": name, **expected}


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_before_and_after(name: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"name": name, "p": 0.3}
    if name in ("synonym", "antonym"):
        if not (WORDNET / "data.noun").is_file():
            pytest.skip(f"no WordNet in {WORDNET}; set FULMEN_WORDNET to its folder")
        options["wordnet"] = str(WORDNET)
    if name == "tfidf":
        if not SST2.is_file():
            pytest.skip("no sst2 in shared/data beside the repository")
        texts = (line.split("\t")[0] for line in SST2.read_text(encoding="utf-8").splitlines())
        options["corpus"] = str(tmp_path / "train.txt")
        Path(options["corpus"]).write_text("\n".join(texts) + "\n", encoding="utf-8")
    pipeline = TextPipeline([options], seed=0)
    assert pipeline([EXAMPLES["as it is"]], torch.tensor([0])) == [EXAMPLES[name]]


def test_configs_can_be_built(wordnet: Path) -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)]
    specs = [spec for block in blocks for spec in block["augment"]]
    assert len(specs) == 6
    for spec in specs:
        if isinstance(spec, dict) and "ContextualWordEmbsAug" in spec["name"]:
            continue  # needs a model
        if isinstance(spec, dict) and "wordnet" in spec:
            spec["wordnet"] = str(wordnet)
        assert callable(build("text_augmentations", spec).augment)


def test_python() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    assert len(namespace["pipeline"](["a film to love"], torch.tensor([0]))) == 1
