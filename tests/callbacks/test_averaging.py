"""EMA and SWA: what is averaged, validated, saved, resumed, and what stays frozen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from tests.conftest import Cli
from torch import Tensor
from torch.optim.swa_utils import SWALR

from fulmen.callbacks import EMA, SWA, Checkpoint
from fulmen.callbacks.averaging import WeightAverage
from fulmen.core.errors import ConfigError
from fulmen.data import ArrayData
from fulmen.modules import MLPModule, TransferModule

State = dict[str, Tensor]


def copied(module: LightningModule) -> State:
    return {name: value.clone() for name, value in module.state_dict().items()}


class Recorder(Callback):
    """The weights after each optimizer step, in each validation, and the learning rate of each step."""

    def __init__(self) -> None:
        self.steps: list[State] = []
        self.validated: list[State] = []
        self.rates: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step > len(self.steps):
            self.steps.append(copied(pl_module))
            self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if not trainer.sanity_checking:
            self.validated.append(copied(pl_module))


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")


def make_data(**options: Any) -> ArrayData:
    torch.manual_seed(0)
    inputs = torch.randn(60, 4)
    return ArrayData(inputs, (inputs[:, 0] * inputs[:, 1] > 0).long(), batch_size=16, eval_batch_size=60, **options)


def fit(
    callback: Callback | None, epochs: int = 4, resume: Path | None = None, **options: Any
) -> tuple[Trainer, MLPModule, Recorder]:
    """A small network with batch normalization and Adam: 3 steps an epoch."""
    seed_everything(3, verbose=False)
    data, recorder = make_data(standardize=options.pop("standardize", "auto")), Recorder()
    module_options = {"schedule": options.pop("schedule", None), "hidden_features": [8], "normalization": "batch"}
    known = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
    module = MLPModule(**known, **module_options, optimizer={"name": "adam", "lr": 0.05})
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    callbacks = [*([callback] if callback else []), recorder, *options.pop("callbacks", [])]
    options = {"enable_checkpointing": any(isinstance(c, ModelCheckpoint) for c in callbacks), **options}
    trainer = Trainer(accelerator="cpu", max_epochs=epochs, callbacks=callbacks, **quiet, **options)
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    return trainer, module, recorder


def numbers(state: State) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    return {name: value.double().numpy() for name, value in state.items() if value.is_floating_point()}


def moving_average(states: list[State], decay: float, warmup: bool) -> dict[str, Any]:
    average = numbers(states[0])
    for n, state in enumerate(states[1:], start=1):
        d = min(decay, (1 + n) / (10 + n)) if warmup else decay
        average = {name: d * average[name] + (1 - d) * value for name, value in numbers(state).items()}
    return average


def assert_close(found: State, expected: dict[str, Any], rtol: float = 1e-5) -> None:
    assert expected
    for name, value in expected.items():
        np.testing.assert_allclose(found[name].double().numpy(), value, rtol, 1e-6, err_msg=name)


def first_weight(state: State) -> float:
    return float(next(value.flatten()[0] for name, value in state.items() if name.endswith("weight")))


def assert_equal(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []


@pytest.mark.parametrize(("decay", "warmup"), [(0.9, False), (0.999, True), (0.0, False)])
def test_ema_is_the_moving_average_of_the_weights_after_each_step(decay: float, warmup: bool) -> None:
    _, module, recorder = fit(EMA(decay, warmup))
    assert len(recorder.steps) == 12
    expected = moving_average(recorder.steps, decay, warmup)
    assert any("running_mean" in name for name in expected)
    assert_close(copied(module), expected)


def test_an_average_of_16_bits_moves() -> None:
    _, module, recorder = fit(EMA(0.999, warmup=False), precision="bf16-true", standardize=False, epochs=6)
    assert module.network.head.weight.dtype == torch.bfloat16
    expected = moving_average(recorder.steps, 0.999, warmup=False)
    first = numbers(recorder.steps[0])
    moved = {n: np.abs(v - first[n]).max() for n, v in expected.items()}
    assert max(moved.values()) > 0.001
    assert_close(copied(module), expected, rtol=2**-8)  # rounded once, when training ends


def test_swa_is_the_mean_of_the_weights_at_the_end_of_epochs() -> None:
    _, module, recorder = fit(SWA(start=0.5))
    ends = [numbers(recorder.steps[step]) for step in (8, 11)]  # of the epochs 2 and 3
    assert_close(copied(module), {name: (ends[0][name] + ends[1][name]) / 2 for name in ends[0]})


def test_an_average_that_never_began_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "lightning.pytorch.utilities.rank_zero"):
        _, module, recorder = fit(SWA(2), max_steps=4)
    assert "swa: the training ended before the averaging began" in caplog.text
    assert_equal(copied(module), recorder.steps[-1])


@pytest.mark.parametrize("callback", [EMA(0.9), SWA(0.5)], ids=["ema", "swa"])
def test_training_itself_is_as_without(callback: Callback) -> None:
    _, _, plain = fit(None)
    _, _, averaged = fit(callback)
    for found, expected in zip(averaged.steps, plain.steps, strict=True):
        assert_equal(found, expected)


def test_validation_sees_the_average() -> None:
    _, _, recorder = fit(EMA(0.9, warmup=False))
    assert len(recorder.validated) == 4
    for epoch, found in enumerate(recorder.validated):
        assert_close(found, moving_average(recorder.steps[: 3 * (epoch + 1)], 0.9, warmup=False))


@pytest.mark.parametrize("callback", [EMA(0.9, start_epoch=2), SWA(2)], ids=["ema", "swa"])
def test_before_the_average_begins_the_weights_are_validated_and_saved(callback: Callback, tmp_path: Path) -> None:
    """Lightning's callback validates and saves what training began with."""
    saver = Checkpoint(monitor=None, save_top_k=-1, filename="{epoch}", dirpath=tmp_path)
    _, _, recorder = fit(callback, callbacks=[saver])
    for epoch in (0, 1):
        raw = recorder.steps[3 * epoch + 2]
        assert_equal(recorder.validated[epoch], raw)
        saved = torch.load(tmp_path / f"epoch={epoch}.ckpt", weights_only=True)
        assert_equal(saved["state_dict"], raw)
        assert "current_model_state" not in saved
    later = torch.load(tmp_path / "epoch=3.ckpt", weights_only=True)
    assert_equal(later["state_dict"], recorder.validated[3])
    assert_equal(later["current_model_state"], recorder.steps[11])
    assert first_weight(later["state_dict"]) != first_weight(recorder.steps[11])


@pytest.mark.parametrize("callback", [EMA(0.9), SWA(0.25)], ids=["ema", "swa"])
def test_best_checkpoint_and_what_is_scored_after_fit_are_the_average(callback: Callback, tmp_path: Path) -> None:
    saver = Checkpoint(monitor="val/loss", dirpath=tmp_path)
    trainer, module, recorder = fit(callback, callbacks=[saver], epochs=6)
    best = float(saver.best_model_score)  # type: ignore[arg-type]
    data = make_data()
    (scored,) = trainer.test(module, data, ckpt_path=saver.best_model_path, weights_only=True, verbose=False)
    assert any(
        all(torch.equal(value, state[name]) for name, value in copied(module).items()) for state in recorder.validated
    )
    loaded = MLPModule.load_from_checkpoint(saver.best_model_path)
    assert_equal(copied(loaded), copied(module))
    other = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    (again,) = other.validate(loaded, data, verbose=False)
    assert again["val/loss"] == pytest.approx(best, abs=1e-6)
    (tested,) = other.test(loaded, data, verbose=False)  # what Lightning's callback gets wrong, right after fit
    assert tested == scored


@pytest.mark.parametrize(
    "make",
    [
        lambda: EMA(0.9),
        lambda: SWA(1, lr=0.01, anneal_epochs=3),
        lambda: SWA(0.75, lr=0.01),
        lambda: EMA(start_epoch=3),
    ],
    ids=["ema", "swa", "swa_later", "ema_later"],
)
@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # the two runs write to folders of their own
def test_a_resumed_run_equals_an_uninterrupted_one(make: Callable[[], Callback], tmp_path: Path) -> None:
    def saver(name: str) -> Checkpoint:
        return Checkpoint(monitor=None, save_top_k=-1, filename="{epoch}", dirpath=tmp_path / name)

    _, whole, expected = fit(make(), callbacks=[saver("whole")], schedule="cosine")
    _, resumed, found = fit(
        make(), resume=tmp_path / "whole" / "epoch=1.ckpt", callbacks=[saver("resumed")], schedule="cosine"
    )
    assert_equal(copied(resumed), copied(whole))
    assert_equal(found.validated[-1], expected.validated[-1])
    assert found.rates[-3:] == expected.rates[-3:]
    one, other = (torch.load(tmp_path / n / "epoch=3.ckpt", weights_only=True) for n in ("whole", "resumed"))
    assert_equal(other["current_model_state"], one["current_model_state"])
    assert_equal(other["state_dict"], one["state_dict"])


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_a_run_without_an_average_can_go_on_with_one(tmp_path: Path) -> None:
    fit(None, epochs=2, callbacks=[Checkpoint(monitor=None, dirpath=tmp_path)])
    _, module, recorder = fit(EMA(0.9, warmup=False), resume=tmp_path / "last.ckpt")
    assert_close(copied(module), moving_average(recorder.steps[-6:], 0.9, warmup=False))


def test_rates_of_swa_are_those_of_torch() -> None:
    _, _, recorder = fit(SWA(2, lr=0.01, anneal_epochs=4), epochs=8)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.05)
    reference = SWALR(optimizer, swa_lr=0.01, anneal_epochs=4)
    expected = []
    for _ in range(6):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert recorder.rates[:6] == [0.05] * 6
    assert recorder.rates[6::3] == pytest.approx(expected, abs=1e-9)


@pytest.mark.filterwarnings("ignore:Found .* in eval mode")
@pytest.mark.parametrize("callback", [EMA(0.9), SWA(0.0)], ids=["ema", "swa"])
def test_frozen_weights_and_statistics_stay_bit_by_bit(callback: Callback, tmp_path: Path) -> None:
    import timm

    torch.manual_seed(0)
    torch.save(timm.create_model("mobilenetv2_050").state_dict(), tmp_path / "weights.pth")
    inputs = torch.rand(12, 3, 32, 32)
    data = ArrayData(inputs, torch.arange(12) % 2, batch_size=3)
    known = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
    module = TransferModule("mobilenetv2_050", weights=str(tmp_path / "weights.pth"), freeze="all", **known)
    before = copied(module)
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    saver = Checkpoint(dirpath=tmp_path / "checkpoints")
    Trainer(accelerator="cpu", max_epochs=3, callbacks=[callback, saver], **quiet).fit(module, data)
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    for after in (copied(module), saved["state_dict"], saved["current_model_state"]):
        moved = {name for name in after if not torch.equal(after[name], before[name])}
        assert moved == {"network.model.classifier.weight", "network.model.classifier.bias"}


def test_shared_weights_are_averaged_once() -> None:
    class Tied(MLPModule):
        def build_network(self) -> torch.nn.Module:
            layer = torch.nn.Linear(4, 4)
            return torch.nn.Sequential(layer, torch.nn.Tanh(), layer, torch.nn.Linear(4, self.num_outputs))

    data, recorder = make_data(), Recorder()
    module = Tied(input_shape=[4], num_outputs=2, optimizer={"name": "sgd", "lr": 0.5})
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    options = {"accelerator": "cpu", "max_epochs": 2, "enable_checkpointing": False, **quiet}
    Trainer(callbacks=[EMA(0.5, warmup=False), recorder], **options).fit(module, data)
    assert module.network[0].weight is module.network[2].weight
    assert_close(copied(module), moving_average(recorder.steps, 0.5, warmup=False))


def test_interrupted_validation_leaves_the_weights() -> None:
    class Stop(Callback):
        def on_validation_batch_start(self, trainer: Trainer, *_: Any) -> None:
            if trainer.current_epoch == 2:
                raise RuntimeError("stop")

    average = EMA(0.9)
    recorders: list[Recorder] = []

    class Last(Recorder):
        def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
            self.steps.append(copied(pl_module))
            recorders.append(self)

    with pytest.raises(RuntimeError, match="stop"):
        fit(average, callbacks=[Stop(), Last()])
    assert len(recorders[0].steps) == 10
    assert_equal(recorders[0].steps[-1], recorders[0].steps[-2])


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda: EMA(1.0), {}, r"ema\.decay: 1\.0 is out of range"),
        (lambda: EMA(start_epoch=-1), {}, r"ema\.start_epoch: -1"),
        (lambda: SWA(1.5), {}, r"swa\.start: 1\.5 is neither a share in \[0, 1\) nor an epoch"),
        (lambda: SWA(lr=0.0), {}, r"swa\.lr: 0\.0 is out of range"),
        (lambda: SWA(anneal_epochs=-1), {}, r"swa\.anneal_epochs: -1"),
        (lambda: SWA(4), {}, r"swa\.start: 4 is never reached in 4 epochs"),
        (lambda: SWA(), {"epochs": -1, "max_steps": 3}, r"swa\.start: 0\.75 is a share of trainer\.max_epochs"),
        (lambda: EMA(), {"callbacks": [SWA()]}, "ema: swa averages the weights as well"),
        (lambda: EMA(), {"callbacks": [Checkpoint(save_weights_only=True)]}, r"checkpoint\.save_weights_only"),
    ],
)
def test_errors(make: Callable[[], WeightAverage], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(make(), **options)


@pytest.mark.parametrize("key", ["ema", "swa"])
def test_commands_score_the_average(key: str, cli: Cli, write_config: Callable[..., Path], tmp_path: Path) -> None:
    path = write_config(**{key: {}}, trainer={"max_epochs": 6, "enable_model_summary": False})
    assert cli("fit", "--config", path).code == 0
    run = tmp_path / "runs" / "small" / "version_0"
    after_fit = json.loads((run / "test_metrics.json").read_text())
    saved = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert first_weight(saved["state_dict"]) != first_weight(saved["current_model_state"])
    (run / "test_metrics.json").unlink()
    assert cli("test", "--config", path, "--ckpt_path", "best").code == 0
    assert json.loads((run / "test_metrics.json").read_text()) == after_fit
    assert cli("predict", "--config", path, "--ckpt_path", "best").code == 0
    option = {"ema": ("--ema.decay", 0.5), "swa": ("--swa.start", 2)}[key]
    assert cli("fit", "--config", path, "--ckpt_path", "last", "--trainer.max_epochs", 8, *option).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: EMA(0.9), lambda: SWA(0.5)], ids=["ema", "swa"])
def test_processes_share_the_average_of_one(make: Callable[[], Callback]) -> None:
    """Two processes with half of each batch; without norm layers, whose statistics are each process's own."""

    def trained(processes: int) -> State:
        torch.manual_seed(0)
        inputs = torch.randn(48, 4)
        data = ArrayData(
            inputs, (inputs[:, 0] > 0).long(), batch_size=12 // processes, val_fraction=0.25, test_fraction=0.0
        )
        known = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
        module = MLPModule(**known, hidden_features=[6], optimizer={"name": "sgd", "lr": 0.5})
        quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        strategy: dict[str, Any] = {"strategy": "ddp_fork", "devices": 2} if processes > 1 else {"devices": 1}
        options = {"accelerator": "cpu", "max_epochs": 4, "enable_checkpointing": False, **quiet, **strategy}
        Trainer(callbacks=make(), **options).fit(module, data)
        return copied(module)

    one, two = trained(1), trained(2)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-5)
