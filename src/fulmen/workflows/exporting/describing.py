"""What an exported file says of itself: plain facts in JSON, enough to prepare samples and to read answers."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from fulmen.core.version import __version__
from fulmen.data import SupervisedDataModule, TabularData, TextData
from fulmen.data.image_data import ImageData
from fulmen.data.tokenization import PAD
from fulmen.modules import SupervisedModule, TransferModule
from fulmen.modules.saving import class_path

FORMAT = 1
"""Version of the description; a reader refuses higher ones."""
_TRAINING_ONLY = ("regularizers", "metrics", "weights", "pretrained", "vectors")
_USED_IN_TRAINING = {"regularizers", "metrics", "optimizers", "schedules", "image_augmentations", "text_augmentations"}


def describe(module: SupervisedModule, data: SupervisedDataModule) -> dict[str, Any]:
    """Task, classes, inputs, outputs, model and versions, of JSON's types.

    Args:
        module: A trained module.
        data: Its data, set up.
    """
    facts = describe_input(data)
    components = module.components
    hyperparameters = {name: value for name, value in module.hparams.items() if name not in _TRAINING_ONLY}
    return {
        "fulmen_export": FORMAT,
        "task": module.task.name,
        "names": list(module.task.class_names),
        "input": facts,
        "inputs": graph_inputs(facts),
        "outputs": graph_outputs(module.task.name, len(module.task.class_names)),
        "temperature": 1.0,
        "model": {
            "class_path": class_path(type(module)),
            "hyperparameters": hyperparameters,
            "components": [c for c in components if c["kind"] not in _USED_IN_TRAINING],
            **_timm(module),
        },
        "versions": _versions({c["distribution"] for c in components}),
    }


def describe_input(data: SupervisedDataModule) -> dict[str, Any]:
    """What samples are, and what is done to them, before the graph and in it."""
    if isinstance(data, ImageData):
        return {
            "kind": "images",
            "size": data.sight.size,
            "shorter": data.sight.shorter,
            "channels": data.channels,
            "interpolation": data.sight.interpolation,
            "mean": data.mean,
            "std": data.std,
            "in_graph": "the shorter side is resized to `shorter` (antialiased as Pillow does, 8 bits), the centre "
            "`size` x `size` cut out, divided by 255, `mean` subtracted, divided by `std`",
            "outside": "decoding, upright as EXIF says, transparent pixels on white, 8 bits a channel, RGB or grey",
        }
    if isinstance(data, TabularData):
        return _table(data)
    if isinstance(data, TextData):
        return _texts(data)
    shape, sample = list(data.input_shape), _sample(data)
    if type(data).normalize is SupervisedDataModule.normalize:
        return {
            "kind": "arrays",
            "shape": shape,
            "dtype": str(sample.dtype).removeprefix("torch."),
            "standardized": "mean" in data.statistics,
            "in_graph": "uint8 is divided by 255; what was standardized in training is standardized",
        }
    prepared = data.normalize(sample)
    return {
        "kind": "tensors",
        "shape": list(prepared.shape[1:]),
        "dtype": str(prepared.dtype).removeprefix("torch."),
        "outside": f"{type(data).__name__}.normalize is not in the graph: inputs are what it gives",
    }


def _table(data: TabularData) -> dict[str, Any]:
    reading = {name: value for name, value in data.reading.items() if name != "missing"}
    values = {value for column in data.learned["columns"] for value in column.get("values", ())}
    return {
        "kind": "table",
        "columns": data.learned["columns"],
        "category_encoding": data.learned["category_encoding"],
        "missing": list(data.missing),
        "missing_text": "" if "" not in values else "<missing>",
        "id_column": data.id_column,
        "reading": {name: list(v) if isinstance(v, tuple) else v for name, v in reading.items()},
        "in_graph": "missing numbers (NaN) become the median, and an input of their own where there were some in "
        "training; numbers are standardized; categories become embeddings or 0/1 inputs",
        "outside": "yes/no is 1 and 0; dates become days since 1970, month, weekday (0 is Monday) and hour; whole "
        "numbers as categories are written without a point; blanks around a category are cut off",
    }


def _texts(data: TextData) -> dict[str, Any]:
    encoder, form = data.encoder, data.format
    token, number = next(iter(encoder.vocabulary.items()))
    own = encoder.tokenizer.token_to_id(token)
    assert own is not None
    header = form.header if isinstance(form.header, bool) else list(form.header)
    return {
        "kind": "texts",
        "tokenizer": data.learned["tokenizer"],
        "max_tokens": data.max_tokens,
        "shift": number - own,
        "padding": PAD,
        "empty": int(encoder([""])[0, 0]),
        "columns": list(form.text),
        "reading": {
            "target": form.target,
            "header": header,
            "separator": form.separator,
            "quoting": form.quoting,
            "encoding": form.encoding,
        },
        "outside": "texts become numbers by `tokenizer` (the JSON of the library tokenizers), each number `shift` "
        "higher; texts are cut after `max_tokens`, padded on the right with 0 to the longest of a batch; one without "
        "any token is the token `empty`",
    }


def _sample(data: SupervisedDataModule) -> Tensor:
    dataset = next(data.datasets[split] for split in ("val", "test", "train") if split in data.datasets)
    return dataset.__getitems__([0]).inputs


def graph_inputs(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Name, type and shape of each of the graph's inputs; letters are sizes that vary."""
    kind = facts["kind"]
    if kind == "images":
        return [{"name": "images", "dtype": "uint8", "shape": ["N", "H", "W", facts["channels"]]}]
    if kind == "texts":
        return [{"name": "tokens", "dtype": "int64", "shape": ["N", "L"]}]
    if kind != "table":
        name = "features" if kind == "arrays" else "inputs"
        return [{"name": name, "dtype": facts["dtype"], "shape": ["N", *facts["shape"]]}]
    numbers = [part for c in facts["columns"] if c["kind"] != "category" for part in c["parts"]]
    categories = [c["name"] for c in facts["columns"] if c["kind"] == "category"]
    made = [
        {"name": "numbers", "dtype": "float64", "shape": ["N", len(numbers)], "columns": numbers},
        {"name": "categories", "dtype": "int64", "shape": ["N", len(categories)], "columns": categories},
    ]
    return [one for one in made if one["columns"]]


def graph_outputs(task: str, count: int) -> list[dict[str, Any]]:
    """Name, type and shape of each of the graph's outputs."""
    if task == "regression":
        return [{"name": "prediction", "dtype": "float32", "shape": ["N", count]}]
    shape = ["N", count] if task == "multilabel" else ["N"]
    return [
        {"name": "probabilities", "dtype": "float32", "shape": ["N", count]},
        {"name": "prediction", "dtype": "int64", "shape": shape},
    ]


def _timm(module: SupervisedModule) -> dict[str, Any]:
    """Where timm finds its own weights among those of a transfer model."""
    if not isinstance(module, TransferModule):
        return {}
    return {
        "timm": {
            "model_name": module.hparams["backbone"],
            "num_classes": module.num_outputs,
            "prefix": "network.model.",
            "options": module.hparams.get("backbone_options") or {},
        }
    }


def _versions(distributions: set[Any]) -> dict[str, str]:
    found = {"fulmen": __version__, "torch": str(torch.__version__), "python": platform.python_version()}
    for name in sorted({"lightning", "timm", "numpy", *(d for d in distributions if d and d != "fulmen")}):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
