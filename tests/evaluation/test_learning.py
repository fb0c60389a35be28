from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fulmen.core.errors import DataError
from fulmen.evaluation import Curves, verdict


def curves(train: list[float], val: list[float]) -> Curves:
    return Curves.of({i: {"train/loss": t, "val/loss": v} for i, (t, v) in enumerate(zip(train, val, strict=True))})


FALLING = [2.0 * 0.8**i for i in range(20)]


def test_a_gap_is_overfitting() -> None:
    found = verdict(curves(FALLING, [0.9 + 0.05 * t for t in FALLING]), chance=2.3)
    assert found.kind == "overfitting"
    assert "in epoch 20, the validation loss is 0.901 and the training loss 0.0288 (chance is 2.3)" in found.sentence


def test_a_validation_loss_that_rises_again_is_overfitting() -> None:
    val = [*(t + 0.05 for t in FALLING[:10]), *(0.32 + 0.1 * i for i in range(10))]
    found = verdict(curves(FALLING, val), chance=2.3)
    assert found.kind == "overfitting"
    assert "from epoch 10 on: since then the validation loss went from 0.318 to 1.22" in found.sentence


def test_a_training_loss_near_chance_is_underfitting() -> None:
    found = verdict(curves([2.31, 2.3, 2.29, 2.28], [2.31, 2.3, 2.3, 2.29]), chance=2.303)
    assert found.kind == "underfitting"
    assert "hardly below" in found.sentence


def test_a_training_that_ended_while_it_improved_is_underfitting() -> None:
    steep = [2.2 - 0.15 * i for i in range(10)]
    found = verdict(curves(steep, [t + 0.02 for t in steep]), chance=2.3)
    assert found.kind == "underfitting"
    assert "From epoch 8 to 10 the validation loss fell from 1.17 to 0.87" in found.sentence


def test_curves_that_settle_together_are_neither() -> None:
    train = [0.3 + t for t in FALLING]
    found = verdict(curves(train, [t + 0.03 for t in train]), chance=2.3)
    assert found.kind == "neither"
    assert "close to the training loss of 0.329" in found.sentence
    below = verdict(curves(train, [t - 0.03 for t in train]), chance=2.3)  # dropout makes training look worse
    assert below.kind == "neither"
    assert "not above" in below.sentence


def test_without_chance_the_first_epoch_stands_for_it() -> None:
    found = verdict(curves(FALLING, [1.0] * 20))
    assert found.kind == "overfitting"
    assert "it began at 2" in found.sentence


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Curves.of({0: {"train/loss": 1.0}}), "No validation loss was logged"),
        (Curves.of({0: {"val/loss": 1.0}}), "No training loss was logged"),
        (curves([np.nan, np.nan], [np.nan, 1.0]), "diverged"),
        (curves([0.5], [0.5]), "too few"),
    ],
)
def test_what_cannot_be_told(found: Curves, said: str) -> None:
    assert verdict(found, 2.0).kind == "unknown"
    assert said in verdict(found, 2.0).sentence


def test_curves_are_read_from_the_table_that_lightning_writes(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text(
        "epoch,step,train/loss,train/loss_step,val/loss,test/loss\n"
        "0,9,,0.9,,\n0,9,,,0.8,\n0,9,0.7,,,\n1,19,,,0.5,\n1,19,0.4,,,\n2,20,,,,0.6\n2,20,,,0.1,\n"
    )
    found = Curves.read(file)
    assert found.epochs.tolist() == [0, 1]  # the closing test and validation are no epochs
    assert found.values["val/loss"].tolist() == [0.8, 0.5]
    assert found.values["train/loss"].tolist() == [0.7, 0.4]
    assert found.best() == 1
    assert found.best("val/accuracy") is None
    file.write_text("epoch,step\nx,1\n")
    with pytest.raises(DataError, match="no table of Lightning's CSVLogger"):
        Curves.read(file)
