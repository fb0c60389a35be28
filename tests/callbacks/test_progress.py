"""The progress bar, into a pipe and into a terminal."""

import re
import sys
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger

from fulmen.callbacks import ProgressBar
from fulmen.data import ArrayData
from fulmen.modules import MLPModule


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    torch.manual_seed(0)


class Clock:
    """Time that passes by a step a call."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 100.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def drawn(monkeypatch: pytest.MonkeyPatch, terminal: bool, calls: int, step: float) -> list[int]:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    bar = ProgressBar()
    monkeypatch.setattr("fulmen.callbacks.progress.time.monotonic", Clock(step))
    return [i for i in range(1, calls + 1) if bar._should_update(i, calls)]


def test_terminal_is_drawn_five_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    found = drawn(monkeypatch, terminal=True, calls=1000, step=0.001)  # a second of 1,000 batches
    assert 5 <= len(found) <= 7
    assert found[-1] == 1000  # the end is always drawn


def test_pipe_is_written_once_in_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    found = drawn(monkeypatch, terminal=False, calls=1000, step=0.1)  # 100 seconds
    assert 9 <= len(found) <= 12
    assert found[-1] == 1000


def test_slow_batches_are_all_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(monkeypatch, terminal=True, calls=20, step=1.0) == list(range(1, 21))


def test_disabled_bar_draws_nothing() -> None:
    bar = ProgressBar()
    bar.disable()
    assert not any(bar._should_update(i, 10) for i in range(1, 11))


def make_data() -> ArrayData:
    return ArrayData(torch.randn(150, 4), torch.arange(150) % 3, batch_size=1)


def make_trainer(bar: ProgressBar, **options: Any) -> Trainer:
    quiet: dict[str, Any] = {"enable_model_summary": False, "enable_checkpointing": False}
    return Trainer(accelerator="cpu", callbacks=[bar], **quiet, **{"logger": False, **options})


def make_module() -> MLPModule:
    return MLPModule(hidden_features=[4], input_shape=[4], num_outputs=3)


def test_one_line_an_epoch_into_a_pipe(capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    trainer = make_trainer(ProgressBar(), max_epochs=3)
    trainer.fit(make_module(), make_data())
    lines = capfd.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["Epoch 0", "Epoch 1", "Epoch 2"]
    for line in lines:
        assert re.search(r"\d s, .*val/loss=\d", line)
    assert f"val/loss={trainer.callback_metrics['val/loss']:.3g}"[:-1] in lines[-1]


def test_lines_while_a_long_epoch_lasts(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    capfd.readouterr()
    bar = ProgressBar()
    monkeypatch.setattr("fulmen.callbacks.progress.time.monotonic", Clock(1.0))
    make_trainer(bar, max_epochs=1, limit_train_batches=50, limit_val_batches=0).fit(make_module(), make_data())
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("Epoch 0: batch 10 of 50")
    assert len(lines) == 6


def test_nothing_is_written_without_being_enabled(capfd: pytest.CaptureFixture[str]) -> None:
    bar = ProgressBar()
    bar.disable()
    make_trainer(bar, max_epochs=1).fit(make_module(), make_data())
    assert capfd.readouterr().out == ""


def test_terminal_has_a_bar(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    make_trainer(ProgressBar(), max_epochs=1).fit(make_module(), make_data())
    drawn_over = capfd.readouterr().out.split("\r")
    assert any("100%" in part and "105/105" in part and "val/loss" in part for part in drawn_over)


def test_number_of_the_run_is_left_out(tmp_path: Any, capfd: pytest.CaptureFixture[str]) -> None:
    class Seen(ProgressBar):
        def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            self.items = self.get_metrics(trainer, pl_module)
            super().on_train_end(trainer, pl_module)

    bar = Seen()
    make_trainer(bar, max_epochs=1, logger=CSVLogger(tmp_path), log_every_n_steps=1).fit(make_module(), make_data())
    assert {"val/loss", "val/accuracy"} <= set(bar.items)
    assert "v_num" not in bar.items
    assert "v_num" not in capfd.readouterr().out
