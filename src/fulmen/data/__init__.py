"""Floor 3: LightningDataModules.

A name is imported when it is asked for: reading a table needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fulmen.data.arrays import ArrayData
    from fulmen.data.base import SupervisedDataModule
    from fulmen.data.datasets import DatasetData
    from fulmen.data.image_table import ImageTableData
    from fulmen.data.images import ImageFolderData
    from fulmen.data.tables import TabularData
    from fulmen.data.texts import TextData
    from fulmen.data.torchvision_sets import TorchvisionData
    from fulmen.data.toy import (
        BlobsData,
        BreastCancerData,
        DiabetesData,
        DigitsData,
        IrisData,
        MoonsData,
        SpiralsData,
        WineData,
    )

_MODULES = {
    "arrays": "ArrayData",
    "base": "SupervisedDataModule",
    "datasets": "DatasetData",
    "image_table": "ImageTableData",
    "images": "ImageFolderData",
    "tables": "TabularData",
    "texts": "TextData",
    "torchvision_sets": "TorchvisionData",
    "toy": "BlobsData BreastCancerData DiabetesData DigitsData IrisData MoonsData SpiralsData WineData",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "ArrayData",
    "BlobsData",
    "BreastCancerData",
    "DatasetData",
    "DiabetesData",
    "DigitsData",
    "ImageFolderData",
    "ImageTableData",
    "IrisData",
    "MoonsData",
    "SpiralsData",
    "SupervisedDataModule",
    "TabularData",
    "TextData",
    "TorchvisionData",
    "WineData",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"fulmen.data.{_HOME[name]}"), name)
    raise AttributeError(f"module 'fulmen.data' has no attribute {name!r}")
