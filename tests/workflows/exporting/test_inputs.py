"""What datamodules do to batches, as modules of an exported graph: the same numbers, bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fulmen.data import ArrayData, TabularData
from fulmen.data.pixels import centre, resize, scaled
from fulmen.workflows.exporting.describing import describe_input
from fulmen.workflows.exporting.inputs import make_inputs
from fulmen.workflows.exporting.parity import raw_samples
from fulmen.workflows.exporting.reading import arrays_of
from fulmen.workflows.exporting.resampling import CentreOfResized


@settings(deadline=None, max_examples=150)
@given(
    st.integers(1, 400),
    st.integers(1, 400),
    st.sampled_from([1, 3]),
    st.sampled_from([(8, 8), (32, 37), (96, 110), (224, 249)]),
    st.sampled_from(["bilinear", "bicubic"]),
    st.integers(0, 2**31),
)
def test_resizing_is_the_datamodules_own(
    height: int, width: int, channels: int, sizes: tuple[int, int], interpolation: Any, seed: int
) -> None:
    assume(max(height, width) <= 8 * min(height, width))
    size, shorter = sizes
    image = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    expected = centre(resize(image, *scaled(height, width, shorter), interpolation), size)
    found = CentreOfResized(size, shorter, interpolation)(torch.from_numpy(image)[None])[0].permute(1, 2, 0)
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize(
    ("height", "width", "shorter"),
    [(498, 747, 249), (249, 400, 249), (2, 3, 249), (1000, 3000, 249), (250, 250, 249), (224, 600, 224)],
)
def test_resizing_where_rounding_matters(height: int, width: int, shorter: int) -> None:
    """Half pixels, no resize at all, enlargement, and almost none."""
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    for interpolation in ("bilinear", "bicubic"):
        expected = centre(resize(image, *scaled(height, width, shorter), interpolation), 224)
        found = CentreOfResized(224, shorter, interpolation)(torch.from_numpy(image)[None])[0]
        np.testing.assert_array_equal(found.permute(1, 2, 0).numpy(), expected)


def write_rows(path: Path, rows: int = 60) -> Path:
    """A table with every kind of column, missing values, rare categories, and one that is no input."""
    rng = np.random.default_rng(0)
    lines = ["name,age,price,day,member,city,floor,target"]
    for i in range(rows):
        age = "" if i % 7 == 0 else f"{rng.normal(40, 9):.3f}"
        city = "" if i % 11 == 0 else rng.choice(["Ulm", " Bonn", "Köln", f"village {i}"], p=[0.4, 0.3, 0.2, 0.1])
        day = f"2024-{1 + i % 12:02d}-{1 + i % 28:02d} {i % 24:02d}:30"
        lines.append(
            f"person {i},{age},{rng.uniform(1, 9) * 1e6:.2f},{day},{['yes', 'no'][i % 3 == 0]},{city},{i % 4},{i % 2}"
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("encoding", ["embedding", "one_hot"])
def test_rows_of_tables_become_the_datamodules_inputs(tmp_path: Path, encoding: Any) -> None:
    data = TabularData(
        str(write_rows(tmp_path / "rows.csv")), "target", types={"floor": "category"}, category_encoding=encoding
    )
    data.setup("fit")
    about = {"input": describe_input(data), "inputs": [{"dtype": "int64"}]}
    assert {column["kind"] for column in about["input"]["columns"]} == {"number", "date", "boolean", "category"}  # type: ignore[index]
    made = make_inputs(about["input"], {})  # type: ignore[arg-type]
    for split in ("train", "val", "test"):
        rows = list(range(len(data.datasets[split])))
        [arrays] = arrays_of(about, raw_samples(data, split, rows), len(rows))
        found = made(*map(torch.from_numpy, arrays))
        assert torch.equal(found, data.datasets[split].__getitems__(rows).inputs)


def test_arrays_are_normalized_as_by_the_datamodule() -> None:
    images = torch.randint(0, 256, (40, 1, 5, 5), dtype=torch.uint8)
    numbers = torch.randn(40, 6) * 100
    for inputs, standardize in ((images, False), (images, True), (numbers, True), (numbers, False)):
        data = ArrayData(inputs, torch.arange(40) % 2, standardize=standardize)
        data.setup("fit")
        made = make_inputs(describe_input(data), data.statistics)
        batch = data.datasets["val"].__getitems__([0, 1, 2]).inputs
        assert torch.equal(made(batch), data.normalize(batch))
