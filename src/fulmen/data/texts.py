"""Texts in tables or class folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fulmen.augment import Pipeline, TextPipeline
from fulmen.core.errors import ConfigError
from fulmen.core.spec import TextAugmentationSpecs
from fulmen.data.base import BatchedDataset, SupervisedDataModule, TargetType, _seed
from fulmen.data.reading import column, read_table
from fulmen.data.splits import SPLITS, check_split
from fulmen.data.splitting import Rows, Samples
from fulmen.data.targets import num_outputs
from fulmen.data.text_rows import Listing, TextRows, characters
from fulmen.data.text_sources import TextFormat, read_source
from fulmen.data.tokenization import TextEncoder, UnicodeForm, read_tokenizer, train_tokenizer

_STAGES = {"validate": "val", "test": "test", "predict": "predict"}


class TextData(SupervisedDataModule):
    """Texts and their labels in a table, or in one ``.txt`` file a text in class folders.

    A tokenizer makes numbers of the texts: 0 is padding, 1 what the vocabulary lacks. It is trained on the training
    split alone, and travels in the checkpoint. Texts of similar length go into one batch. An empty text is kept, as
    one unknown token.

    Args:
        train: A table (CSV, TSV, JSON lines, Parquet), or a folder with a folder of ``.txt`` files for each class, or
            with folders ``train``, ``val`` and ``test`` of such.
        text: The column of texts, or several, which are joined by a blank.
        target: The column of labels.
        val: A table or folder to validate on; ``None``: split from ``train``.
        test: A table or folder to test on; ``None``: split from ``train``, if there is no ``val`` either.
        predict: A table or folder of texts to predict, without labels.
        header: Whether the first line of a table holds the names of its columns; or these names.
        separator: What stands between the cells; ``None``: by the file's ending.
        quoting: Whether ``"`` around a cell keeps separators and line ends in it; false: it is a sign like others.
        encoding: Of text files, such as ``latin-1``; ``None``: found, and said where it is not UTF-8.
        label_separator: What stands between the labels of a cell that has several; ``None``: a cell is one label.
        target_type: ``multiclass``, ``binary``, ``multilabel`` or ``regression``; ``None``: two classes are binary,
            more multiclass, numbers that are not all whole a regression.
        tokenizer: ``word``, ``bpe`` (byte-level), ``wordpiece``, or the path of a ``tokenizer.json``.
        vocabulary: Most tokens of a tokenizer that is trained.
        min_count: How often a word, or a pair that is merged, must occur in the training texts.
        max_tokens: Longer texts are cut.
        lowercase: Whether a tokenizer that is trained makes capital letters small.
        unicode: Normal form that it brings characters to.
        augment: Specs of text augmentations of training samples, in order.
        **kwargs: Arguments of :class:`SupervisedDataModule`.

    Attributes:
        max_tokens: As given.
        vocabulary_size: How many numbers tokens have, padding included.

    Raises:
        ConfigError: If an option is out of range.
        DataError: If a file is missing, or is no such table or folder.
    """

    extra_facts: ClassVar[tuple[str, ...]] = ("vocabulary_size",)
    advice: ClassVar[dict[str, str]] = {
        "vocabulary_size": "for texts take TextMLPModule or TextCNNModule, or a module of your own with that argument"
    }

    def __init__(
        self,
        train: str,
        text: str | list[str] = "text",
        target: str = "label",
        val: str | None = None,
        test: str | None = None,
        predict: str | None = None,
        header: bool | list[str] = True,
        separator: str | None = None,
        quoting: bool = True,
        encoding: str | None = None,
        label_separator: str | None = None,
        target_type: TargetType | None = None,
        tokenizer: str = "word",
        vocabulary: int = 20000,
        min_count: int = 1,
        max_tokens: int = 256,
        lowercase: bool = True,
        unicode: UnicodeForm | None = "NFC",
        augment: TextAugmentationSpecs = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(augment=augment, **kwargs)
        if max_tokens < 1:
            raise ConfigError(f"max_tokens: {max_tokens} is out of range; allowed: at least 1")
        columns = (text,) if isinstance(text, str) else tuple(text)
        if not columns:
            raise ConfigError("text: [] names no column; write the name of one, or several")
        given = {"train": train, "val": val, "test": test, "predict": predict}
        self.files = {split: Path(path) for split, path in given.items() if path is not None}
        self.format = TextFormat(columns, target, header, separator, quoting, encoding)
        self.label_separator, self.tokenizer, self.max_tokens = label_separator, tokenizer, max_tokens
        self._training: dict[str, Any] = {
            "vocabulary": vocabulary, "min_count": min_count, "lowercase": lowercase, "unicode": unicode,
        }  # fmt: skip
        self._restored = bool(self.learned)
        self._listing: Listing | None = None
        self._encoder: tuple[str, TextEncoder] | None = None
        self.input_shape = [max_tokens]
        self._take_facts(target_type)

    def _take_facts(self, target_type: TargetType | None = None) -> None:
        """The task and its classes: those of a checkpoint, or of the labels."""
        if self.learned:
            self.target_type, self.class_names = self.learned["target_type"], self.learned["class_names"]
        else:
            found = self.listing.targets(target_type, None, self.label_separator)
            self.target_type, self.class_names = found.target_type, found.class_names
            self._learn(found.values)
        self.num_outputs = num_outputs(self.target_type, self.class_names)

    # What is read

    @property
    def listing(self) -> Listing:
        """All samples with labels, in one list; the files are read once."""
        if self._listing is None:
            by = self.splitting.by
            more = [name for way, name in by.items() if way != "file"] if isinstance(by, dict) else []
            read = {s: read_source(self.files[s], self.format, more=more) for s in SPLITS if s in self.files}
            self._listing = Listing.of(read)
        return self._listing

    def _rows(self, targets: Tensor) -> Rows:
        listing = self.listing
        classes = targets.numpy() if self.target_type in ("multiclass", "binary") else None
        rows = self.splitting(Samples(len(listing), classes, listing.keys, listing.given, listing.column))
        if not self._restored:
            check_split(rows, classes, self.class_names or [])
        return rows

    def _targets(self, listing: Listing) -> Tensor:
        return listing.targets(self.target_type, self.class_names, self.label_separator).values

    # What is learned

    def _learn(self, targets: Tensor) -> None:
        """Reads or trains the tokenizer, on the training split alone."""
        if self.tokenizer.lower().endswith(".json"):
            state = read_tokenizer(Path(self.tokenizer))
        else:
            texts = self.listing.texts.take(self._rows(targets)["train"])
            state = train_tokenizer(texts, self.tokenizer, **self._training)
        self.learned = {"tokenizer": state, "target_type": self.target_type, "class_names": self.class_names}

    @property
    def encoder(self) -> TextEncoder:
        """Makes numbers of texts."""
        if not self.learned:  # a view of other folds
            self._learn(self._targets(self.listing))
        state = self.learned["tokenizer"]
        if self._encoder is None or self._encoder[0] is not state:
            self._encoder = state, TextEncoder(state, self.max_tokens)
        return self._encoder[1]

    @property
    def vocabulary_size(self) -> int:
        """How many numbers tokens have, padding included."""
        return self.encoder.vocabulary_size

    @property
    def vocabulary(self) -> dict[str, int]:
        """Token -> its number, in the order of the numbers."""
        return self.encoder.vocabulary

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what a checkpoint's training split taught."""
        if state_dict.get("learned"):
            self.target_type = state_dict["learned"]["target_type"]
            self.class_names = state_dict["learned"]["class_names"]
            self.num_outputs = num_outputs(self.target_type, self.class_names)
            self._restored = self._restored or state_dict["learned"] != self.learned
        super().load_state_dict(state_dict)

    # Data sets

    def setup(self, stage: str) -> None:
        """Builds the data sets; where a checkpoint is evaluated on a file of its own, only that one is read."""
        split = _STAGES.get(stage, "train")
        if split == "predict":
            split = self.predict_split or (split if split in self.files else "test")
        if self._restored and split != "train" and split in self.files:
            if split not in self.datasets:
                self.datasets[split] = self._alone(split)
            return
        if "train" not in self.datasets:
            self.datasets = {}
        super().setup(stage)

    def _alone(self, split: str) -> BatchedDataset:
        """The data set of a file that is read by itself."""
        listing = Listing.of({split: read_source(self.files[split], self.format, labelled=split != "predict")})
        targets = self._targets(listing) if listing.labelled else None
        tokens = self.encoder.encode(listing.texts)
        return TextRows(listing, torch.arange(len(listing)), tokens, targets, self.encoder)

    def build_datasets(self) -> dict[str, BatchedDataset]:
        """Splits and tokenizes."""
        listing, encoder = self.listing, self.encoder
        targets, tokens = self._targets(listing), encoder.encode(listing.texts)
        rows = {split: torch.from_numpy(found) for split, found in self._rows(targets).items()}
        made: dict[str, BatchedDataset] = {s: TextRows(listing, r, tokens, targets, encoder) for s, r in rows.items()}
        return made | ({"predict": self._alone("predict")} if "predict" in self.files else {})

    def sample_columns(self, split: str) -> list[str]:
        """``tokens`` and ``characters`` of the texts, and the columns of a table."""
        tables = self._tables(split)
        return [*dict.fromkeys(["tokens", "characters", *(tables[0].column_names if tables else [])])]

    def sample_values(self, split: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """See the base class; tables are read again."""
        super().sample_values(split, names)
        dataset: Any = self.datasets[split]
        rows, tables = dataset.rows.numpy(), self._tables(split)
        found: dict[str, NDArray[Any]] = {}
        for name in names:
            if tables and name in tables[0].column_names:
                found[name] = np.concatenate([column(table, name).to_numpy() for table in tables])[rows]
            elif name == "tokens":
                found[name] = dataset.token_counts.numpy()
            else:
                found[name] = characters(dataset.listing.texts)[rows]
        return found

    def _tables(self, split: str) -> list[Any]:
        """The whole tables that the texts of a split are numbered in; none for folders."""
        dataset: Any = self.datasets[split]
        sources = dataset.listing.sources
        if any(source.table is None for source in sources):
            return []
        form = self.format
        options: dict[str, Any] = {
            "header": form.header, "separator": form.separator, "quoting": form.quoting, "encoding": form.encoding,
        }  # fmt: skip
        return [read_table(source.path, as_text=[*form.text, form.target], **options) for source in sources]

    def build_pipeline(self, specs: Sequence[object]) -> Pipeline:
        """The augmentations of training texts."""
        return TextPipeline(specs, _seed())

    def identity(self, split: str, rows: Tensor) -> Sequence[object]:
        """The path of a text's file in its folder; for tables the row's number, from 0 and on from one to the next."""
        data: Any = self.datasets[split]
        keys = data.listing.keys
        return rows.tolist() if keys is None else [keys[i] for i in rows.tolist()]
