"""ONNX files: one file with the graph, its weights, and the description in its metadata."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import CheckpointError, ConfigError

OPSET = 20
_LABELS = 3
"""Version of the operators ai.onnx.ml, of which string <-> number is taken."""
_LARGEST = 2**31 - 1
_KEY = "fulmen"
_INSTALL = 'ONNX needs more than fulmen alone: pip install "fulmen[export]"'


def require_onnx() -> None:
    """Raises :class:`ConfigError` if what writes ONNX is not installed."""
    from importlib.util import find_spec

    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"{_INSTALL} ({', '.join(missing)} missing)")


def to_onnx(traced: Any, about: Mapping[str, Any]) -> Any:
    """A traced program as an ONNX model; strings in and out where a table has categories and a task classes.

    Args:
        traced: A ``torch.export.ExportedProgram``.
        about: Its description; ``inputs`` and ``outputs`` are adapted.

    Returns:
        An ``onnx.ModelProto``.

    Raises:
        ConfigError: If the exporter cannot translate an operation; its reason is told.
    """
    import torch

    try:
        with _silence():
            made = torch.onnx.export(
                traced,
                dynamo=True,
                opset_version=OPSET,
                input_names=[one["name"] for one in about["inputs"]],
                output_names=[one["name"] for one in about["outputs"]],
                verbose=False,
            )
    except Exception as error:  # whatever the exporter raises: named, never hidden
        raise ConfigError(
            f"model: ONNX cannot hold it: {_cause(error)}; `--to torch` or `--to safetensors` may"
        ) from error
    assert made is not None
    model = made.model_proto
    if model.ByteSize() > _LARGEST:
        raise ConfigError(
            "to: the model is larger than 2 GB, which one ONNX file cannot hold; use torch or safetensors"
        )
    _strip(model)
    _take_strings(model, about)
    _give_labels(model, about)
    return model


def write_onnx(model: Any, about: Mapping[str, Any], path: Path) -> None:
    """Writes the model with its description."""
    import onnx

    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {_KEY: json.dumps(about)})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


class OnnxRunner:
    """Runs an ONNX file, on the CPU.

    Args:
        path: The file.

    Raises:
        ConfigError: If onnxruntime is not installed.
        CheckpointError: If the file is no such model.
    """

    def __init__(self, path: Path) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it writes below the home folder on import
        try:
            import onnxruntime  # type: ignore[import-untyped]
        except ImportError as error:
            raise ConfigError(_INSTALL) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own, of many kinds
            raise CheckpointError(f"{path} is no ONNX model that can be run: {error}") from error
        found = self.session.get_modelmeta().custom_metadata_map.get(_KEY)
        self.about: dict[str, Any] | None = None if found is None else json.loads(found)

    def __call__(self, *arrays: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The graph's outputs by name."""
        outputs = [one.name for one in self.session.get_outputs()]
        inputs = [one.name for one in self.session.get_inputs()]
        found: Sequence[NDArray[Any]] = self.session.run(outputs, dict(zip(inputs, arrays, strict=True)))
        return dict(zip(outputs, found, strict=True))


def string_inputs(about: dict[str, Any]) -> None:
    """Says that a table's categories go into the graph as texts, and that the names of classes come out."""
    for one in about["inputs"]:
        if one["name"] == "categories":
            one["dtype"] = "string"
    if about["task"] in ("multiclass", "binary"):
        about["outputs"].append({"name": "label", "dtype": "string", "shape": ["N"]})


def _strip(model: Any) -> None:
    """Removes notes of the exporter, which name folders of this machine."""
    graph = model.graph
    for part in [*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer, *model.functions]:
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.metadata_props[:]


def _take_strings(model: Any, about: Mapping[str, Any]) -> None:
    """Lets the graph look up categories, given as texts; code 0 is what training did not know."""
    from onnx import TensorProto, helper, numpy_helper

    columns = [c for c in about["input"].get("columns", []) if isinstance(c, dict) and c["kind"] == "category"]
    if about["input"]["kind"] != "table" or not columns:
        return
    graph = model.graph
    given = next(one for one in graph.input if one.name == "categories")
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == "categories":
                node.input[i] = "category_codes"
    nodes, parts = [], []
    for i, column in enumerate(columns):
        codes = {value: code for code, value in enumerate(column["values"], 1)}
        if column["missing"]:
            codes[about["input"]["missing_text"]] = len(codes) + 1
        codes = codes or {"": 0}  # the operator needs one
        graph.initializer.append(numpy_helper.from_array(np.array([i], np.int64), f"category_place_{i}"))
        nodes += [
            helper.make_node("Gather", ["categories", f"category_place_{i}"], [f"category_text_{i}"], axis=1),
            helper.make_node(
                "LabelEncoder",
                [f"category_text_{i}"],
                [f"category_code_{i}"],
                domain="ai.onnx.ml",
                keys_strings=list(codes),
                values_int64s=list(codes.values()),
                default_int64=0,
            ),
        ]
        parts.append(f"category_code_{i}")
    nodes.append(helper.make_node("Concat", parts, ["category_codes"], axis=1))
    given.type.tensor_type.elem_type = TensorProto.STRING
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    _import_labels(model)


def _give_labels(model: Any, about: Mapping[str, Any]) -> None:
    """Lets the graph give names of classes."""
    from onnx import TensorProto, helper

    if about["task"] not in ("multiclass", "binary"):
        return
    names = about["names"]
    model.graph.node.append(
        helper.make_node(
            "LabelEncoder",
            ["prediction"],
            ["label"],
            domain="ai.onnx.ml",
            keys_int64s=list(range(len(names))),
            values_strings=list(names),
            default_string="",
        )
    )
    model.graph.output.append(helper.make_tensor_value_info("label", TensorProto.STRING, ["batch"]))
    _import_labels(model)


def _import_labels(model: Any) -> None:
    from onnx import helper

    if not any(one.domain == "ai.onnx.ml" for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid("ai.onnx.ml", _LABELS))


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps the exporter from telling how far it is, and that what it imports is deprecated."""
    names = ("torch.onnx", "onnxscript", "onnx_ir")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _cause(error: BaseException) -> str:
    """What lies at the bottom of an exporter's error, which puts pages of advice around it."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:500]
