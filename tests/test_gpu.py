"""What has to be the same on one GPU: skipped without one."""

import copy
import inspect
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from fulmen.core.registry import OWN, registry
from fulmen.core.spec import build
from fulmen.data import ArrayData, DigitsData
from fulmen.modules import CNNModule, MLPModule
from fulmen.modules.base import SupervisedModule

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    # torch/nn/parallel and torch/distributed of CUDA builds; not ours to mend
    pytest.mark.filterwarnings("default"),
]

SGD = {"name": "sgd", "lr": 0.05}


def make_trainer(accelerator: str, **options: Any) -> Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    options = {"max_epochs": 2, "limit_train_batches": 6, "limit_val_batches": 3, "logger": False, **quiet, **options}
    return Trainer(accelerator=accelerator, devices=1, **options)


def small_cnn(**options: Any) -> CNNModule:
    torch.manual_seed(0)
    return CNNModule(channels=[8, 8], input_shape=[1, 8, 8], num_outputs=10, optimizer=SGD, **options)


def fitted(module: SupervisedModule, accelerator: str, **options: Any) -> tuple[nn.Module, dict[str, float]]:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    trainer = make_trainer(accelerator, **options)
    trainer.fit(module, DigitsData(batch_size=32))
    return module.cpu(), {name: float(value) for name, value in trainer.callback_metrics.items()}


def assert_close(one: nn.Module, other: nn.Module, tolerance: float) -> None:
    others = dict(other.named_parameters())
    for name, parameter in one.named_parameters():
        torch.testing.assert_close(parameter, others[name], rtol=tolerance, atol=tolerance)


def test_a_fit_on_a_gpu_gives_the_numbers_of_the_cpu() -> None:
    (cpu, cpu_scores), (gpu, gpu_scores) = (fitted(small_cnn(), accelerator) for accelerator in ("cpu", "gpu"))
    assert_close(cpu, gpu, 1e-3)
    assert gpu_scores == pytest.approx(cpu_scores, abs=1e-3)


REGULARIZERS = {c.name: c for c in registry().components("regularizers")}


@pytest.mark.parametrize("name", sorted(REGULARIZERS))
def test_regularizers_do_the_same_on_a_gpu(name: str) -> None:
    spec: dict[str, Any] = {"name": name}
    if "weight" in inspect.signature(REGULARIZERS[name].load()).parameters:
        spec["weight"] = 1e-3
    (cpu, scores), (gpu, others) = (
        fitted(small_cnn(regularizers=[spec], activation="sigmoid" if name == "kl_sparsity" else "relu"), accelerator)
        for accelerator in ("cpu", "gpu")
    )
    assert_close(cpu, gpu, 2e-3)
    assert others == pytest.approx(scores, abs=2e-3)


@pytest.mark.parametrize("name", [c.name for c in registry().components("activations")])
def test_activations_give_the_same_on_a_gpu(name: str) -> None:
    torch.manual_seed(0)
    made = build("activations", name).eval()
    inputs = torch.randn(16, 12, 3, requires_grad=True)
    expected = made(inputs)
    (expected.square().sum()).backward()
    there = copy.deepcopy(made).cuda()
    moved = inputs.detach().cuda().requires_grad_()
    found = there(moved)
    found.square().sum().backward()
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)
    assert moved.grad is not None
    torch.testing.assert_close(moved.grad.cpu(), inputs.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed", "bf16-true"])
def test_lower_precision_trains(precision: Any) -> None:
    torch.manual_seed(0)
    regularizers = [{"name": "l1", "weight": 1e-4}, {"name": "l2", "weight": 1e-4}]
    module = MLPModule(hidden_features=[32], input_shape=[1, 8, 8], num_outputs=10, regularizers=regularizers)
    trainer = make_trainer("gpu", precision=precision, limit_train_batches=1.0, max_epochs=4, gradient_clip_val=1.0)
    trainer.fit(module, DigitsData(batch_size=32))
    assert float(trainer.callback_metrics["val/accuracy"]) > 0.8


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_strategies_of_one_gpu_give_its_numbers(strategy: str) -> None:
    def module() -> MLPModule:
        torch.manual_seed(0)
        return MLPModule(
            hidden_features=[16], input_shape=[1, 8, 8], num_outputs=10, optimizer=SGD,
            regularizers=[{"name": "l2", "weight": 1e-2}],
        )  # fmt: skip

    _, expected = fitted(module(), "gpu")
    trainer = make_trainer("gpu", strategy=strategy)
    trainer.fit(module(), DigitsData(batch_size=32))
    assert {k: float(v) for k, v in trainer.callback_metrics.items()} == pytest.approx(expected, abs=1e-3)


class Device(LightningModule):
    """Notes where batches are."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.devices: set[str] = set()

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.devices |= {part.device.type for part in batch}
        return self.layer(batch.inputs.flatten(1)[:, :1]).sum()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.0)


@pytest.mark.parametrize("workers", [0, 2])
def test_augmented_batches_reach_the_gpu(workers: int) -> None:
    images = torch.randint(0, 256, (64, 3, 8, 8), dtype=torch.uint8)
    data = ArrayData(images, torch.arange(64) % 3, augment=["albumentations.HorizontalFlip"], num_workers=workers)
    module = Device()
    make_trainer("gpu", limit_val_batches=0).fit(module, data)
    assert module.devices == {"cuda"}


def test_plugins_are_installed() -> None:
    """The tests above read the registry: they must not shrink to the built-ins unnoticed."""
    assert {c.distribution for c in registry().components()} > {OWN}
