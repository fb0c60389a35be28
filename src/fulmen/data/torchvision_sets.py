"""torchvision's downloadable image sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from fulmen.core.errors import ConfigError, DataError, unknown
from fulmen.data.base import BatchedDataset, SupervisedDataModule, TensorRows
from fulmen.data.splits import check_split
from fulmen.data.splitting import Samples

SetName = Literal["MNIST", "FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100"]

_DIGITS = [str(i) for i in range(10)]
_FASHION = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
_CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
_CLASSES: dict[str, list[str]] = {
    "MNIST": _DIGITS,
    "FashionMNIST": _FASHION,
    "KMNIST": ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
    "CIFAR10": _CIFAR10,
    "CIFAR100": [str(i) for i in range(100)],
}


class TorchvisionData(SupervisedDataModule):
    """MNIST, FashionMNIST, KMNIST, CIFAR10 or CIFAR100, fetched by torchvision and held in memory.

    Their own test sets are the test split; validation is taken from their training sets.

    Args:
        name: Which set.
        root: Folder for the files.
        download: Fetch what is not in ``root``.
        **kwargs: Arguments of :class:`SupervisedDataModule`; ``test_fraction`` has no effect.

    Raises:
        ConfigError: If there is no set of this name.
    """

    target_type = "multiclass"

    def __init__(self, name: SetName = "MNIST", root: str = "data", download: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if name not in _CLASSES:
            raise ConfigError(f"name: {unknown('set', name, _CLASSES)}")
        self.set_name, self.root, self.download = name, root, download
        self.class_names = list(_CLASSES[name])
        self.num_outputs = len(self.class_names)
        self.input_shape = [3, 32, 32] if name.startswith("CIFAR") else [1, 28, 28]

    def prepare_data(self) -> None:
        """Fetches what is missing.

        Raises:
            DataError: If that fails; says what to do offline.
        """
        for train in (True, False):
            self._open(train, self.download)

    def build_datasets(self) -> dict[str, BatchedDataset]:
        """Holds both sets in memory, as uint8 ``(N, C, H, W)``."""
        parts = [self._tensors(train) for train in (True, False)]
        inputs, targets = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        given = np.repeat(["train", "test"], [len(part[1]) for part in parts])
        rows = self.splitting(Samples(len(targets), targets.numpy(), given=given))
        check_split(rows, targets.numpy(), self.class_names or [])
        return {name: TensorRows(inputs, targets, torch.from_numpy(r)) for name, r in rows.items()}

    def _tensors(self, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
        found = self._open(train, download=False)
        pixels = torch.as_tensor(np.asarray(found.data))
        pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
        return pixels, torch.as_tensor(np.asarray(found.targets)).long()

    def _open(self, train: bool, download: bool) -> Any:
        import torchvision

        try:
            return getattr(torchvision.datasets, self.set_name)(self.root, train=train, download=download)
        except (OSError, RuntimeError) as error:
            folder = Path(self.root).resolve()
            raise DataError(
                f"{self.set_name} is not in {folder} and could not be fetched ({type(error).__name__}: {error})\n"
                "Offline? Run this on a machine that is online, and copy the folder `data` it makes to "
                f"{folder}:\n  python -c \"import torchvision; [torchvision.datasets.{self.set_name}('data', train=t, "
                'download=True) for t in (True, False)]"\n'
                "Or train on a set that needs no download: DigitsData."
            ) from error
