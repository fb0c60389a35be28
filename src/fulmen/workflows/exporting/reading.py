"""Samples as files or Python values to the arrays that an exported graph takes; no Lightning, no config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow as pa

Arrays = tuple[NDArray[Any], ...]
About = Mapping[str, Any]


def arrays_of(about: About, samples: Any, size: int) -> Iterator[Arrays]:
    """Samples as batches of the graph's inputs, in order.

    Args:
        about: The description of an exported file.
        samples: Images (paths, Pillow's, or uint8 ``(H, W, C)``), texts, rows (mappings, columns, or an Arrow table),
            or numbers ``(N, *shape)``.
        size: Samples a batch, at most.

    Raises:
        DataError: If samples are not what the model takes.
    """
    kind = about["input"]["kind"]
    if kind == "images":
        return _images(about["input"], samples, size)
    if kind == "texts":
        return _texts(about["input"], samples, size)
    if kind == "table":
        strings = any(one["dtype"] == "string" for one in about["inputs"])
        return _cut(_columns(about["input"], as_table(samples), strings), size)
    return _cut((_numbers(about["input"], samples),), size)


def _cut(arrays: Arrays, size: int) -> Iterator[Arrays]:
    for start in range(0, len(arrays[0]), size):
        yield tuple(array[start : start + size] for array in arrays)


# Images


def _images(facts: About, samples: Sequence[Any], size: int) -> Iterator[Arrays]:
    """Batches of images of one shape: files are read as in training, which makes them squares."""
    batch: list[NDArray[Any]] = []
    for sample in [samples] if isinstance(samples, str | Path) or getattr(samples, "ndim", 0) == 3 else samples:
        image = _image(facts, sample)
        if batch and (len(batch) == size or batch[0].shape != image.shape):
            yield (np.stack(batch),)
            batch = []
        batch.append(image)
    if batch:
        yield (np.stack(batch),)


def _image(facts: About, sample: Any) -> NDArray[np.uint8]:
    channels = facts["channels"]
    if isinstance(sample, str | Path):
        return read_square(facts, Path(sample))
    if hasattr(sample, "convert"):  # Pillow's
        sample = np.array(sample.convert("RGB" if channels == 3 else "L"))
    image = np.asarray(sample)
    image = image[:, :, None] if image.ndim == 2 else image
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != channels:
        raise DataError(f"an image is uint8 (H, W, {channels}); got {image.dtype} {image.shape}")
    return image


def read_square(facts: About, path: Path) -> NDArray[np.uint8]:
    """A file's image as training read it, cut to a square of which the graph, which need not resize it, sees the same.

    Large JPEGs are decoded at a lower resolution, as in training; squares go into one batch.

    Args:
        facts: ``input`` of a description.
        path: The image.
    """
    from fulmen.data.pixels import read_image

    side, size = facts["shorter"], facts["size"]
    image = read_image(path, side, facts["channels"], interpolation=facts["interpolation"])
    top, left = ((length - size) // 2 - (side - size) // 2 for length in image.shape[:2])
    return np.ascontiguousarray(image[top : top + side, left : left + side])


# Texts


def _texts(facts: About, samples: Any, size: int) -> Iterator[Arrays]:
    from fulmen.data.tokenization import TextEncoder

    if isinstance(samples, str):
        samples = [samples]
    encoder = TextEncoder(facts["tokenizer"], facts["max_tokens"])
    for start in range(0, len(samples), size):
        yield (encoder([str(text) for text in samples[start : start + size]]).numpy(),)


# Tables


def as_table(rows: Any) -> pa.Table:
    """Rows as an Arrow table.

    Args:
        rows: An Arrow table, a mapping of columns, a mapping of one row's values, a list of such, or a pandas table.
    """
    import pyarrow as pa

    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, Mapping):
        single = not any(isinstance(value, list | tuple | np.ndarray) for value in rows.values())
        return pa.Table.from_pylist([dict(rows)]) if single else pa.table({**rows})
    if isinstance(rows, list | tuple) and all(isinstance(row, Mapping) for row in rows):
        names = list(dict.fromkeys(name for row in rows for name in row))
        return pa.table({name: [row.get(name) for row in rows] for name in names})
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        return pa.Table.from_pandas(rows, preserve_index=False)
    raise DataError(f"rows are mappings, columns or a table; got {type(rows).__name__}")


def _columns(facts: About, table: pa.Table, strings: bool) -> Arrays:
    """Numbers ``(N, K)`` and categories ``(N, M)`` of a table; columns that training did not use are passed over."""
    from fulmen.data.preprocessing import category_keys, encode_categories, number_parts
    from fulmen.data.reading import no_column

    absent = [c["name"] for c in facts["columns"] if c["name"] not in table.column_names]
    if absent:
        more = f" (and {len(absent) - 1} more: {', '.join(absent[1:])})" if len(absent) > 1 else ""
        raise DataError(f"data: {no_column(absent[0], table.column_names)}{more}; the model was trained with it")
    numbers: list[NDArray[Any]] = []
    codes: list[NDArray[Any]] = []
    for column in facts["columns"]:
        values = table[column["name"]]
        if column["kind"] != "category":
            numbers += number_parts(column, values, lambda row: f"row {row}").values()
        elif not strings:
            codes.append(encode_categories(column, values, facts["missing"]))
        else:
            keys, indices = category_keys(values, column["numeric"], facts["missing"])
            texts = [facts["missing_text"] if key is None else key for key in [*keys, None]]
            codes.append(np.array(texts, object)[indices])
    return tuple(np.stack(part, 1) for part in (numbers, codes) if part)


# Numbers


def _numbers(facts: About, samples: Any) -> NDArray[Any]:
    shape, kind = tuple(facts["shape"]), np.dtype(facts["dtype"])
    array = np.asarray(samples)
    if array.shape == shape:
        array = array[None]
    if array.ndim == 2 and array.shape[1] == int(np.prod(shape)):
        array = array.reshape(-1, *shape)
    if array.shape[1:] != shape:
        raise DataError(
            f"samples have the shape {shape}, in an array (N, {', '.join(map(str, shape))}); got {array.shape}"
        )
    if array.dtype == kind:
        return np.ascontiguousarray(array)
    if not np.issubdtype(array.dtype, np.number) or (kind == np.uint8):
        raise ConfigError(f"samples are {kind}; got {array.dtype}")
    return np.ascontiguousarray(array.astype(kind))
