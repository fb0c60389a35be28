"""Networks for texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import nn

from fulmen.core.errors import ConfigError
from fulmen.core.restoring import is_restoring
from fulmen.core.spec import ActivationSpec
from fulmen.modules.base import SupervisedModule
from fulmen.modules.word_vectors import read_vectors, vector_features
from fulmen.networks.text import TextCNN, TextMLP
from fulmen.nn.blocks import Initialization, Normalization


class _TextModule(SupervisedModule):
    """A network with an ``embedding``, which may start from pretrained word vectors.

    Args:
        vocabulary_size: How many numbers tokens have, padding (0) included. From the data on the command line.
        embedding_features: Width of the word vectors.
        embedding_dropout: Probability in [0, 1) that a number of a word vector is dropped.
        vectors: A file of pretrained word vectors, in the text format of GloVe or word2vec (also ``.gz``), for the
            words of the data's vocabulary; other words start at random.
        freeze_embedding: Whether the word vectors are kept as they are.
        **kwargs: Arguments of :class:`SupervisedModule`.
    """

    def __init__(
        self,
        vocabulary_size: int | None = None,
        embedding_features: int = 128,
        embedding_dropout: float = 0.0,
        vectors: str | None = None,
        freeze_embedding: bool = False,
        **kwargs: Any,
    ) -> None:
        if vocabulary_size is None:
            raise ConfigError(
                f"vocabulary_size: the data give none; {type(self).__name__} is for texts (TextData), MLPModule for "
                "tables, CNNModule for images"
            )
        super().__init__(**kwargs)
        self._wants_vectors = vectors is not None and not is_restoring()
        if self._wants_vectors:
            found = vector_features(Path(str(vectors)))
            if found != embedding_features:
                raise ConfigError(
                    f"embedding_features: {embedding_features}, but {vectors} has {found} numbers a word; write "
                    f"`embedding_features: {found}`"
                )

    def setup(self, stage: str) -> None:
        """Reads the pretrained word vectors, once and for training alone; a checkpoint's weights come later.

        Raises:
            ConfigError: If the data have no vocabulary, or the file none of its words.
        """
        super().setup(stage)
        if not self._wants_vectors or stage != "fit":
            return
        vocabulary = getattr(self.trainer.datamodule, "vocabulary", None)  # type: ignore[attr-defined]
        path = Path(self.hparams["vectors"])
        if vocabulary is None:
            raise ConfigError("vectors: the data have no `vocabulary`, which says the words (TextData has it)")
        found = read_vectors(path, vocabulary)
        if not found:
            raise ConfigError(
                f"vectors: {path} has none of the {len(vocabulary):,} words of the vocabulary; are they of one "
                "language, are capital letters treated alike (`lowercase`), is `tokenizer: word`?"
            )
        embedding = self.network.embedding
        assert isinstance(embedding, nn.Embedding)
        with torch.no_grad():
            embedding.weight[torch.tensor(list(found))] = torch.stack(list(found.values())).to(embedding.weight)
        self._wants_vectors = False
        rank_zero_info(f"vectors: {len(found):,} of {len(vocabulary):,} words found in {path}")


class TextMLPModule(_TextModule):
    """Trains a network for texts: the mean of the word vectors, then layers as in an MLP.

    Args:
        hidden_features: Width of each hidden layer; an empty list makes a linear model of the mean.
        activation: Spec of the activation after each hidden layer.
        normalization: ``batch``, ``layer``, ``group``, ``instance``, or ``None``, before each activation.
        dropout: Probability in [0, 1) that a hidden unit is dropped.
        initialization: How weights start; ``auto`` matches them to the activation.
        **kwargs: ``vocabulary_size``, ``embedding_features``, ``embedding_dropout``, ``vectors``,
            ``freeze_embedding``, and the arguments of :class:`SupervisedModule`.
    """

    def __init__(
        self,
        hidden_features: Sequence[int] = (128,),
        activation: ActivationSpec = "relu",
        normalization: Normalization | None = None,
        dropout: float = 0.0,
        initialization: Initialization = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)

    def build_network(self) -> nn.Module:
        """A :class:`fulmen.networks.TextMLP`."""
        return self.make(TextMLP)


class TextCNNModule(_TextModule):
    """Trains a TextCNN: filters of several widths over the word vectors, and the maximum of each (Kim 2014).

    Args:
        widths: Words that the filters span.
        filters: Filters of each width.
        activation: Spec of the activation after the maximum.
        dropout: Probability in [0, 1) that a feature is dropped before the output layer.
        initialization: How weights start; ``auto`` matches them to the activation.
        **kwargs: ``vocabulary_size``, ``embedding_features``, ``embedding_dropout``, ``vectors``,
            ``freeze_embedding``, and the arguments of :class:`SupervisedModule`.
    """

    def __init__(
        self,
        widths: Sequence[int] = (3, 4, 5),
        filters: int = 100,
        activation: ActivationSpec = "relu",
        dropout: float = 0.5,
        initialization: Initialization = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)

    def build_network(self) -> nn.Module:
        """A :class:`fulmen.networks.TextCNN`."""
        return self.make(TextCNN)
