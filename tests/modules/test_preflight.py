"""What is said before the first training step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping
from sklearn.utils.class_weight import compute_class_weight
from tests.modules.conftest import make_trainer
from torch import Tensor, nn

from fulmen.callbacks import Checkpoint, EarlyStopping
from fulmen.core.errors import ConfigError, DataError
from fulmen.data import ArrayData, SupervisedDataModule
from fulmen.modules import CNNModule, MLPModule, NetworkModule, SupervisedModule


def make_data(**options: Any) -> ArrayData:
    return ArrayData(torch.randn(40, 4), torch.arange(40) % 3, **{"batch_size": 8, "val_fraction": 0.2, **options})


def facts(data: SupervisedDataModule) -> dict[str, Any]:
    return {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}


class Untrained(MLPModule):
    """Fails if a training step is made."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(hidden_features=[4], **kwargs)

    def on_train_start(self) -> None:
        raise AssertionError("the training has started")


def stop(monitor: str, mode: str = "min") -> EarlyStopping:
    return EarlyStopping(monitor, mode=mode)  # type: ignore[arg-type]


# Monitors


@pytest.mark.parametrize(
    ("callback", "key"),
    [
        (EarlyStopping("val/acuracy", mode="max"), "early_stopping"),
        (Checkpoint("val/acuracy", mode="max"), "checkpoint"),
        (LightningEarlyStopping("val/acuracy", mode="max"), "early_stopping"),
    ],
    ids=["stopping", "checkpoint", "lightning"],
)
def test_unknown_monitor_names_the_nearest(callback: Any, key: str) -> None:
    data = make_data()
    trainer = make_trainer(callbacks=[callback], enable_checkpointing=isinstance(callback, Checkpoint))
    module = MLPModule(hidden_features=[4], **facts(data))
    with pytest.raises(ConfigError) as raised:
        trainer.fit(module, data)
    message = str(raised.value)
    assert message.startswith(f"{key}.monitor: unknown metric 'val/acuracy'; did you mean 'val/accuracy'?")
    assert "train/loss" in message
    assert trainer.global_step == 0


@pytest.mark.filterwarnings("ignore:Total length of .* across ranks is zero.*")
def test_monitor_without_validation_data() -> None:
    data = make_data(val_fraction=0.0)
    module = MLPModule(hidden_features=[4], **facts(data))
    with pytest.raises(ConfigError, match=r"early_stopping\.monitor: 'val/loss' needs validation data.*train/loss"):
        make_trainer(callbacks=[stop("val/loss")]).fit(module, data)
    trainer = make_trainer(callbacks=[stop("train/loss")])
    trainer.fit(module, data)
    assert trainer.global_step > 0


def test_monitor_with_validation_switched_off() -> None:
    data = make_data()
    module = MLPModule(hidden_features=[4], **facts(data))
    with pytest.raises(ConfigError, match="needs validation data"):
        make_trainer(callbacks=[stop("val/loss")], limit_val_batches=0).fit(module, data)


@pytest.mark.parametrize(
    ("monitor", "mode", "right"),
    [
        ("val/accuracy", "min", "max"),
        ("val/f1", "min", "max"),
        ("val/loss", "max", "min"),
        ("train/loss", "max", "min"),
        ("train/accuracy", "min", "max"),
        ("val/micro", "min", "max"),
    ],
)
def test_wrong_mode(monitor: str, mode: str, right: str) -> None:
    data = make_data()
    metrics = ["accuracy", "f1", {"name": "f1", "average": "micro", "log_as": "micro"}]
    module = MLPModule(hidden_features=[4], metrics=metrics, **facts(data))
    with pytest.raises(ConfigError, match=rf"early_stopping\.mode: '{monitor}' is better .*`mode: {right}`"):
        make_trainer(callbacks=[stop(monitor, mode)]).fit(module, data)
    trainer = make_trainer(callbacks=[stop(monitor, right)])
    trainer.fit(module, data)
    assert trainer.global_step > 0


def test_wrong_mode_of_a_metric_with_a_value_a_class() -> None:
    data = make_data()
    metrics = [{"name": "accuracy", "average": "none"}]
    module = MLPModule(hidden_features=[4], metrics=metrics, **facts(data))
    with pytest.raises(ConfigError, match=r"mode: 'val/accuracy/0' is better when higher"):
        make_trainer(callbacks=[stop("val/accuracy/0", "min")]).fit(module, data)


def test_subclass_that_logs_its_own_metric_may_be_monitored() -> None:
    class Logs(MLPModule):
        def on_validation_epoch_end(self) -> None:
            super().on_validation_epoch_end()
            self.log("val/own", 1.0)

    data = make_data()
    module = Logs(hidden_features=[4], **facts(data))
    assert module.logs_more()
    callback = stop("val/own")
    make_trainer(callbacks=[callback]).fit(module, data)
    assert callback.best_score == 1.0
    with pytest.raises(ConfigError, match=r"mode: 'val/accuracy' is better"):
        make_trainer(callbacks=[stop("val/accuracy", "min")]).fit(module, data)


def test_subclass_that_only_builds_a_network_logs_nothing_more() -> None:
    class Quiet(MLPModule):
        def build_network(self) -> nn.Module:
            return nn.Linear(4, 3)

        def compute_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
            return super().compute_loss(logits, targets)

        def configure_optimizers(self) -> Any:
            return super().configure_optimizers()

    data = make_data()
    module = Quiet(**facts(data))
    assert not module.logs_more()
    with pytest.raises(ConfigError, match="unknown metric 'val/own'"):
        make_trainer(callbacks=[stop("val/own")]).fit(module, data)


# Targets


def test_target_out_of_range_names_split_row_and_what_is_allowed() -> None:
    targets = torch.arange(40) % 3
    targets[17] = 3
    data = ArrayData(torch.randn(40, 4), targets, class_names=["a", "b", "c"], target_type="regression")
    data.target_type, data.class_names, data.num_outputs = "multiclass", ["a", "b", "c"], 3
    with pytest.raises(DataError) as raised:
        make_trainer().fit(Untrained(**facts(data)), data)
    message = str(raised.value)
    assert "data: 1 targets are out of range: 3" in message
    assert "in row 17" in message
    assert "allowed: 0 to 2 (3 classes)" in message


def test_target_of_another_task() -> None:
    data = ArrayData(torch.randn(40, 4), torch.rand(40))
    with pytest.raises(DataError, match="whole numbers 0 to 2"):
        make_trainer().fit(Untrained(input_shape=[4], num_outputs=3, task="multiclass"), data)


def test_target_that_is_nan() -> None:
    targets = torch.rand(40)
    targets[3] = torch.nan
    data = ArrayData(torch.randn(40, 4), targets)
    with pytest.raises(DataError, match="targets are NaN or infinite, the first in row 3"):
        make_trainer().fit(Untrained(**facts(data)), data)


# Samples


def test_network_that_does_not_fit_the_sample() -> None:
    data = make_data()
    module = NetworkModule(nn.Linear(5, 3), **facts(data))
    with pytest.raises(ConfigError, match=r"^model: Linear or its loss cannot take samples of shape \(4,\): "):
        make_trainer().fit(module, data)


def test_output_that_is_too_wide() -> None:
    data = make_data()
    module = NetworkModule(nn.Linear(4, 7), **facts(data))
    with pytest.raises(ConfigError, match=r"Linear gives an output of shape \(2, 7\).*needs \(2, 3\)"):
        make_trainer().fit(module, data)


def test_loss_that_does_not_fit() -> None:
    data = make_data()
    module = MLPModule(hidden_features=[4], loss="mse", **facts(data))
    with pytest.raises(ConfigError, match="loss"):
        make_trainer().fit(module, data)


def test_own_loss_that_fails() -> None:
    class Own(MLPModule):
        def compute_loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return (logits - targets).square().mean()

    data = make_data()
    module = Own(hidden_features=[4], **facts(data))
    with pytest.raises(ConfigError, match=r"^loss: Own\.compute_loss cannot take the outputs \(2, 3\)[^;]*\)$"):
        make_trainer().fit(module, data)


def test_class_weights_of_another_number_of_classes() -> None:
    data = make_data()
    loss = {"name": "cross_entropy", "class_weights": [1.0, 2.0]}
    module = MLPModule(hidden_features=[4], loss=loss, **facts(data))
    with pytest.raises(ConfigError, match="weight"):
        make_trainer().fit(module, data)


def test_check_changes_nothing() -> None:
    class Watched(SupervisedModule):
        def build_network(self) -> nn.Module:
            return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))

        def on_fit_start(self) -> None:
            self.network[2].eval()  # type: ignore[index]
            before = self.state()
            super().on_fit_start()
            self.before, self.after = before, self.state()
            self.network[2].train()  # type: ignore[index]

        def state(self) -> list[Tensor]:
            modes = torch.tensor([m.training for m in self.modules()])
            counts = [self.meter(stage).loss.count.clone() for stage in ("train", "val")]  # type: ignore[arg-type]
            values = [v.clone() for v in self.network.state_dict().values()]
            return [modes, torch.get_rng_state(), *counts, *values]

    data = make_data()
    module = Watched(**facts(data))
    make_trainer().fit(module, data)
    assert len(module.before) > 8
    for one, other in zip(module.before, module.after, strict=True):
        assert torch.equal(one, other)
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_check_runs_in_the_trainers_precision(precision: Any) -> None:
    data = ArrayData(torch.rand(40, 1, 8, 8), torch.arange(40) % 3, batch_size=8)
    module = CNNModule(channels=[4], **facts(data))
    trainer = make_trainer(precision=precision)
    trainer.fit(module, data)
    assert torch.isfinite(trainer.callback_metrics["train/loss"])


def test_plain_loaders_are_left_alone() -> None:
    rows = [(torch.randn(4), i % 3) for i in range(8)]
    loader: Any = torch.utils.data.DataLoader(rows, 4)  # type: ignore[arg-type]
    module = MLPModule(hidden_features=[4], input_shape=[4], num_outputs=3)
    trainer = make_trainer(callbacks=[stop("val/loss")])
    trainer.fit(module, loader, loader)
    assert trainer.global_step == 2


# Facts that only some data have


class Worded(ArrayData):
    """Data with a vocabulary."""

    extra_facts = ("vocabulary_size", "categories")
    advice = {"vocabulary_size": "take a module for texts"}  # noqa: RUF012
    vocabulary_size = 7
    categories: list[int] = []  # noqa: RUF012

    def __init__(self, **options: Any) -> None:
        super().__init__(torch.randn(40, 4), torch.arange(40) % 3, batch_size=8)
        for name, value in options.items():
            setattr(self, name, value)


class Knowing(SupervisedModule):
    """A model that takes such facts."""

    def __init__(self, vocabulary_size: int | None = None, categories: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def build_network(self) -> nn.Module:
        return nn.Linear(4, 3)


class Forgetful(SupervisedModule):
    """A model that takes none of them."""

    def build_network(self) -> nn.Module:
        return nn.Linear(4, 3)


@pytest.mark.parametrize(
    ("data", "given", "message"),
    [
        ({}, {}, "vocabulary_size: Worded has 7, Knowing was given None; pass vocabulary_size=data.vocabulary_size"),
        ({}, {"vocabulary_size": 8}, "vocabulary_size: Worded has 7, Knowing was given 8"),
        ({"categories": [3, 4]}, {"vocabulary_size": 7, "categories": [3]}, r"has \[3, 4\], Knowing was given \[3\]"),
        ({}, {"vocabulary_size": 7, "categories": [3]}, r"categories: Worded has \[\], Knowing was given \[3\]"),
    ],
)
def test_a_model_that_knows_something_else_of_the_data(data: Any, given: dict[str, Any], message: str) -> None:
    made = Worded(**data)
    with pytest.raises(ConfigError, match=message):
        make_trainer().fit(Knowing(**given, **facts(made)), made)


def test_a_model_that_cannot_take_a_fact() -> None:
    data = Worded()
    with pytest.raises(ConfigError, match=r"Worded has 7, Untrained takes no vocabulary_size; take a module for texts"):
        make_trainer().fit(Untrained(**facts(data)), data)
    data = Worded(vocabulary_size=0, categories=[3])
    with pytest.raises(ConfigError, match=r"has \[3\], Forgetful takes no categories; take a model that does"):
        make_trainer().fit(Forgetful(**facts(data)), data)


def test_a_model_that_knows_the_data() -> None:
    data = Worded(categories=[3, 4])
    trainer = make_trainer()
    trainer.fit(Knowing(vocabulary_size=7, categories=(3, 4), **facts(data)), data)
    assert trainer.global_step > 0


# Rare classes


def imbalanced(**options: Any) -> ArrayData:
    torch.manual_seed(3)
    targets = torch.tensor([0] * 60 + [1] * 24 + [2] * 12)
    options = {"batch_size": 16, "val_fraction": 0.25, "test_fraction": 0.0, **options}
    return ArrayData(torch.randn(96, 4), targets, standardize=False, **options)


def weighed(data: ArrayData, epochs: int = 2, **options: Any) -> tuple[MLPModule, Any]:
    torch.manual_seed(1)
    module = MLPModule(hidden_features=[], optimizer={"name": "sgd", "lr": 0.1}, **facts(data), **options)
    trainer = make_trainer(max_epochs=epochs)
    trainer.fit(module, data)
    return module, trainer


def by_hand(data: ArrayData, epochs: int = 2) -> tuple[nn.Linear, float]:
    """The same training in plain torch, and the loss of validation without weights."""
    torch.manual_seed(1)
    linear = MLPModule(hidden_features=[], **facts(data)).network
    weights = compute_class_weight("balanced", classes=np.arange(3), y=data.targets[data.datasets["train"].rows])  # type: ignore[attr-defined]
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.1)
    loader: Any = data.train_dataloader()
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(linear(batch.inputs), batch.targets, torch.tensor(weights).float()).backward()
            optimizer.step()
    rows = data.datasets["val"].rows  # type: ignore[attr-defined]
    with torch.no_grad():
        return linear, float(nn.functional.cross_entropy(linear(data.inputs[rows]), data.targets[rows]))  # type: ignore[return-value]


def test_class_weights_train_as_a_loop_in_plain_torch() -> None:
    data = imbalanced(balance="class_weights")
    module, trainer = weighed(data)
    expected, loss = by_hand(data)
    for p, q in zip(module.network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(p, q)
    assert float(trainer.callback_metrics["val/loss"]) == pytest.approx(loss, rel=1e-5)  # not weighted
    plain, _ = weighed(imbalanced())
    assert not torch.allclose(next(plain.parameters()), next(module.parameters()))


def test_class_weights_hold_when_a_training_resumes(tmp_path: Path) -> None:
    whole, _ = weighed(imbalanced(balance="class_weights"), epochs=4)
    _, trainer = weighed(imbalanced(balance="class_weights"))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    data = imbalanced(balance="class_weights")
    module = MLPModule(hidden_features=[], optimizer={"name": "sgd", "lr": 0.1}, **facts(data))
    make_trainer(max_epochs=4).fit(module, data, ckpt_path=tmp_path / "a.ckpt", weights_only=True)
    for p, q in zip(module.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(p, q)
    restored = MLPModule.load_from_checkpoint(tmp_path / "a.ckpt")
    plain = make_trainer().validate(restored, imbalanced(), verbose=False)
    assert make_trainer().validate(restored, data, verbose=False) == plain


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_class_weights_in_the_trainers_precision(precision: Any) -> None:
    data = imbalanced(balance="class_weights")
    trainer = make_trainer(precision=precision)
    trainer.fit(MLPModule(hidden_features=[4], **facts(data)), data)
    assert torch.isfinite(trainer.callback_metrics["train/loss"])


@pytest.mark.parametrize("balance", ["class_weights", "sampler"])
@pytest.mark.parametrize("targets", [torch.rand(40), torch.eye(2).repeat(20, 1).long()], ids=["values", "labels"])
def test_balance_without_classes_is_refused_before_training(balance: Any, targets: Tensor) -> None:
    data = ArrayData(torch.randn(40, 4), targets, batch_size=8, balance=balance)
    trainer = make_trainer()
    with pytest.raises(ConfigError, match=r"balance: .*needs targets that are classes"):
        trainer.fit(MLPModule(hidden_features=[4], **facts(data)), data)
    assert trainer.global_step == 0
