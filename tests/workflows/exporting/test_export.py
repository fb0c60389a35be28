"""Exported files say what trained modules say, alone, in batches of any size, and without pickle."""

from __future__ import annotations

import json
import pickletools
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from fulmen import (
    ArrayData,
    CNNModule,
    DigitsData,
    ImageFolderData,
    MLPModule,
    NetworkModule,
    SupervisedModule,
    TabularData,
    TextCNNModule,
    TextData,
    TextMLPModule,
    TransferModule,
    export,
    load_exported,
)
from fulmen.callbacks.predictions import table
from fulmen.core.errors import CheckpointError, ConfigError, DataError
from fulmen.data import SupervisedDataModule

ENDINGS = ("onnx", "pt2", "safetensors")


def facts_of(data: SupervisedDataModule) -> dict[str, Any]:
    names = ("num_outputs", "input_shape", "class_names", "target_type", *data.extra_facts)
    return {name: getattr(data, name) for name in names}


def ready(data: SupervisedDataModule) -> Any:
    data.setup("fit")
    return data


@pytest.fixture
def digits() -> DigitsData:
    return ready(DigitsData())  # type: ignore[no-any-return]


@pytest.fixture
def images(tmp_path: Path) -> ImageFolderData:
    """Images of many sizes, one of them turned by its EXIF data, large JPEGs among them."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 5)):
        for plane, name in ((0, "cat"), (2, "dog")):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(count):
                small = Image.fromarray(rng.integers(0, 200, (6, 8, 3), np.uint8))
                pixels = np.array(small.resize((50 + 170 * i, 40 + 90 * (i % 3)), Image.Resampling.BICUBIC))
                pixels[..., plane] += 50
                exif = Image.Exif()
                exif[0x0112] = 6 if i == 1 else 1
                ending, options = ("jpg", {"exif": exif}) if i % 2 else ("png", {})
                Image.fromarray(pixels).save(tmp_path / split / name / f"{i}.{ending}", **options)
    return ready(ImageFolderData(str(tmp_path), image_size=32, num_workers=0))  # type: ignore[no-any-return]


@pytest.fixture
def texts(tmp_path: Path) -> TextData:
    words = ["good", "fine", "bad", "poor", "a", "film", "the", "actor", "plot", "Wow", "…"]
    rng = np.random.default_rng(0)
    lines = ["text\tlabel"]
    lines += [f"{' '.join(rng.choice(words, 1 + i % 9))}\t{'pos' if i % 2 else 'neg'}" for i in range(80)]
    (tmp_path / "texts.tsv").write_text("\n".join([*lines, "\tpos", "only unknown\tneg"]) + "\n", encoding="utf-8")
    return ready(TextData(str(tmp_path / "texts.tsv")))  # type: ignore[no-any-return]


def train(module: SupervisedModule, scale: float = 2.0) -> SupervisedModule:
    """Weights and statistics as after a training: not those of the start."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point() and "running_var" not in name:
                value.add_(torch.randn(value.shape, generator=generator) * 0.05).mul_(scale if "head" in name else 1)
    return module.eval()


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", ["digits", "images", "texts"])
def test_formats(kind: str, ending: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    data = request.getfixturevalue(kind)
    makers: dict[str, Callable[..., SupervisedModule]] = {
        "digits": MLPModule,
        "images": CNNModule,
        "texts": TextCNNModule,
    }
    options = {"digits": {"hidden_features": [16]}, "images": {"channels": [4, 8]}, "texts": {"filters": 5}}[kind]
    module = train(makers[kind](**options, **facts_of(data)))
    file = tmp_path / "out" / f"model.{ending}"
    written = export(module, data, file, samples=20, checkpoint="best.ckpt", metrics={"val/loss": 0.5})
    assert written.parity.difference <= 1e-5
    assert written.parity.labels == 0
    assert (written.parity.shapes is not None) == (kind == "images")
    assert (written.parity.shapes or 0) <= 1e-5
    left = {path.name for path in file.parent.iterdir()}
    beside = {f"model.{ending}.json"} | ({"model.tokenizer.json"} if kind == "texts" else set())
    assert left == {file.name} | beside, "no draft is left"

    model = load_exported(file)
    assert model.about == json.loads(Path(f"{file}.json").read_text(encoding="utf-8"))
    assert model.about["metrics"] == {"val/loss": 0.5}
    assert model.about["parity"]["samples"] == written.parity.samples
    assert model.names == data.class_names
    assert {"fulmen", "torch", "lightning"} <= set(model.about["versions"])
    check_no_pickle(file)
    content = file.read_bytes()
    export(module, data, file, samples=20, checkpoint="best.ckpt", metrics={"val/loss": 0.5})
    assert file.read_bytes() == content, "the same model gives the same bytes"


def check_no_pickle(file: Path) -> None:
    """No part of the file is a pickle, and it names no folder of this machine."""
    content = file.read_bytes()
    assert str(Path(__file__).parents[3]).encode() not in content
    assert sys.prefix.encode() not in content
    parts = [content]
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            parts = [archive.read(name) for name in archive.namelist()]
            assert not [name for name in archive.namelist() if name.endswith(".pkl")]
    for part in parts:
        assert b"PROTO" not in part[:0]
        assert not part.startswith(b"\x80\x02"), "a pickle begins so"
        assert b"archive/data.pkl" not in part
    if file.suffix == ".safetensors":
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        assert json.loads(header["__metadata__"]["fulmen"])["fulmen_export"] == 1
        assert any(name.startswith("network.") for name in header)


def test_what_a_pickle_is() -> None:
    """The check above finds what torch pickles."""
    assert next(iter(pickletools.genops(b"\x80\x02N.")))[0].name == "PROTO"


@pytest.mark.slow
def test_pt2_needs_nothing_but_torch_and_onnx_nothing_but_onnxruntime(digits: DigitsData, tmp_path: Path) -> None:
    module = train(MLPModule(hidden_features=[8], **facts_of(digits)))
    inputs = digits.datasets["val"].__getitems__(list(range(7))).inputs
    with torch.no_grad():
        expected = module.task.scores(module(digits.normalize(inputs))).numpy()
    np.save(tmp_path / "inputs.npy", inputs.numpy())
    for ending, code in (
        ("pt2", "p = torch.export.load('model.pt2').module()(torch.from_numpy(x))['probabilities'].numpy()"),
        ("onnx", "p = onnxruntime.InferenceSession('model.onnx').run(['probabilities'], {'features': x})[0]"),
    ):
        export(module, digits, tmp_path / f"model.{ending}", samples=4)
        library = "torch" if ending == "pt2" else "onnxruntime"
        script = (
            f"import sys, numpy, {library}\nx = numpy.load('inputs.npy')\n{code}\n"
            "assert not [m for m in sys.modules if m.split('.')[0] in ('fulmen', 'lightning')]\nnumpy.save('p.npy', p)"
        )
        environment = {"ORT_DISABLE_TELEMETRY": "1", "PATH": "", "HOME": str(tmp_path)}
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, timeout=120)
        np.testing.assert_allclose(np.load(tmp_path / "p.npy"), expected, atol=1e-5)


class EveryActivation(nn.Module):
    """All activations that are registered, side by side."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        from fulmen.nn.blocks import make_activation

        self.first = nn.Linear(4, 12)
        self.activations = nn.ModuleList(make_activation(name) for name in names)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return torch.cat([activation(x) for activation in self.activations], 1)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["onnx", "pt2"])
def test_every_registered_activation(ending: str, tmp_path: Path) -> None:
    names = sorted({entry.name for entry in entry_points(group="fulmen.activations")})
    network = EveryActivation(names).eval()
    inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)) * 2
    width = network(inputs).shape[1]
    targets = torch.randn(64, width)
    data = ready(ArrayData(inputs, targets, target_type="regression", standardize=False))
    module = NetworkModule(network, num_outputs=width, target_type="regression", input_shape=[4])
    written = export(module, data, tmp_path / f"all.{ending}")
    assert written.parity.difference <= 1e-4
    assert len(names) >= 40


@pytest.mark.parametrize("task", ["multilabel", "regression", "binary"])
def test_tasks(task: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(90, 5)).astype(np.float32)
    targets: Any = {
        "multilabel": rng.integers(0, 2, (90, 3)),
        "regression": rng.normal(5000, 300, (90, 2)).astype(np.float32),
        "binary": np.array(["no", "yes"])[rng.integers(0, 2, 90)],
    }[task]
    data = ready(ArrayData(inputs, targets, target_type=task))
    module = train(MLPModule(hidden_features=[6], activation="maxout", **facts_of(data)))
    module.task.learn(data.training_targets())
    export(module, data, tmp_path / "m.onnx")
    answers = load_exported(tmp_path / "m.onnx").predict(inputs, batch_size=32)
    with torch.no_grad():
        decoded = module.task.decode(module(data.normalize(torch.from_numpy(inputs))))
    expected = table(decoded, module.task.class_names, range(90))
    found = answers.columns(range(90))
    assert list(found) == list(expected), "the columns of `lightning predict`"
    for name, values in expected.items():
        if isinstance(values[0], float):
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-5)
        else:
            assert list(found[name]) == list(values)


def test_tables_take_raw_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["age,city,member,target"]
    for i in range(90):
        age, city, member = rng.integers(1, 90), rng.choice(["Ulm", "Bonn", ""]), rng.choice(["yes", "no"])
        lines += [f"{age if i % 9 else ''},{city},{member},{i % 3}"]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    data = ready(TabularData(str(tmp_path / "rows.csv"), "target", class_names=["a", "b", "c"]))
    module = train(MLPModule(hidden_features=[8], **facts_of(data)))
    found = {}
    for ending in ENDINGS:
        export(module, data, tmp_path / f"m.{ending}")
        model = load_exported(tmp_path / f"m.{ending}")
        rows: list[dict[str, Any]] = [
            {"age": 30, "city": "Ulm", "member": "yes", "more": 1},
            {"age": None, "city": None, "member": None},
            {"age": 5.5, "city": "Paris", "member": "no"},
        ]
        answers = model.predict(rows)
        assert answers.labels == [model.names[i] for i in answers.prediction]
        found[ending] = answers.probabilities
        one = model.predict(rows[2])
        np.testing.assert_allclose(one.probabilities, answers.probabilities[2:], atol=1e-6)  # type: ignore[index]
        with pytest.raises(DataError, match="unknown column 'city'"):
            model.predict([{"age": 1, "member": "yes"}])
    np.testing.assert_allclose(found["onnx"], found["pt2"], atol=1e-6)
    np.testing.assert_allclose(found["safetensors"], found["pt2"], atol=1e-6)

    session: Any = load_exported(tmp_path / "m.onnx").runner.session  # type: ignore[attr-defined]
    label, probabilities = session.run(
        ["label", "probabilities"],
        {
            "numbers": np.array([[30.0, 1.0]]),
            "categories": np.array([["Ulm"]], object),
        },
    )
    np.testing.assert_allclose(probabilities, found["pt2"][:1], atol=1e-6)
    assert label[0] == "abc"[int(probabilities.argmax())]


@pytest.mark.slow
def test_swapped_activations_of_a_backbone(images: ImageFolderData, tmp_path: Path) -> None:
    module = TransferModule("mobilenetv3_small_050", freeze="none", activation="mish", **facts_of(images))
    written = export(module.eval(), images, tmp_path / "m.pt2", samples=6)
    assert written.about["model"]["timm"]["model_name"] == "mobilenetv3_small_050"
    [whole] = [np.asarray(Image.open(next((images.root / "val" / "cat").glob("2.*"))))]
    model = load_exported(tmp_path / "m.pt2")
    as_array = model.predict(whole)
    as_picture = model.predict([Image.fromarray(whole)])
    np.testing.assert_array_equal(as_array.probabilities, as_picture.probabilities)
    with pytest.raises(DataError, match=r"uint8 \(H, W, 3\)"):
        model.predict([whole[..., :2]])


def test_texts_of_any_length(texts: TextData, tmp_path: Path) -> None:
    module = train(TextMLPModule(hidden_features=[6], **facts_of(texts)))
    export(module, texts, tmp_path / "m.onnx")
    model = load_exported(tmp_path / "m.onnx")
    given = ["good", "", "a bad film " * 200, "Köln 東京"]
    with torch.no_grad():
        expected = module.task.decode(module(texts.encoder(given)))["probabilities"]
    np.testing.assert_allclose(model.predict(given).probabilities, expected, atol=1e-6)
    np.testing.assert_allclose(model.predict(given, batch_size=1).probabilities, expected, atol=1e-6)
    assert model.predict([]).labels == []


class CountsTheBatch(nn.Module):
    """Makes a plain number of the batch's size, as much code does."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.reshape(len(x), -1))  # type: ignore[no-any-return]


class DependsOnTheBatch(CountsTheBatch):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0))


class Branches(CountsTheBatch):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.sum() > 0 else -x)


def test_networks_of_ones_own(digits: DigitsData, tmp_path: Path) -> None:
    facts = facts_of(digits)
    written = export(NetworkModule(CountsTheBatch(), **facts), digits, tmp_path / "m.onnx")
    assert written.parity.difference <= 1e-5
    with pytest.raises(CheckpointError, match=r"differs from the trained model by .* no file is left"):
        export(NetworkModule(DependsOnTheBatch(), **facts), digits, tmp_path / "bad.pt2")
    with pytest.raises(ConfigError, match="torch cannot trace the network"):
        export(NetworkModule(Branches(), **facts), digits, tmp_path / "bad.onnx")
    with pytest.raises(ConfigError, match=r"made with objects \(network\)"):
        export(NetworkModule(CountsTheBatch(), **facts), digits, tmp_path / "bad.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.onnx.json"]


class OwnForward(MLPModule):
    """Computes more than its network does."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) * 2


def test_a_forward_of_ones_own_is_refused(digits: DigitsData, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="OwnForward overrides forward; what is exported is `network`"):
        export(OwnForward(**facts_of(digits)), digits, tmp_path / "m.pt2")


class OwnScale(ArrayData):
    """Normalizes in its own way."""

    def normalize(self, inputs: Tensor) -> Tensor:
        return inputs * 3 - 1


def test_data_of_ones_own_are_prepared_elsewhere(tmp_path: Path) -> None:
    data = ready(OwnScale(torch.rand(40, 4), torch.arange(40) % 2))
    module = train(MLPModule(hidden_features=[4], **facts_of(data)))
    written = export(module, data, tmp_path / "m.pt2")
    assert written.about["input"]["kind"] == "tensors"
    assert "OwnScale.normalize is not in the graph" in written.about["input"]["outside"]
    assert written.about["inputs"] == [{"name": "inputs", "dtype": "float32", "shape": ["N", 4]}]


def test_temperature(texts: TextData, tmp_path: Path) -> None:
    module = train(TextMLPModule(hidden_features=[6], **facts_of(texts)), scale=1)
    with torch.no_grad():
        module.network.mlp.head.weight.mul_(30)  # far too sure
    plain = export(module, texts, tmp_path / "plain.pt2").about
    about = export(module, texts, tmp_path / "m.pt2", calibrate=True).about
    assert plain["temperature"] == 1
    assert about["temperature"] > 1.5
    assert about["calibration"]["after"]["log_loss"] < about["calibration"]["before"]["log_loss"]
    given = ["good film", "bad plot", "the actor"]
    sure, calibrated = (load_exported(tmp_path / name).predict(given) for name in ("plain.pt2", "m.pt2"))
    assert sure.labels == calibrated.labels
    odds = [np.log(a.probabilities[:, 1] / a.probabilities[:, 0]) for a in (sure, calibrated)]  # type: ignore[index]
    np.testing.assert_allclose(odds[0] / about["temperature"], odds[1], rtol=1e-3)


def test_what_is_no_export(tmp_path: Path, digits: DigitsData) -> None:
    for name, message in (
        ("m.pt", "unknown ending"),
        ("absent.onnx", "there is no file"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_exported(tmp_path / name)
    for ending in ENDINGS:
        (tmp_path / f"broken.{ending}").write_bytes(b"nothing of the kind")
        with pytest.raises(CheckpointError, match="broken"):
            load_exported(tmp_path / f"broken.{ending}")
    program = torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),))
    with (tmp_path / "pickled.pt2").open("wb") as file:
        torch.export.save(program, file)  # with example inputs
    with pytest.raises(CheckpointError, match="pickled objects"):
        load_exported(tmp_path / "pickled.pt2")
    with pytest.raises(ConfigError, match="unknown ending"):
        export(MLPModule(**facts_of(digits)), digits, tmp_path / "m.h5")
