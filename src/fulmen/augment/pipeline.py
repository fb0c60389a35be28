"""Augmentations of specs, applied one after the other to the samples of a batch."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fulmen.augment.streams import Streams, sample_keys
from fulmen.core.errors import ConfigError, DataError, SpecError
from fulmen.core.spec import at, build, read

Image = NDArray[Any]
Epoch = int | NDArray[np.int64]
_ROUNDING = 1e-5  # of float32 images in [0, 1]


class Pipeline(ABC):
    """Augmentations in a row. What comes out depends on the seed, the epoch and the sample alone.

    Before each sample, the random streams are reseeded from these three; neither the number of workers nor
    the batch size nor the rank plays a part, and no global random state is left changed.

    Args:
        specs: Specs of the augmentations, in order.
        seed: Seed of the run.
        **supplied: What Fulmen fills in, where an augmentation has such an argument.

    Attributes:
        transforms: Name and object of each augmentation.
    """

    kind: str
    """The kind of extension, a key of :data:`fulmen.core.registry.KINDS`."""
    __call__: Callable[..., Any]
    """A batch of samples, their rows and the epoch to the batch of augmented samples."""

    def __init__(self, specs: Sequence[object], seed: int = 0, **supplied: Any) -> None:
        self.seed, self.streams = seed, Streams()
        self.transforms: list[tuple[str, Any]] = []
        if isinstance(specs, str | dict):
            raise SpecError(f"augment: {specs!r} is no list; write [{specs!r}]")
        for i, spec in enumerate(specs):
            with at(f"augment[{i}]"):
                made = build(self.kind, spec, **supplied)
                name = read(self.kind, spec)[0] if isinstance(spec, str | dict) else type(made).__name__
                self.transforms.append((name, self._adopt(name, made)))

    @property
    def _names(self) -> str:
        return ", ".join(name for name, _ in self.transforms)

    @abstractmethod
    def _adopt(self, name: str, made: Any) -> Any:
        """Checks an augmentation and gives it the streams."""

    @abstractmethod
    def _apply(self, transform: Any, sample: Any) -> Any:
        """One sample through one augmentation."""

    def _samples(
        self, samples: Sequence[Any], index: NDArray[np.int64], epoch: Epoch, describe: Callable[[int], str]
    ) -> Iterator[Any]:
        for key, sample, number in zip(sample_keys(self.seed, epoch, index).tolist(), samples, index, strict=True):
            self.streams.reseed(key)
            self._reseeded(key)
            for name, transform in self.transforms:
                try:
                    sample = self._apply(transform, sample)
                except Exception as error:  # whatever a transform raises: named, never hidden
                    raise DataError(
                        f"augment: {name!r} failed on {describe(int(number))}: {type(error).__name__}: {error}"
                    ) from error
            yield sample

    def _reseeded(self, key: int) -> None:  # noqa: B027 (most have no further streams)
        """For streams of a subclass."""


def _row(number: int) -> str:
    return f"sample {number}"


def _channels_last(images: Tensor) -> Sequence[Image]:
    """``(N, C, H, W)`` as arrays ``(H, W, C)``; channel by channel takes a third of the time of `contiguous`."""
    source = images.numpy()
    result = np.empty((len(source), *source.shape[2:], source.shape[1]), source.dtype)
    for channel in range(source.shape[1]):
        result[..., channel] = source[:, channel]
    return list(result)


class ImagePipeline(Pipeline):
    """Image augmentations in a row.

    An image augmentation is a class or a function that returns a transform of albumentations (or an object
    like it): ``transform(image=array)["image"]`` with an array ``(H, W, C)`` of uint8, or of float32 in
    [0, 1], and ``set_random_state(numpy_generator, python_random)``, which says where its random numbers come
    from. Where it takes an argument ``image_shape``, it gets the shape ``(C, H, W)`` that the network sees.

    Args:
        specs: Specs of the augmentations, in order.
        image_shape: ``(C, H, W)`` that comes out.
        seed: Seed of the run.

    Raises:
        ConfigError: If an augmentation cannot be made, or is none.
    """

    kind = "image_augmentations"

    def __init__(self, specs: Sequence[object], image_shape: Sequence[int], seed: int = 0) -> None:
        self.image_shape = tuple(image_shape)
        super().__init__(specs, seed, image_shape=self.image_shape)

    def __call__(
        self,
        images: Tensor | Sequence[Image],
        index: Tensor,
        epoch: Epoch = 0,
        fit: Callable[[Image], Image] | None = None,
        describe: Callable[[int], str] = _row,
    ) -> Tensor:
        """Augments a batch.

        Args:
            images: ``(N, C, H, W)``, or arrays ``(h, w, C)`` of any size; uint8, or float32 in [0, 1].
            index: ``(N,)`` row of each sample in its data set.
            epoch: Number of the epoch, or ``(N,)`` one a sample.
            fit: Brings an image ``(h, w, C)`` to ``image_shape``, where images have different sizes.
            describe: What a sample is called in messages.

        Returns:
            ``(N, *image_shape)`` of the same type, in torch's channels-last format.

        Raises:
            DataError: If an augmentation fails, or gives another size or type.
        """
        arrays = _channels_last(images) if isinstance(images, Tensor) else images
        rows = index.numpy()
        if arrays and arrays[0].dtype not in (np.uint8, np.float32):
            raise DataError(
                f"augment: images are {arrays[0].dtype}; allowed: uint8, or float32 in [0, 1]; convert them first"
            )
        channels, height, width = self.image_shape
        result = np.empty((len(arrays), height, width, channels), arrays[0].dtype)
        for i, image in enumerate(self._samples(arrays, rows, epoch, describe)):
            same = isinstance(image, np.ndarray) and image.dtype == result.dtype and image.shape[2:] == (channels,)
            fitted = fit(image) if same and fit is not None else image
            if not same or fitted.shape != result.shape[1:]:
                raise self._misfit(fitted, result, describe(int(rows[i])))
            result[i] = fitted
        if result.dtype == np.float32 and not (result.min() > -_ROUNDING and result.max() < 1 + _ROUNDING):
            raise DataError(
                f"augment: ({self._names}) makes values from {result.min():g} to {result.max():g}; floats are in "
                "[0, 1]. Leave normalization to the data (`standardize: true`)"
            )
        return torch.from_numpy(result).permute(0, 3, 1, 2)

    def _adopt(self, name: str, made: Any) -> Any:
        if not callable(made) or not hasattr(made, "set_random_state"):
            raise ConfigError(
                f"{name!r} is no image augmentation, but a {type(made).__name__}; write a name, or {{name: ...}}"
            )
        made.set_random_state(self.streams.numpy, self.streams.python)
        return made

    def _apply(self, transform: Any, sample: Image) -> Image:
        image: Image = transform(image=sample)["image"]
        return image[..., None] if image.ndim == 2 else image

    def _misfit(self, image: Image, expected: Image, sample: str) -> DataError:
        height, width, channels = expected.shape[1:]
        return DataError(
            f"augment: ({self._names}) makes {sample} an image of {tuple(image.shape)} {image.dtype}; the network "
            f"takes ({height}, {width}, {channels}) {expected.dtype}. Crop or resize to {height}x{width}, and leave "
            "normalization to the data"
        )


class TextPipeline(Pipeline):
    """Text augmentations in a row.

    A text augmentation is a class or a function that returns an augmenter of nlpaug (or an object like it):
    ``augment(text)`` gives a text, or a list that begins with it (an empty one leaves the text as it is).
    Augmenters that have ``set_random_state(numpy_generator, python_random)`` draw from streams of their own;
    the others read ``random`` and ``numpy.random``, which are seeded for each sample and put back afterwards.

    Args:
        specs: Specs of the augmentations, in order.
        seed: Seed of the run.

    Raises:
        ConfigError: If an augmentation cannot be made, or is none.
    """

    kind = "text_augmentations"

    def __init__(self, specs: Sequence[object], seed: int = 0) -> None:
        self._global = False
        super().__init__(specs, seed)

    def __call__(
        self, texts: Sequence[str], index: Tensor, epoch: Epoch = 0, describe: Callable[[int], str] = _row
    ) -> list[str]:
        """Augments a batch.

        Args:
            texts: ``N`` texts.
            index: ``(N,)`` row of each sample in its data set.
            epoch: Number of the epoch, or ``(N,)`` one a sample.
            describe: What a sample is called in messages.

        Returns:
            ``N`` texts.

        Raises:
            DataError: If an augmentation fails.
        """
        with _global_streams_kept() if self._global else nullcontext():
            return list(self._samples(texts, index.numpy(), epoch, describe))

    def _adopt(self, name: str, made: Any) -> Any:
        if not callable(getattr(made, "augment", None)):
            raise ConfigError(
                f"{name!r} is no text augmentation, but a {type(made).__name__}; write a name, or {{name: ...}}"
            )
        if hasattr(made, "set_random_state"):
            made.set_random_state(self.streams.numpy, self.streams.python)
        else:
            self._global = True
        return made

    def _reseeded(self, key: int) -> None:
        if self._global:
            random.seed(key)
            np.random.seed(key % (1 << 32))  # noqa: NPY002 (nlpaug reads it)

    def _apply(self, transform: Any, sample: str) -> str:
        result = transform.augment(sample)
        text = (result[0] if result else sample) if isinstance(result, list) else result
        if not isinstance(text, str):
            raise TypeError(f"augment() gave {type(text).__name__}, not text")
        return text


@contextmanager
def _global_streams_kept() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (nlpaug reads it)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
