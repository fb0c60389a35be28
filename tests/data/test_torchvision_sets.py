"""torchvision's sets, without fetching any."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from fulmen.core.errors import ConfigError, DataError
from fulmen.data import TorchvisionData


def idx(path: Path, values: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """The format of MNIST's files: magic number, sizes, bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">{1 + values.ndim}i", 0x0800 + values.ndim, *values.shape)
    path.write_bytes(header + values.tobytes())


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """80 training and 20 test images; each pixel is ten times its class."""
    for name, number in (("train", 80), ("t10k", 20)):
        labels = np.arange(number, dtype=np.uint8) % 10
        pixels = np.repeat(10 * labels, 28 * 28).reshape(number, 28, 28)
        idx(tmp_path / "MNIST" / "raw" / f"{name}-images-idx3-ubyte", pixels)
        idx(tmp_path / "MNIST" / "raw" / f"{name}-labels-idx1-ubyte", labels)
    return tmp_path


FACTS = [
    ("MNIST", 10, [1, 28, 28], "3"),
    ("FashionMNIST", 10, [1, 28, 28], "Dress"),
    ("KMNIST", 10, [1, 28, 28], "tsu"),
    ("CIFAR10", 10, [3, 32, 32], "cat"),
    ("CIFAR100", 100, [3, 32, 32], "3"),
]


@pytest.mark.parametrize(("name", "classes", "shape", "fourth"), FACTS)
def test_facts_are_known_without_files(name: Any, classes: int, shape: list[int], fourth: str) -> None:
    data = TorchvisionData(name, root="nowhere")
    assert (data.target_type, data.num_outputs, data.input_shape) == ("multiclass", classes, shape)
    assert data.class_names is not None
    assert len(set(data.class_names)) == classes
    assert data.class_names[3] == fourth


def test_batches(mnist: Path) -> None:
    data = TorchvisionData("MNIST", root=str(mnist), download=False, batch_size=16, val_fraction=0.25)
    data.prepare_data()
    data.setup("fit")
    assert len(data.datasets["train"]) + len(data.datasets["val"]) == 80
    assert len(data.datasets["test"]) == 20
    batch = next(iter(data.train_dataloader()))
    assert batch.inputs.shape == (16, 1, 28, 28)
    assert batch.inputs.dtype == torch.uint8
    assert torch.equal(batch.inputs[:, 0, 0, 0].long(), 10 * batch.targets)
    scaled = data.on_after_batch_transfer(batch, 0).inputs
    torch.testing.assert_close(scaled[:, 0, 5, 5], 10 * batch.targets.float() / 255)
    assert torch.cat([b.targets for b in data.test_dataloader()]).tolist() == [i % 10 for i in range(20)]


class FakeCIFAR:
    """What torchvision's CIFAR sets look like: an array (N, H, W, C) and a list."""

    def __init__(self, root: str, train: bool, download: bool) -> None:
        assert not download
        self.targets = [i % 10 for i in range(200 if train else 30)]
        self.data = np.zeros((len(self.targets), 32, 32, 3), dtype=np.uint8)
        self.data[:, :, 5, 2] = np.array(self.targets)[:, None]


def test_colour_channels_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", FakeCIFAR)
    data = TorchvisionData("CIFAR10", root="nowhere", download=False)
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    assert batch.inputs.shape[1:] == (3, 32, 32)
    assert torch.equal(batch.inputs[:, 2, :, 5].long(), batch.targets[:, None].expand(-1, 32))
    assert batch.inputs.sum() == batch.inputs[:, 2, :, 5].sum()
    for name, share in (("train", 0.85), ("val", 0.15)):
        targets = data.datasets[name].targets[data.datasets[name].rows]  # type: ignore[attr-defined]
        assert torch.bincount(targets).tolist() == [int(20 * share)] * 10


@pytest.mark.parametrize("name", ["MNIST", "CIFAR10"])
def test_offline_says_what_to_do(tmp_path: Path, name: Any) -> None:
    data = TorchvisionData(name, root=str(tmp_path), download=False)
    with pytest.raises(DataError) as caught:
        data.prepare_data()
    message = str(caught.value)
    assert message.startswith(f"{name} is not in {tmp_path.resolve()} and could not be fetched")
    assert f"torchvision.datasets.{name}('data', train=t, download=True)" in message
    assert "DigitsData" in message
    with pytest.raises(DataError, match="could not be fetched"):
        data.setup("fit")


def test_unknown_set() -> None:
    wrong: Any = "FashonMNIST"
    with pytest.raises(ConfigError, match="did you mean 'FashionMNIST'"):
        TorchvisionData(wrong)
