"""The one step of the house, trained through Lightning and compared with loops written by hand."""

import copy
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from lightning.pytorch import seed_everything
from sklearn.metrics import accuracy_score, f1_score, log_loss, mean_absolute_error, r2_score, roc_auc_score
from tests.modules.conftest import make_trainer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError
from fulmen.data import ArrayData, BlobsData, DiabetesData, MoonsData, SupervisedDataModule
from fulmen.modules import CNNModule, MLPModule, NetworkModule, SupervisedModule, TransferModule
from fulmen.modules.base import Stage


def blobs(**options: Any) -> BlobsData:
    return BlobsData(**{"samples": 100, "features": 4, "spread": 6.0, "batch_size": 16, **options})


def facts(data: SupervisedDataModule) -> dict[str, Any]:
    """What the command line links from data to model."""
    return {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}


def mlp(data: SupervisedDataModule, **options: Any) -> MLPModule:
    return MLPModule(**{"hidden_features": [8], **facts(data), **options})


def batches(data: SupervisedDataModule, split: str, epoch: int = 0) -> Iterator[Batch]:
    """A split's batches as the network sees them, from the datamodule's own loader."""
    loader = cast(DataLoader[Any], getattr(data, f"{split}_dataloader")())
    cast(Any, loader.sampler).set_epoch(epoch)
    for batch in loader:
        yield batch._replace(inputs=data.normalize(batch.inputs))


def outputs(network: nn.Module, data: SupervisedDataModule, split: str) -> tuple[Tensor, Tensor]:
    """Logits and targets of a whole split at once."""
    parts = list(batches(data, split))
    inputs = torch.cat([p.inputs for p in parts])
    with torch.no_grad():
        return network.eval()(inputs), torch.cat([cast(Tensor, p.targets) for p in parts])


def assert_same_weights(a: nn.Module, b: nn.Module, atol: float = 1e-6) -> None:
    pairs = list(zip(a.named_parameters(), b.named_parameters(), strict=True))
    assert pairs
    for (name, p), (other, q) in pairs:
        assert name == other
        torch.testing.assert_close(p, q, rtol=0, atol=atol, msg=lambda m, n=name: f"{n}: {m}")


class Linear(SupervisedModule):
    def __init__(self, bias: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def build_network(self) -> nn.Module:
        return nn.Linear(self.input_shape[0], self.num_outputs, bias=self.hparams.bias)


# Subclasses


def test_subclass_overrides_build_network_and_reads_hparams() -> None:
    data = blobs()
    module = Linear(bias=False, **facts(data))
    assert isinstance(module.network, nn.Linear)
    assert module.network.bias is None
    assert module(torch.zeros(5, 4)).shape == (5, 3)
    before = module.network.weight.clone()
    trainer = make_trainer()
    trainer.fit(module, data)
    assert not torch.equal(before, module.network.weight)
    assert {"train/loss", "val/loss", "val/accuracy", "val/f1"} <= set(trainer.callback_metrics)


def test_argument_that_is_set_after_the_constructor_is_explained() -> None:
    class Late(SupervisedModule):
        def __init__(self, width: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.width = width

        def build_network(self) -> nn.Module:
            return nn.Linear(self.width, 3)

    with pytest.raises(AttributeError, match="width") as raised:
        Late(width=4, num_outputs=3)
    assert any("self.hparams" in note for note in raised.value.__notes__)


def test_build_network_missing() -> None:
    class Empty(SupervisedModule):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty has to override build_network"):
        Empty(num_outputs=3)


def test_facts_that_are_missing() -> None:
    with pytest.raises(ConfigError, match="num_outputs: give the number of classes"):
        MLPModule(input_shape=[4])
    with pytest.raises(ConfigError, match=r"input_shape: give the shape of one sample"):
        MLPModule(num_outputs=3)


def test_compute_loss_overridden() -> None:
    class Offset(Linear):
        def compute_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
            return super().compute_loss(logits, targets) + 100

    data = blobs()
    module = Offset(**facts(data))
    trainer = make_trainer()
    trainer.fit(module, data)
    logits, targets = outputs(module.network, data, "val")
    expected = F.cross_entropy(logits, targets).item() + 100
    assert trainer.callback_metrics["val/loss"].item() == pytest.approx(expected, abs=1e-4)
    assert trainer.callback_metrics["train/loss"] > 100


def test_step_overridden_reads_batches_of_its_own() -> None:
    class Pairs(Linear):
        stages: list[str] = []  # noqa: RUF012

        def step(self, batch: Any, stage: Stage) -> Tensor | None:
            self.stages.append(stage)
            return super().step((batch["pixels"], batch["label"]), stage)

    class Named(Dataset[dict[str, Tensor]]):
        def __len__(self) -> int:
            return 10

        def __getitem__(self, row: int) -> dict[str, Tensor]:
            return {"pixels": torch.full((4,), float(row)), "label": torch.tensor(row % 3)}

    module = Pairs(input_shape=[4], num_outputs=3)
    trainer = make_trainer(num_sanity_val_steps=0)
    trainer.fit(module, DataLoader(Named(), 5), DataLoader(Named(), 5))
    assert module.stages == ["train"] * 2 + ["val"] * 2
    logits = module(torch.arange(10.0)[:, None].expand(10, 4)).detach()
    expected = F.cross_entropy(logits, torch.arange(10) % 3).item()
    assert trainer.callback_metrics["val/loss"].item() == pytest.approx(expected, abs=1e-5)


def test_configure_optimizers_overridden() -> None:
    class Plain(Linear):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.0)

    data = blobs()
    module = Plain(regularizers=[{"name": "l2", "weight": 1.0}], **facts(data))
    twin = copy.deepcopy(module.network)
    trainer = make_trainer()
    trainer.fit(module, data)
    assert type(trainer.optimizers[0]) is torch.optim.SGD
    assert_same_weights(module.network, twin, atol=0)  # a rate of 0


# Every module


@pytest.mark.parametrize("kind", ["mlp", "cnn", "network", "transfer"])
def test_every_module_trains_tests_and_predicts(kind: str) -> None:
    shape = (3, 32, 32) if kind == "transfer" else (1, 8, 8)
    data = ArrayData(torch.rand(24, *shape), torch.arange(24) % 3, batch_size=8, val_fraction=0.2, test_fraction=0.2)
    known = facts(data)
    module: SupervisedModule = {
        "mlp": lambda: MLPModule(hidden_features=[8], **known),
        "cnn": lambda: CNNModule(channels=[4, 8], **known),
        "network": lambda: NetworkModule(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), **known),
        "transfer": lambda: TransferModule(backbone="resnet18", freeze="none", **known),
    }[kind]()
    before = [p.detach().clone() for p in module.network.parameters()]
    trainer = make_trainer()
    trainer.fit(module, data)
    assert any(not torch.equal(p, q) for p, q in zip(module.network.parameters(), before, strict=True))
    (tested,) = trainer.test(module, data, verbose=False)
    assert set(tested) == {"test/loss", "test/accuracy", "test/f1"}
    predicted = cast(list[dict[str, Tensor]], trainer.predict(module, data))
    assert sum(len(p["prediction"]) for p in predicted) == len(data.datasets["test"])


# Training against a loop


def loop(
    network: nn.Module, data: SupervisedDataModule, epochs: int, lr: float, weights: Tensor | None = None
) -> tuple[float, Tensor, Tensor]:
    """Plain PyTorch; returns loss, logits and targets of the last epoch as they were met."""
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    network.train()
    for epoch in range(epochs):
        losses, logits, targets = [], [], []
        for batch in batches(data, "train", epoch):
            out = network(batch.inputs)
            loss = F.cross_entropy(out, cast(Tensor, batch.targets), weight=weights)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item() * len(out))
            logits.append(out.detach())
            targets.append(cast(Tensor, batch.targets))
    found = torch.cat(logits)
    return sum(losses) / len(found), found, torch.cat(targets)


def test_training_equals_a_loop_by_hand() -> None:
    data = blobs()
    module = mlp(data, optimizer={"name": "adam", "lr": 0.01})
    twin = copy.deepcopy(module.network)
    trainer = make_trainer(max_epochs=2)
    trainer.fit(module, data)
    assert [len(b.inputs) for b in batches(data, "train")][-1] < 16  # the last batch is a smaller one
    loss, logits, targets = loop(twin, data, epochs=2, lr=0.01)
    assert_same_weights(module.network, twin)
    logged = trainer.callback_metrics
    assert logged["train/loss"].item() == pytest.approx(loss, abs=1e-5)
    assert logged["train/accuracy"].item() == pytest.approx(accuracy_score(targets, logits.argmax(1)))
    assert logged["train/f1"].item() == pytest.approx(f1_score(targets, logits.argmax(1), average="macro"))


def test_batches_come_in_another_order_each_epoch() -> None:
    data = blobs()
    data.setup("fit")
    orders = [torch.cat([cast(Tensor, b.index) for b in batches(data, "train", epoch)]) for epoch in (0, 1)]
    assert not torch.equal(orders[0], orders[1])
    assert torch.equal(orders[0].sort().values, orders[1].sort().values)


def test_class_weights() -> None:
    data = blobs(eval_batch_size=100)
    weights = [0.5, 1.0, 4.0]
    module = mlp(data, loss={"name": "cross_entropy", "class_weights": weights}, optimizer={"name": "adam", "lr": 0.01})
    twin = copy.deepcopy(module.network)
    trainer = make_trainer()
    trainer.fit(module, data)
    loop(twin, data, epochs=1, lr=0.01, weights=torch.tensor(weights))
    assert_same_weights(module.network, twin)
    logits, targets = outputs(module.network, data, "val")
    expected = log_loss(targets, logits.double().softmax(1), sample_weight=np.array(weights)[targets])
    assert trainer.callback_metrics["val/loss"].item() == pytest.approx(expected, abs=1e-5)


# Metrics against scikit-learn


@pytest.mark.parametrize("size", [7, 1, 100])
def test_multiclass_metrics_equal_those_of_everything_at_once(size: int) -> None:
    data = blobs(eval_batch_size=size, val_fraction=0.3, test_fraction=0.3)
    module = mlp(data)
    trainer = make_trainer()
    trainer.fit(module, data)
    logged = {**trainer.callback_metrics, **trainer.test(module, data, verbose=False)[0]}
    for split in ("val", "test"):
        logits, targets = outputs(module.network, data, split)
        assert len(targets) % 7 != 0
        found = logits.argmax(1)
        assert float(logged[f"{split}/loss"]) == pytest.approx(log_loss(targets, logits.double().softmax(1)), abs=1e-5)
        assert float(logged[f"{split}/accuracy"]) == pytest.approx(accuracy_score(targets, found))
        assert float(logged[f"{split}/f1"]) == pytest.approx(f1_score(targets, found, average="macro"))


def test_binary_metrics_equal_those_of_everything_at_once() -> None:
    data = MoonsData(samples=150, noise=0.5, eval_batch_size=4, val_fraction=0.3)
    module = mlp(data)
    assert module.num_outputs == 1
    trainer = make_trainer()
    trainer.fit(module, data)
    logits, targets = outputs(module.network, data, "val")
    p = logits.flatten().double().sigmoid()
    logged = trainer.callback_metrics
    assert logged["val/loss"].item() == pytest.approx(log_loss(targets, p), abs=1e-5)
    assert logged["val/accuracy"].item() == pytest.approx(accuracy_score(targets, p > 0.5))
    assert logged["val/f1"].item() == pytest.approx(f1_score(targets, p > 0.5))
    assert logged["val/auroc"].item() == pytest.approx(roc_auc_score(targets, p))


def test_regression_metrics_equal_those_of_everything_at_once() -> None:
    data = DiabetesData(eval_batch_size=10, val_fraction=0.1, test_fraction=0.1)
    module = mlp(data)
    trainer = make_trainer()
    trainer.fit(module, data)
    raw, targets = outputs(module.network, data, "val")
    train = data.training_targets()
    assert train is not None
    mean, scale = train.numpy().mean(), train.numpy().std()
    values = raw * scale + mean
    logged = trainer.callback_metrics
    standardized = F.mse_loss(raw.flatten(), (targets - mean) / scale).item()
    assert logged["val/loss"].item() == pytest.approx(standardized, rel=1e-5)
    assert logged["val/rmse"].item() == pytest.approx(F.mse_loss(values.flatten(), targets).sqrt().item(), rel=1e-5)
    assert logged["val/mae"].item() == pytest.approx(mean_absolute_error(targets, values.flatten()), rel=1e-5)
    assert logged["val/r2"].item() == pytest.approx(r2_score(targets, values.flatten()), rel=1e-4)


@pytest.mark.parametrize("optimizer", [{"name": "sgd", "lr": 0.1}, {"name": "adam", "lr": 0.01}])
def test_large_targets_are_learned_in_their_own_units(optimizer: dict[str, object], tmp_path: Path) -> None:
    """Prices of 200,000 +- 80,000: as they stand, no usual learning rate would reach them."""
    inputs = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    prices = 200_000 + 80_000 * inputs @ torch.tensor([0.6, -0.6, 0.5])
    data = ArrayData(inputs, prices, test_fraction=0)
    module = MLPModule(
        input_shape=[3], num_outputs=1, target_type="regression", hidden_features=[], optimizer=optimizer
    )
    trainer = make_trainer(max_epochs=20)
    trainer.fit(module, data)
    assert trainer.callback_metrics["val/r2"] > 0.99
    assert trainer.callback_metrics["val/mae"] < 5_000
    path = tmp_path / "m.ckpt"
    trainer.save_checkpoint(path)
    again = MLPModule.load_from_checkpoint(path)
    normalized = data.normalize(inputs)
    torch.testing.assert_close(again(normalized).flatten(), prices, atol=15_000, rtol=0)
    torch.testing.assert_close(again.predict_step(normalized, 0)["prediction"], again(normalized))


def test_multilabel_metrics_equal_those_of_everything_at_once() -> None:
    inputs = torch.randn(90, 4)
    data = ArrayData(inputs, (inputs[:, :3] > 0).long(), eval_batch_size=8, val_fraction=0.3)
    assert data.target_type == "multilabel"
    module = mlp(data)
    trainer = make_trainer()
    trainer.fit(module, data)
    logits, targets = outputs(module.network, data, "val")
    expected = F.binary_cross_entropy_with_logits(logits, targets.float()).item()
    logged = trainer.callback_metrics
    assert logged["val/loss"].item() == pytest.approx(expected, abs=1e-5)
    assert logged["val/f1"].item() == pytest.approx(f1_score(targets, logits > 0, average="macro", zero_division=0))
    assert logged["val/accuracy"].item() == pytest.approx(((logits > 0) == targets.bool()).float().mean().item())


def test_metric_with_one_value_a_class_is_logged_by_class_name() -> None:
    data = ArrayData(torch.randn(90, 4), np.array(["ant", "bee", "cow"])[np.arange(90) % 3], val_fraction=0.3)
    module = mlp(data, metrics=[{"name": "accuracy", "average": "none"}, "f1"])
    trainer = make_trainer()
    trainer.fit(module, data)
    logits, targets = outputs(module.network, data, "val")
    for i, name in enumerate(["ant", "bee", "cow"]):
        expected = (logits.argmax(1) == targets)[targets == i].float().mean().item()
        assert trainer.callback_metrics[f"val/accuracy/{name}"].item() == pytest.approx(expected)
        assert f"val/accuracy/{name}" in module.logged_names()
    assert "val/accuracy" not in trainer.callback_metrics


def test_two_classes_trained_as_multiclass_have_two_outputs() -> None:
    data = MoonsData(samples=60)
    module = mlp(data, task="multiclass")
    assert data.num_outputs == 1
    assert module(torch.zeros(1, 2)).shape == (1, 2)
    trainer = make_trainer()
    trainer.fit(module, data)
    logits, targets = outputs(module.network, data, "val")
    expected = F.cross_entropy(logits, targets).item()
    assert trainer.callback_metrics["val/loss"].item() == pytest.approx(expected, abs=1e-5)
    predicted = cast(list[dict[str, Tensor]], trainer.predict(module, data))
    assert predicted[0]["probabilities"].shape[1] == 2


# Other data, other uses


def test_plain_loaders_and_a_plain_trainer() -> None:
    inputs, targets = torch.randn(21, 4), torch.arange(21) % 3
    module = MLPModule(hidden_features=[8], input_shape=[4], num_outputs=3)
    trainer = make_trainer(max_epochs=2)
    loader = DataLoader(TensorDataset(inputs, targets), 8)
    trainer.fit(module, DataLoader(TensorDataset(inputs, targets), 8, shuffle=True), loader)
    logits = module(inputs).detach()
    expected = F.cross_entropy(logits, targets).item()
    assert trainer.callback_metrics["val/loss"].item() == pytest.approx(expected, abs=1e-5)
    (tested,) = trainer.test(module, loader, verbose=False)
    assert tested["test/accuracy"] == pytest.approx(accuracy_score(targets, logits.argmax(1)))
    predicted = cast(list[dict[str, Tensor]], trainer.predict(module, DataLoader(inputs, 8)))  # type: ignore[arg-type]
    assert torch.equal(torch.cat([p["prediction"] for p in predicted]), logits.argmax(1))
    assert set(predicted[0]) == {"prediction", "probabilities"}


def test_batches_that_are_mappings() -> None:
    rows = [{"inputs": torch.randn(4), "targets": i % 3} for i in range(10)]
    module = MLPModule(hidden_features=[8], input_shape=[4], num_outputs=3)
    trainer = make_trainer(num_sanity_val_steps=0)
    trainer.fit(module, DataLoader(rows, 4), DataLoader(rows, 4))  # type: ignore[arg-type]
    logits = module(torch.stack([cast(Tensor, r["inputs"]) for r in rows])).detach()
    expected = accuracy_score(np.arange(10) % 3, logits.argmax(1))
    assert trainer.callback_metrics["val/accuracy"].item() == pytest.approx(expected)


def test_batch_without_targets_can_only_be_predicted() -> None:
    module = MLPModule(hidden_features=[8], input_shape=[4], num_outputs=3)
    loader: Any = DataLoader(torch.randn(4, 4), 2)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a batch of the test data has no targets"):
        make_trainer().test(module, loader)


def test_predict_names_every_sample_once() -> None:
    data = blobs(eval_batch_size=4)
    module = mlp(data)
    trainer = make_trainer()
    parts = cast(list[dict[str, Tensor]], trainer.predict(module, data))
    found = {key: torch.cat([p[key] for p in parts]) for key in parts[0]}
    assert torch.equal(found["index"], cast(Any, data.datasets["test"]).rows)
    logits, _ = outputs(module.network, data, "test")
    torch.testing.assert_close(found["probabilities"], logits.softmax(1))
    assert torch.equal(found["prediction"], logits.argmax(1))


def test_nan_loss_stops_with_a_message(caplog: pytest.LogCaptureFixture) -> None:
    data = blobs()
    module = mlp(data, optimizer={"name": "sgd", "lr": 1e30})
    trainer = make_trainer(max_epochs=50)
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, logger=logger.name):
            trainer.fit(module, data)
    finally:
        logger.removeHandler(caplog.handler)
    assert trainer.current_epoch < 5
    assert "the training loss of epoch" in caplog.text
    assert "clip gradients" in caplog.text


def test_same_seed_same_weights() -> None:
    def trained(seed: int) -> dict[str, Tensor]:
        seed_everything(seed, verbose=False)
        data = blobs()
        module = mlp(data, dropout=0.3)
        make_trainer().fit(module, data)
        return {name: p.detach().clone() for name, p in module.network.named_parameters()}

    first, again, other = trained(1), trained(1), trained(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_logged_names_are_those_that_are_logged() -> None:
    data = blobs()
    module = mlp(data, regularizers=[{"name": "l2", "weight": 0.1}])
    trainer = make_trainer(log_every_n_steps=1)
    trainer.fit(module, data)
    assert module.logged_names() == set(trainer.callback_metrics)
    assert "train/penalty" not in mlp(data).logged_names()


def test_metrics_are_reset_between_epochs() -> None:
    data = blobs()
    module = mlp(data)
    trainer = make_trainer(max_epochs=3)
    trainer.fit(module, data)
    logits, targets = outputs(module.network, data, "val")
    expected = F.cross_entropy(logits, targets).item()
    assert trainer.callback_metrics["val/loss"].item() == pytest.approx(expected, abs=1e-5)
    assert not module.meter("val").loss.update_called


def test_evaluation_in_inference_mode_leaves_a_module_that_works_without() -> None:
    data = blobs()
    module = mlp(data)
    (first,) = make_trainer().validate(module, data, verbose=False)
    (again,) = make_trainer(inference_mode=False).validate(module, data, verbose=False)
    assert again == first
