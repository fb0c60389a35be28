"""Image augmentation with albumentations, for Fulmen.

By name in a config (``augment: [flip, {name: rotate, degrees: 10}]``); in Python, :class:`AlignedPipeline` keeps
masks, boxes and keypoints with their image.
"""

import os

# albumentations asks the package index for its newest version when it is imported, unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

from fulmen_albumentations.targets import AlignedPipeline

__all__ = ["AlignedPipeline"]
