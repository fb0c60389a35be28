"""nlpaug's own augmenters by their dotted names, and what importing costs."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
import torch

from fulmen.augment import TextPipeline
from fulmen.core.errors import SpecError


@pytest.mark.filterwarnings("ignore")
class TestDottedNames:
    def test_random_words(self) -> None:
        spec = {"name": "nlpaug.augmenter.word.RandomWordAug", "action": "swap", "aug_p": 0.3}
        texts, index = ["one two three four five six"] * 8, torch.arange(8)
        before = random.getstate()
        whole = TextPipeline([spec], seed=1)(texts, index)
        parts = TextPipeline([spec], seed=1)
        assert [parts([text], index[i : i + 1])[0] for i, text in enumerate(texts)] == whole
        assert len(set(whole)) > 1
        assert random.getstate() == before

    def test_beside_ours(self) -> None:
        pipeline = TextPipeline(["keyboard", {"name": "nlpaug.augmenter.word.RandomWordAug", "action": "delete"}])
        assert pipeline(["one two three four"], torch.tensor([0])) != ["one two three four"]

    def test_a_model_without_transformers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "transformers", None)  # as if not installed
        spec = {
            "name": "nlpaug.augmenter.word.ContextualWordEmbsAug",
            "model_path": "bert-base-uncased",
            "model_type": "bert",
        }
        with pytest.raises(SpecError, match=r"needs a package that is not installed: .*transformers"):
            TextPipeline([spec])

    def test_only_augmenters(self) -> None:
        with pytest.raises(SpecError, match="must be a subclass of nlpaug"):
            TextPipeline(["collections.OrderedDict"])


@pytest.mark.slow
def test_importing_brings_no_nltk_and_no_models() -> None:
    script = (
        "import sys, fulmen_nlpaug; assert 'nlpaug' not in sys.modules; "
        "import fulmen_nlpaug.order, fulmen_nlpaug.noise, fulmen_nlpaug.meaning, fulmen_nlpaug.tfidf; "
        "print([m for m in ('nltk', 'transformers', 'sklearn', 'nlpaug.augmenter') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
