"""Early stopping and checkpoints with our defaults."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from fulmen.callbacks import Checkpoint, EarlyStopping
from fulmen.data import ArrayData
from fulmen.modules import MLPModule


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    torch.manual_seed(0)


def make_trainer(folder: Path, callbacks: list[Any], **options: Any) -> Trainer:
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    options = {"max_epochs": 1, "default_root_dir": folder, **options}
    return Trainer(accelerator="cpu", callbacks=callbacks, **quiet, **options)


def make_data(**options: Any) -> ArrayData:
    inputs = torch.randn(80, 4)
    return ArrayData(inputs, (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long(), batch_size=16, **options)


def make_module(**options: Any) -> MLPModule:
    return MLPModule(**{"hidden_features": [8], "input_shape": [4], "num_outputs": 3, **options})


class Scripted(MLPModule):
    """Logs a metric that a script gives, an epoch a value."""

    def __init__(self, script: list[float], **kwargs: Any) -> None:
        super().__init__(hidden_features=[4], input_shape=[4], num_outputs=3, **kwargs)

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        if not self.trainer.sanity_checking:
            self.log("val/script", self.hparams.script[self.current_epoch])


class Listing(Callback):
    """What lies in a folder after each epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: list[list[str]] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen.append(sorted(p.name for p in self.folder.glob("*")))


def epoch_of(path: Path) -> int:
    found: int = torch.load(path, weights_only=True)["epoch"]
    return found


def test_best_is_replaced_in_place_and_last_is_the_newest(tmp_path: Path) -> None:
    listing = Listing(tmp_path / "made")
    checkpoint = Checkpoint("val/script", dirpath=tmp_path / "made")
    trainer = make_trainer(tmp_path, [checkpoint, listing], max_epochs=5)
    trainer.fit(Scripted([5.0, 3.0, 2.0, 4.0, 6.0]), make_data())
    assert listing.seen == [[], *[["best.ckpt", "last.ckpt"]] * 4]
    assert sorted(p.name for p in listing.folder.glob("*")) == ["best.ckpt", "last.ckpt"]
    assert epoch_of(listing.folder / "best.ckpt") == 2
    assert epoch_of(listing.folder / "last.ckpt") == 4
    assert checkpoint.best_model_path == str(listing.folder / "best.ckpt")
    assert checkpoint.best_model_score == 2.0


def test_mode_max_keeps_the_highest(tmp_path: Path) -> None:
    checkpoint = Checkpoint("val/script", mode="max", dirpath=tmp_path / "made")
    make_trainer(tmp_path, [checkpoint], max_epochs=3).fit(Scripted([1.0, 3.0, 2.0]), make_data())
    assert epoch_of(tmp_path / "made" / "best.ckpt") == 1


def test_several_best(tmp_path: Path) -> None:
    checkpoint = Checkpoint("val/script", save_top_k=2, filename="{epoch}", dirpath=tmp_path, save_last=False)
    make_trainer(tmp_path, [checkpoint], max_epochs=4).fit(Scripted([4.0, 1.0, 3.0, 2.0]), make_data())
    assert sorted(p.name for p in tmp_path.glob("*.ckpt")) == ["epoch=1.ckpt", "epoch=3.ckpt"]


def test_without_a_monitor_the_newest_is_kept(tmp_path: Path) -> None:
    checkpoint = Checkpoint(None, dirpath=tmp_path)
    make_trainer(tmp_path, [checkpoint], max_epochs=3).fit(make_module(), make_data())
    assert epoch_of(tmp_path / "best.ckpt") == epoch_of(tmp_path / "last.ckpt") == 2


@pytest.mark.filterwarnings("ignore:Total length of .* across ranks is zero.*")
def test_training_loss_is_watched_when_its_epoch_ends(tmp_path: Path) -> None:
    checkpoint = Checkpoint("train/loss", dirpath=tmp_path)
    stopping = EarlyStopping("train/loss", patience=3)
    data = make_data(val_fraction=0.0)
    trainer = make_trainer(tmp_path, [checkpoint, stopping], max_epochs=4)
    trainer.fit(make_module(optimizer={"name": "adam", "lr": 0.01}), data)
    assert epoch_of(tmp_path / "best.ckpt") == 3  # still falling
    assert checkpoint.best_model_score == stopping.best_score == trainer.callback_metrics["train/loss"]


def test_training_loss_can_be_watched_beside_validation(tmp_path: Path) -> None:
    checkpoint = Checkpoint("train/loss", dirpath=tmp_path)
    stopping = EarlyStopping("train/loss", patience=1)
    trainer = make_trainer(tmp_path, [checkpoint, stopping], max_epochs=2)
    trainer.fit(make_module(), make_data())
    assert checkpoint.best_model_score == stopping.best_score == trainer.callback_metrics["train/loss"]


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 4), (10, 6)])
def test_early_stopping_stops(tmp_path: Path, patience: int, epochs: int) -> None:
    stopping = EarlyStopping("val/script", patience=patience)
    trainer = make_trainer(tmp_path, [stopping], max_epochs=6, enable_checkpointing=False)
    trainer.fit(Scripted([5.0, 3.0, 4.0, 3.0, 3.5, 3.1]), make_data())
    assert trainer.current_epoch == epochs


def test_least_change_that_counts(tmp_path: Path) -> None:
    stopping = EarlyStopping("val/script", patience=1, min_delta=0.5)
    trainer = make_trainer(tmp_path, [stopping], max_epochs=4, enable_checkpointing=False)
    trainer.fit(Scripted([5.0, 4.8, 4.6, 4.4]), make_data())
    assert trainer.current_epoch == 2


def test_defaults_are_those_that_are_documented() -> None:
    stopping, checkpoint = EarlyStopping(), Checkpoint()
    assert (stopping.monitor, stopping.mode, stopping.patience) == ("val/loss", "min", 10)
    assert (checkpoint.monitor, checkpoint.mode, checkpoint.save_top_k) == ("val/loss", "min", 1)
    assert (checkpoint.filename, checkpoint.save_last) == ("best", True)


class Clock:
    """A clock that a test sets: each epoch takes so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.now = seconds, 100.0

    def monotonic(self) -> float:
        return self.now


class Ticking(Callback):
    """Sets the clock, and notes of which epoch the newest checkpoint is."""

    def __init__(self, clock: Clock, path: Path) -> None:
        self.clock, self.path, self.seen = clock, path, list[int]()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.clock.now += self.clock.seconds
        if self.path.is_file():
            self.seen.append(epoch_of(self.path))


@pytest.mark.parametrize(
    ("seconds", "options", "seen", "last"),
    [
        (1.5, {}, [0, 1, 2, 3, 4], 5),  # every epoch
        (0.4, {}, [0, 0, 0, 3, 3], 5),  # once a second, and at the end
        (0.4, {"best": True}, [0, 0, 0, 3, 3], 5),  # also where each is the best
        (0.0, {"max_epochs": -1, "max_steps": 24}, [0, 0, 0, 0, 0], 5),
        (0.0, {"max_time": {"minutes": 5}}, [0, 1, 2, 3, 4], 5),  # the clock may end it after any epoch
    ],
)
def test_the_newest_of_fast_epochs_is_written_once_a_second(
    seconds: float, options: Any, seen: list[int], last: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(seconds)
    monkeypatch.setattr("fulmen.callbacks.defaults.time", clock)
    ticking = Ticking(clock, tmp_path / "made" / "last.ckpt")
    mode: Any = "max" if options.pop("best", False) else "min"
    checkpoint = Checkpoint("val/script", mode=mode, dirpath=tmp_path / "made")
    trainer = make_trainer(tmp_path, [checkpoint, ticking], **{"max_epochs": 6, **options})
    trainer.fit(Scripted([5.0, 6.0, 7.0, 8.0, 9.0, 9.5]), make_data(val_fraction=0.1, test_fraction=0.1))
    assert ticking.seen == seen
    assert epoch_of(ticking.path) == last
    assert epoch_of(ticking.path.with_name("best.ckpt")) == (last if mode == "max" else 0)


def test_the_newest_is_written_when_early_stopping_ends_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fulmen.callbacks.defaults.time", Clock(0.0))
    checkpoint = Checkpoint("val/script", dirpath=tmp_path)
    trainer = make_trainer(tmp_path, [checkpoint, EarlyStopping("val/script", patience=2)], max_epochs=9)
    trainer.fit(Scripted([5.0, 3.0, 4.0, 4.0, 4.0]), make_data())
    assert trainer.current_epoch == 4
    assert epoch_of(tmp_path / "last.ckpt") == 3
