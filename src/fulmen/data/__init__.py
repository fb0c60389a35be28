"""Floor 3: LightningDataModules."""

from fulmen.data.arrays import ArrayData
from fulmen.data.base import SupervisedDataModule
from fulmen.data.images import ImageFolderData
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

__all__ = [
    "ArrayData",
    "BlobsData",
    "BreastCancerData",
    "DiabetesData",
    "DigitsData",
    "ImageFolderData",
    "IrisData",
    "MoonsData",
    "SpiralsData",
    "SupervisedDataModule",
    "TorchvisionData",
    "WineData",
]
