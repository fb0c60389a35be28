"""What augmenting texts costs beside nlpaug itself: ratios in one run, printed as a table.

The job: sentences of the Stanford Sentiment Treebank (21 words on average), one core, a tenth of the words.
Ours go through the pipeline, with the random streams started anew for every sentence; nlpaug's are called
sentence by sentence, with its own tokenizer and without its cap of ten words. Both take turns; the median counts.

    FULMEN_WORDNET=... uv run pytest tests/benchmarks/test_text_augmentation.py -o addopts= -s
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from fulmen.augment import TextPipeline

TRAIN = Path(__file__).parents[3] / "shared" / "data" / "sst2" / "data" / "SST2" / "train.tsv"
WORDNET = Path(os.environ.get("FULMEN_WORDNET") or "/usr/share/wordnet")
TEXTS, ROUNDS, P = 1000, 7, 0.1

needs_data = pytest.mark.skipif(not TRAIN.is_file(), reason="no sst2 in shared/data beside the repository")
Turn = Callable[[], object]


def sentences() -> list[str]:
    """Of more than ten words: where it has to cut out a single word, nlpaug's crop raises an error."""
    lines = (line.split("\t")[0] for line in TRAIN.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if len(re.findall(r"\w+", line)) > 10][:TEXTS]


def by_fulmen(texts: list[str], name: str, **options: Any) -> Turn:
    pipeline, index = TextPipeline([{"name": name, "p": P, **options}]), torch.arange(len(texts))
    return lambda: pipeline(texts, index)


def by_nlpaug(texts: list[str], augmenter: Any) -> Turn:
    return lambda: [augmenter.augment(text) for text in texts]


def race(turns: dict[str, tuple[Turn, Turn]]) -> dict[str, float]:
    """Prints sentences/s, and returns how many times as long as nlpaug ours take."""
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in turns}
    for _ in range(ROUNDS + 1):
        for name, pair in turns.items():
            for turn, seconds in zip(pair, times[name], strict=True):
                start = time.perf_counter()
                turn()
                seconds.append(time.perf_counter() - start)
    print(f"\n{'sentences/s':<12}{'fulmen':>9}{'nlpaug':>9}{'ratio of times':>16}")
    ratios = {}
    for name, pair in times.items():
        ours, theirs = (statistics.median(seconds[1:]) for seconds in pair)
        ratios[name] = ours / theirs
        print(f"{name:<12}{TEXTS / ours:9,.0f}{TEXTS / theirs:9,.0f}{ours / theirs:16.2f}")
    return ratios


@needs_data
@pytest.mark.slow
@pytest.mark.benchmark(group="text augmentation")
@pytest.mark.filterwarnings("ignore")
def test_text_augmentation(benchmark: Any, tmp_path: Path) -> None:
    from nlpaug.augmenter import char, word
    from nlpaug.model.word_stats import TfIdf

    torch.set_num_threads(1)
    texts = sentences()
    corpus = tmp_path / "texts.txt"
    corpus.write_text("\n".join(texts), encoding="utf-8")
    model = TfIdf()
    model.train([text.split() for text in texts])
    model.save(str(tmp_path))
    free = {"aug_p": P, "aug_max": None}
    free_chars = {"aug_word_p": P, "aug_word_max": None, "aug_char_p": P, "aug_char_max": None}
    theirs = {
        "swap": word.RandomWordAug(action="swap", **free),
        "delete": word.RandomWordAug(action="delete", **free),
        "crop": word.RandomWordAug(action="crop", **free),
        "keyboard": char.KeyboardAug(**free_chars),
        "ocr": char.OcrAug(**free_chars),
        "spelling": word.SpellingAug(**free),
        "split": word.SplitAug(**free),
        "tfidf": word.TfIdfAug(model_path=str(tmp_path), **free),
    }
    options: dict[str, dict[str, Any]] = {"tfidf": {"corpus": str(corpus)}}
    turns = {
        name: (by_fulmen(texts, name, **options.get(name, {})), by_nlpaug(texts, augmenter))
        for name, augmenter in theirs.items()
    }
    ratios: dict[str, float] = benchmark.pedantic(race, (turns,), rounds=1)
    assert all(ratio <= 1.10 for ratio in ratios.values())


def through_nltk(kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """nlpaug's augmenter, as `nltk.download` would make it work, but for the tagger.

    Instead of the tagger, a word's first part of speech in WordNet counts, remembered for each word, so that
    tagging costs nlpaug nearly nothing.
    """
    import nltk.data
    from nlpaug.model.word_dict import WordNet
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    folder = tmp_path / "corpora" / "wordnet"
    if not folder.exists():
        shutil.copytree(WORDNET, folder)
    for name, lines in (("lexnames", "".join(f"{i:02d}\tname{i}\t1\n" for i in range(45))), ("index.sense", "")):
        if not (folder / name).exists():
            (folder / name).write_text(lines)
    reader = WordNetCorpusReader(str(folder), None)
    tags = {"n": "NN", "v": "VB", "a": "JJ", "s": "JJ", "r": "RB"}

    @cache
    def tag(token: str) -> str:
        found = reader.synsets(token)
        return tags[found[0].pos()] if found else "DT"

    monkeypatch.setattr(WordNet, "read", lambda _: reader)
    monkeypatch.setattr(WordNet, "pos_tag", staticmethod(lambda tokens: [(token, tag(token)) for token in tokens]))
    return kind(aug_p=P, aug_max=None)


@needs_data
@pytest.mark.slow
@pytest.mark.skipif(not (WORDNET / "data.noun").is_file(), reason=f"no WordNet in {WORDNET}; set FULMEN_WORDNET")
@pytest.mark.benchmark(group="text augmentation")
@pytest.mark.filterwarnings("ignore")
def test_wordnet(benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nltk")
    from nlpaug.augmenter import word

    torch.set_num_threads(1)
    texts = sentences()
    theirs = {"synonym": word.SynonymAug, "antonym": word.AntonymAug}
    turns = {
        name: (
            by_fulmen(texts, name, wordnet=str(WORDNET)),
            by_nlpaug(texts, through_nltk(kind, tmp_path, monkeypatch)),
        )
        for name, kind in theirs.items()
    }
    ratios: dict[str, float] = benchmark.pedantic(race, (turns,), rounds=1)
    assert all(ratio <= 1 / 3 for ratio in ratios.values())
