"""Floor 1: sample adapters for augmentations."""

from fulmen.augment.pipeline import ImagePipeline, Pipeline, TextPipeline
from fulmen.augment.streams import Streams, sample_keys

__all__ = ["ImagePipeline", "Pipeline", "Streams", "TextPipeline", "sample_keys"]
