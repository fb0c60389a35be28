"""Modules for texts: the kit's checks, pretrained vectors, and regularizers with whole numbers as inputs."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.modules.conftest import make_trainer
from torch import Tensor

from fulmen.core.errors import ConfigError, DataError
from fulmen.data import ArrayData, TextData
from fulmen.modules import TextCNNModule, TextMLPModule
from fulmen.modules.word_vectors import read_vectors, vector_features
from fulmen.testing.kit import make_test
from fulmen.testing.module_subject import Module
from fulmen.testing.modules import CHECKS

WORDS = ["good", "great", "fine", "bad", "awful", "dull"]
MODULES = [TextMLPModule, TextCNNModule]


class _Numbers(ArrayData):
    """Whole numbers as inputs, which `ArrayData` keeps as floats."""

    def normalize(self, inputs: Tensor) -> Tensor:
        return inputs.long()


@dataclass(frozen=True)
class _TextModule(Module):
    """A module whose samples are tokens: 1 to 5 where the kit's own are dark, 6 to 10 where they are bright."""

    def sample(self, samples: int = 4) -> Tensor:
        return self._tokens(super().sample(samples))

    def data(self, task: str | None = None, **options: Any) -> ArrayData:
        made = super().data(task, **options)
        inputs: Tensor = self._tokens(made.inputs)
        numbers = _Numbers(inputs.float(), made.targets, made.class_names, made.target_type, False, **{
            "batch_size": 8, "val_fraction": 0.0, "test_fraction": 0.0, **options
        })  # fmt: skip
        numbers.inputs = inputs
        return numbers

    def _tokens(self, brightness: Tensor) -> Tensor:
        return 1 + (brightness * 9.9).long()


def _subject(module: type) -> _TextModule:
    return _TextModule("module", module, {"vocabulary_size": 11, "embedding_features": 6}, (8,))


test_mlp_in_the_kit = make_test(CHECKS, _subject(TextMLPModule), None, None)
test_cnn_in_the_kit = make_test(CHECKS, _subject(TextCNNModule), None, None)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    lines = [
        f"{WORDS[i % 6]} film {WORDS[(i * 2) % 3 + 3 * (i % 6 > 2)]},{'yes' if i % 6 < 3 else 'no'}" for i in range(60)
    ]
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return path


def glove(path: Path, words: list[str], features: int = 4, header: bool = False) -> Path:
    lines = [f"{len(words)} {features}"] * header
    lines += [f"{word} " + " ".join(str(float(i + j)) for j in range(features)) for i, word in enumerate(words)]
    content = "\n".join(lines).encode() + b"\n"
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


Facts = Callable[[TextData], dict[str, Any]]


def facts(data: TextData) -> dict[str, Any]:
    return {
        "input_shape": data.input_shape,
        "vocabulary_size": data.vocabulary_size,
        "num_outputs": data.num_outputs,
        "class_names": data.class_names,
        "target_type": data.target_type,
    }


# Word vectors


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
def test_vectors_are_read(tmp_path: Path, name: str, header: bool) -> None:
    path = glove(tmp_path / name, ["the", "naïve", "film", "the"], header=header)
    assert vector_features(path) == 4
    found = read_vectors(path, {"film": 7, "the": 3, "absent": 2, "naïve": 5})
    assert {number: vector.tolist() for number, vector in found.items()} == {
        3: [0.0, 1.0, 2.0, 3.0], 5: [1.0, 2.0, 3.0, 4.0], 7: [2.0, 3.0, 4.0, 5.0],
    }  # fmt: skip


def test_words_with_blanks_are_passed_by(tmp_path: Path) -> None:
    """As in GloVe's 840B."""
    path = tmp_path / "v.txt"
    path.write_text("a 1 2\n. . 3 4\n. 5 6\n")
    assert {k: v.tolist() for k, v in read_vectors(path, {".": 2, "a": 3}).items()} == {2: [5.0, 6.0], 3: [1.0, 2.0]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x00\x01\x02\xff binary \xfe\n\x03", "text formats of GloVe and word2vec"),
        (b"a b c\n", "has no line like"),
        (b"", "has no line like"),
    ],
)
def test_files_that_hold_no_vectors(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "v.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        vector_features(path)


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_text("a 1 2\nb 3 4\nc 5")
    with pytest.raises(DataError, match=r"v.txt, line 3: 1 numbers, where 2 are expected; the file may be cut off"):
        read_vectors(path, {"c": 2})


@pytest.mark.parametrize("module", MODULES)
def test_training_starts_from_vectors(module: Any, table: Path, tmp_path: Path, capsys: Any, caplog: Any) -> None:
    data = TextData(str(table), batch_size=8)
    path = glove(tmp_path / "v.txt", ["film", "good", "unheard", "bad"])
    with caplog.at_level("INFO"):
        made = module(embedding_features=4, vectors=str(path), freeze_embedding=True, **facts(data))
        before = made.network.embedding.weight.clone()
        trainer = make_trainer(max_epochs=1)
        trainer.fit(made, data)
    assert f"vectors: 3 of {data.vocabulary_size} words found" in caplog.text + capsys.readouterr().err
    after, numbers = made.network.embedding.weight, data.vocabulary
    assert after[numbers["film"]].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert after[numbers["bad"]].tolist() == [3.0, 4.0, 5.0, 6.0]
    others = [i for word, i in numbers.items() if word not in ("film", "good", "bad")]
    assert torch.equal(after[others], before[others])
    assert after[0].tolist() == [0.0] * 4


def test_without_freezing_vectors_are_trained_on(table: Path, tmp_path: Path) -> None:
    data = TextData(str(table), batch_size=8)
    path = glove(tmp_path / "v.txt", ["film", "good"])
    module = TextMLPModule(embedding_features=4, vectors=str(path), **facts(data))
    trainer = make_trainer(max_epochs=1)
    trainer.fit(module, data)
    word = data.vocabulary["film"]
    trained = module.network.embedding.weight[word].tolist()  # type: ignore[union-attr,index]
    assert trained != [0.0, 1.0, 2.0, 3.0]
    assert trained == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.1)
    make_trainer(max_epochs=1).fit(module, data)  # a second training goes on from there
    assert abs(module.network.embedding.weight[word, 3].item() - 3.0) > abs(trained[3] - 3.0) / 2  # type: ignore[union-attr,index]


def test_a_checkpoint_needs_no_file_of_vectors(table: Path, tmp_path: Path) -> None:
    data = TextData(str(table), batch_size=8)
    path = glove(tmp_path / "v.txt", ["film", "good"])
    module = TextCNNModule(embedding_features=4, vectors=str(path), **facts(data))
    trainer = make_trainer(max_epochs=1)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    weight = module.network.embedding.weight.clone()  # type: ignore[union-attr,operator]
    path.unlink()
    twin = TextCNNModule.load_from_checkpoint(tmp_path / "a.ckpt")
    assert torch.equal(twin.network.embedding.weight, weight)  # type: ignore[union-attr]
    trainer = make_trainer(max_epochs=1)
    trainer.fit(twin, data)  # trains on, from the weights that it has
    assert twin.network.embedding.weight[data.vocabulary["film"]].tolist() != [0.0, 1.0, 2.0, 3.0]  # type: ignore[union-attr,index]


def test_a_resumed_training_keeps_its_weights(table: Path, tmp_path: Path) -> None:
    data = TextData(str(table), batch_size=8)
    path = glove(tmp_path / "v.txt", ["film", "good"])

    def module() -> TextMLPModule:
        return TextMLPModule(
            embedding_features=4, vectors=str(path), optimizer={"name": "sgd", "lr": 1.0}, **facts(data)
        )

    first = module()
    trainer = make_trainer(max_epochs=1)
    trainer.fit(first, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    resumed = module()
    make_trainer(max_epochs=1).fit(resumed, data, ckpt_path=tmp_path / "a.ckpt", weights_only=True)
    assert torch.equal(resumed.network.embedding.weight, first.network.embedding.weight)  # type: ignore[union-attr,arg-type]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"vectors": "absent.txt"}, DataError, "vectors: there is no file 'absent.txt'"),
        (
            {"vectors": "v.txt", "embedding_features": 5},
            ConfigError,
            "has 4 numbers a word; write `embedding_features: 4`",
        ),
        ({"vectors": "v.txt", "embedding_features": 4}, ConfigError, "has none of the .* words of the vocabulary"),
        ({"vocabulary_size": None}, ConfigError, "vocabulary_size: the data give none; TextMLPModule is for texts"),
    ],
)
def test_mistakes(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any, error: Any, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    glove(tmp_path / "v.txt", ["Unheard"])
    data = TextData(str(table), batch_size=8)
    with pytest.raises(error, match=words):
        make_trainer().fit(TextMLPModule(**{**facts(data), **options}), data)


def test_data_without_a_vocabulary(tmp_path: Path) -> None:
    path = glove(tmp_path / "v.txt", ["a"])
    data = _subject(TextMLPModule).data("binary")
    module = TextMLPModule(
        embedding_features=4,
        vectors=str(path),
        vocabulary_size=11,
        input_shape=[8],
        num_outputs=1,
        target_type="binary",
    )
    with pytest.raises(ConfigError, match="vectors: the data have no `vocabulary`"):
        make_trainer().fit(module, data)


def test_other_modules_say_what_takes_texts(table: Path) -> None:
    from fulmen.modules import MLPModule

    data = TextData(str(table))
    module = MLPModule(input_shape=data.input_shape, num_outputs=1, target_type="binary")
    with pytest.raises(ConfigError, match=r"vocabulary_size: .*MLPModule takes no vocabulary_size.*TextMLPModule"):
        make_trainer().fit(module, data)


# Regularizers


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    "spec",
    [
        {"name": "l1", "weight": 1e-3, "proximal": True},
        {"name": "l2", "weight": 1e-3},
        {"name": "group_lasso", "weight": 1e-3},
        {"name": "orthogonal", "weight": 1e-3},
        {"name": "spectral_norm", "weight": 1e-3},
        {"name": "hoyer", "weight": 1e-3},
        {"name": "max_norm"},
        {"name": "activity_l1", "weight": 1e-3},
        {"name": "activity_l2", "weight": 1e-3},
        {"name": "confidence_penalty", "weight": 0.1},
        {"name": "manifold_mixup", "layers": "activations"},
        {"name": "sam"},
    ],
    ids=lambda spec: spec["name"],
)
def test_regularizers_work_on_texts(module: Any, spec: dict[str, Any], table: Path) -> None:
    data = TextData(str(table), batch_size=8)
    made = module(regularizers=[spec], embedding_features=4, **facts(data))
    trainer = make_trainer(max_epochs=2)
    trainer.fit(made, data)
    assert trainer.global_step == 2 * -(-len(data.datasets["train"]) // 8)
    assert all(torch.isfinite(p).all() for p in made.parameters())
    assert made.network.embedding.weight[0].abs().sum() == 0  # padding stays zero


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"name": "jacobian", "weight": 0.1}, "Jacobian needs inputs that are real numbers, and these are torch.int64"),
        ({"name": "gradient_penalty", "weight": 0.1}, "GradientPenalty needs inputs that are real numbers"),
        ({"name": "manifold_mixup", "layers": "input"}, "inputs of torch.int64 cannot be mixed; leave `input` out"),
    ],
    ids=["jacobian", "gradient_penalty", "manifold_mixup"],
)
def test_regularizers_of_inputs_say_that_tokens_are_none(spec: dict[str, Any], words: str, table: Path) -> None:
    data = TextData(str(table), batch_size=8)
    with pytest.raises(ConfigError, match=words):
        make_trainer().fit(TextCNNModule(regularizers=[spec], **facts(data)), data)
