"""Nothing that hides in a checkpoint is run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from fulmen.core.checkpoints import load_safely
from fulmen.core.errors import CheckpointError
from fulmen.modules import MLPModule, NetworkModule, TransferModule


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    torch.save({"state_dict": {}, "hyper_parameters": {"x": Trap(tmp_path / "sprung")}}, tmp_path / "trap.ckpt")
    return tmp_path / "trap.ckpt"


def test_a_trap_is_refused_and_not_sprung(trapped: Path) -> None:
    with pytest.raises(CheckpointError, match=r"loaded safely.*system.*any code"):
        load_safely(trapped)
    assert not (trapped.parent / "sprung").exists()
    torch.load(trapped, weights_only=False)  # it is a trap: unsafe loading runs it
    assert (trapped.parent / "sprung").exists()


@pytest.mark.parametrize("kind", [MLPModule, TransferModule, NetworkModule])
def test_every_module_refuses_it(kind: Any, trapped: Path) -> None:
    with pytest.raises(CheckpointError, match="loaded safely"):
        kind.load_from_checkpoint(trapped)
    assert not (trapped.parent / "sprung").exists()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_file_that_was_cut_off_is_named(share: float, tmp_path: Path) -> None:
    path = tmp_path / "cut.ckpt"
    torch.save({"x": torch.arange(1000)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=r"cut\.ckpt.*cut off"):
        load_safely(path)


def test_what_is_no_mapping_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(CheckpointError, match="holds a list"):
        load_safely(tmp_path / "list.ckpt")
