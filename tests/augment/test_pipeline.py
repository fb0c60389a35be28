"""Pipelines of augmentations, on augmentations that are written here."""

import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fulmen.augment import ImagePipeline, Streams, TextPipeline, sample_keys
from fulmen.core.errors import ConfigError, DataError, SpecError


class Shift:
    """Adds a random number to every pixel."""

    def __init__(self, most: int = 9) -> None:
        self.most = most

    def set_random_state(self, numpy: np.random.Generator, python: random.Random) -> None:
        self.numpy, self.python = numpy, python

    def __call__(self, image: NDArray[Any]) -> dict[str, NDArray[Any]]:
        drawn = self.numpy.integers(1, self.most + 1) + self.python.randint(1, self.most)
        return {"image": image + np.asarray(drawn, image.dtype)}


class Fails(Shift):
    def __call__(self, image: NDArray[Any]) -> dict[str, NDArray[Any]]:
        if image[0, 0, 0] == 3:
            raise RuntimeError("no threes")
        return {"image": image}


class Same(Shift):
    def __call__(self, image: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {"image": image}


class Halves(Shift):
    def __call__(self, image: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {"image": image[::2, ::2]}


class Floats(Shift):
    def __call__(self, image: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {"image": image.astype(np.float32)}


class Flat(Shift):
    def __call__(self, image: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {"image": image[..., 0]}


IMAGES = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 4, 5).contiguous()
ROWS = torch.tensor([10, 3, 7, 0, 99, 4])


def pipeline(*transforms: Any, seed: int = 0) -> ImagePipeline:
    return ImagePipeline(transforms or [Shift()], (3, 4, 5), seed)


def test_what_comes_out_depends_on_seed_epoch_and_row_alone() -> None:
    whole = pipeline()(IMAGES, ROWS, 2)
    order = torch.tensor([5, 0, 3, 1, 4, 2])
    again = pipeline()
    again(IMAGES, ROWS, 7)  # what came before plays no part
    assert torch.equal(again(IMAGES[order], ROWS[order], 2), whole[order])
    assert torch.equal(torch.cat([again(IMAGES[i : i + 2], ROWS[i : i + 2], 2) for i in (0, 2, 4)]), whole)
    assert not torch.equal(again(IMAGES, ROWS, 3), whole)
    assert not torch.equal(pipeline(seed=1)(IMAGES, ROWS, 2), whole)


def test_the_streams_are_those_of_the_sample() -> None:
    streams = Streams()
    for image, key in zip(pipeline()(IMAGES, ROWS, 2), sample_keys(0, 2, ROWS.numpy()).tolist(), strict=True):
        streams.reseed(key)
        drawn = streams.numpy.integers(1, 10) + streams.python.randint(1, 9)
        source = int(image[0, 0, 0]) - drawn
        assert 0 <= source < 6


def test_transforms_act_in_order_and_share_the_streams() -> None:
    both = pipeline(Shift(), Shift())(IMAGES, ROWS)
    streams = Streams()
    for image, before, key in zip(both, IMAGES, sample_keys(0, 0, ROWS.numpy()).tolist(), strict=True):
        streams.reseed(key)
        drawn = sum(int(streams.numpy.integers(1, 10)) + streams.python.randint(1, 9) for _ in range(2))
        assert int(image[0, 0, 0]) == int(before[0, 0, 0]) + drawn


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_type_shape_and_source_are_kept(dtype: torch.dtype, channels: int) -> None:
    images = torch.rand(3, channels, 4, 5).mul(9 if dtype == torch.uint8 else 1).to(dtype)
    before = images.clone()
    result = ImagePipeline([Same()], (channels, 4, 5))(images, torch.arange(3))
    assert result.dtype == dtype
    assert torch.equal(result, before)
    assert torch.equal(images, before)


def test_images_of_any_size_are_fitted() -> None:
    arrays = [np.full((h, w, 3), h, np.uint8) for h, w in ((4, 5), (9, 6))]
    result = pipeline(Flat())  # a grey image without its channel gets it back
    grey = ImagePipeline([Flat()], (1, 4, 5))([a[..., :1] for a in arrays], torch.arange(2), fit=lambda i: i[:4, :5])
    assert grey.shape == (2, 1, 4, 5)
    assert grey[:, 0, 0, 0].tolist() == [4, 9]
    with pytest.raises(DataError, match=r"makes sample 0 an image of \(4, 5, 1\) uint8"):
        result(arrays, torch.arange(2), fit=lambda i: i[:4, :5])


def test_a_failure_names_the_transform_and_the_sample() -> None:
    with pytest.raises(DataError, match=r"'Fails' failed on sample 0: RuntimeError: no threes") as caught:
        pipeline(Fails())(IMAGES, ROWS)
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(DataError, match=r"'Fails' failed on cats/0.jpg: "):
        pipeline(Fails())(IMAGES, ROWS, describe=lambda row: f"cats/{row}.jpg")


@pytest.mark.parametrize(
    ("transform", "message"),
    [(Halves(), r"\(2, 3, 3\) uint8.*Crop or resize to 4x5"), (Floats(), r"\(4, 5, 3\) float32.*leave normalization")],
)
def test_another_shape_or_type_is_refused(transform: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"(?s){message}"):
        pipeline(transform)(IMAGES, ROWS)


@pytest.mark.parametrize("made", [torch.nn.ReLU(), len])
def test_what_is_no_augmentation_is_refused(made: Any) -> None:
    with pytest.raises(ConfigError, match=r"augment\[1\]: .* is no image augmentation"):
        pipeline(Shift(), made)
    with pytest.raises(ConfigError, match=r"augment\[0\]: .* is no text augmentation"):
        TextPipeline([made])


def test_an_unknown_name_is_refused_with_its_place() -> None:
    with pytest.raises(SpecError, match=r"augment\[0\]: unknown image augmentation 'no_such_thing'"):
        pipeline("no_such_thing")


def test_a_pickled_pipeline_goes_on_with_its_own_streams() -> None:
    made = pipeline()
    copy = pickle.loads(pickle.dumps(made))
    assert copy.transforms[0][1].numpy is copy.streams.numpy
    assert torch.equal(copy(IMAGES, ROWS, 1), made(IMAGES, ROWS, 1))


class Suffix:
    """An augmenter with streams of its own."""

    def set_random_state(self, numpy: np.random.Generator, python: random.Random) -> None:
        self.numpy, self.python = numpy, python

    def augment(self, text: str) -> str:
        return f"{text} {self.numpy.integers(10**6)} {self.python.random():.6f}"


class Global:
    """An augmenter that reads global streams, and answers with a list, as nlpaug does."""

    def augment(self, text: str) -> list[str]:
        return [f"{text} {np.random.randint(10**6)} {random.random():.6f}"] if text else []


class Wrong:
    def augment(self, text: str) -> int:
        return len(text)


TEXTS = ["one", "two words", "", "vier"]


@pytest.mark.parametrize("augmenter", [Suffix, Global])
def test_texts_depend_on_seed_epoch_and_row_alone(augmenter: Any) -> None:
    rows = torch.tensor([4, 1, 0, 9])
    whole = TextPipeline([augmenter()])(TEXTS, rows, 1)
    again = TextPipeline([augmenter()])
    random.seed(5)
    np.random.seed(5)
    assert [again([t], rows[i : i + 1], 1)[0] for i, t in enumerate(TEXTS)] == whole
    assert again(TEXTS, rows, 2) != whole
    assert TextPipeline([augmenter()], seed=1)(TEXTS, rows, 1) != whole
    assert len(set(whole)) == 4


@pytest.mark.parametrize("augmenter", [Suffix, Global, Wrong])
def test_global_random_states_are_left_as_they_were(augmenter: Any) -> None:
    random.seed(3)
    np.random.seed(3)
    python, numpy = random.getstate(), np.random.get_state()
    try:
        TextPipeline([augmenter()])(TEXTS, torch.arange(4))
    except DataError:
        assert augmenter is Wrong
    assert random.getstate() == python
    after = np.random.get_state()
    assert np.array_equal(after[1], numpy[1])
    assert after[2:] == numpy[2:]


def test_an_empty_answer_leaves_the_text() -> None:
    assert TextPipeline([Global()])([""], torch.tensor([0])) == [""]


def test_an_augmenter_that_gives_no_text_is_named() -> None:
    with pytest.raises(DataError, match=r"'Wrong' failed on sample 0: TypeError: augment\(\) gave int, not text"):
        TextPipeline([Wrong()])(TEXTS, torch.arange(4))


@pytest.mark.parametrize(("shift", "span"), [(-0.5, "from -0.5 to"), (0.5, "to 1.5"), (float("nan"), "from nan")])
def test_floats_that_leave_0_and_1_are_refused(shift: float, span: str) -> None:
    class Normalize(Shift):
        def __call__(self, image: NDArray[Any]) -> dict[str, NDArray[Any]]:
            return {"image": image + np.float32(shift)}

    images = torch.linspace(0, 1, 60).view(1, 3, 4, 5)
    with pytest.raises(DataError, match=rf"\(Normalize\) makes values .*{span}.*Leave normalization to the data"):
        pipeline(Normalize())(images, torch.tensor([0]))


class Tensors(Shift):
    def __call__(self, image: NDArray[Any]) -> dict[str, Any]:
        return {"image": torch.from_numpy(image)}


@pytest.mark.parametrize("transform", [Tensors(), Floats(), Flat()])
def test_what_cannot_be_fitted_is_refused_before(transform: Any) -> None:
    def fit(image: NDArray[Any]) -> NDArray[Any]:
        pytest.fail("it was asked to fit")

    with pytest.raises(DataError, match="makes sample 0 an image of"):
        pipeline(transform)([np.zeros((9, 9, 3), np.uint8)], torch.tensor([0]), fit=fit)


@pytest.mark.parametrize("specs", ["flip", {"name": "flip"}])
def test_a_single_spec_is_no_list(specs: Any) -> None:
    with pytest.raises(SpecError, match=r"augment: .* is no list; write \["):
        ImagePipeline(specs, (3, 4, 5))
