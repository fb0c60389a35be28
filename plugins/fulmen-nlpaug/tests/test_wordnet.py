"""WordNet's files: what is read, what is said where they are missing, and that nltk reads the same."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fulmen.core.errors import ConfigError
from fulmen.core.spec import build
from fulmen_nlpaug.wordnet import open_wordnet

REAL = Path(os.environ.get("FULMEN_WORDNET") or "/usr/share/wordnet")
needs_wordnet = pytest.mark.skipif(
    not (REAL / "data.noun").is_file(), reason=f"no WordNet in {REAL}; set FULMEN_WORDNET to its folder"
)


def test_synonyms(wordnet: Path) -> None:
    words = open_wordnet(str(wordnet))
    assert words.synonyms("film") == ("movie", "moving picture", "photographic film", "shoot")
    assert words.synonyms("Film", senses=1) == ("movie", "moving picture", "shoot")  # the first of each part of speech
    assert words.synonyms("moving picture") == ("film", "movie")
    assert words.synonyms("big") == ("large", "well-grown")
    assert words.synonyms("good") == words.synonyms("nonsense") == words.synonyms("films") == words.synonyms("") == ()


def test_antonyms_belong_to_just_this_word(wordnet: Path) -> None:
    words = open_wordnet(str(wordnet))
    assert words.antonyms("love") == ("hate",)
    assert words.antonyms("enjoy") == ()  # a synonym of love
    assert words.antonyms("bad") == ("good",)
    assert words.antonyms("small") == ("large",)  # its second word there, the first here
    assert words.antonyms("asleep") == ("awake",)
    assert words.antonyms("man") == ()  # a noun


@pytest.mark.parametrize("shape", ["itself", "above", "zip"])
def test_folders_that_hold_it(wordnet: Path, tmp_path: Path, shape: str) -> None:
    path = {"itself": wordnet, "above": wordnet.parent, "zip": tmp_path / "wordnet.zip"}[shape]
    if shape == "zip":  # as nltk's downloader leaves it
        with zipfile.ZipFile(path, "w") as archive:
            for file in wordnet.iterdir():
                archive.write(file, f"wordnet/{file.name}")
    assert open_wordnet(str(path)).synonyms("love") == ("enjoy",)


def test_is_read_once_and_travels_by_its_path(wordnet: Path) -> None:
    words = open_wordnet(str(wordnet))
    assert open_wordnet(str(wordnet)) is words
    assert pickle.loads(pickle.dumps(words)) is words
    assert len(pickle.dumps(words)) < 1000


@pytest.mark.parametrize("spec", [{"name": "synonym"}, {"name": "antonym"}, {"name": "insert", "source": "synonym"}])
class TestErrors:
    def test_no_folder(self, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("FULMEN_WORDNET", raising=False)
        with pytest.raises(ConfigError) as raised:
            build("text_augmentations", spec)
        message = str(raised.value)
        assert message.startswith(f"wordnet: {spec['name']} needs WordNet, and no folder is named")
        for said in (f"{{name: {spec['name']}, wordnet: FOLDER}}", "FULMEN_WORDNET=FOLDER", "apt install wordnet-base"):
            assert said in message

    def test_wrong_folder(self, spec: dict[str, Any], tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"^wordnet: .*holds no WordNet \(no index.noun"):
            build("text_augmentations", {**spec, "wordnet": str(tmp_path)})
        with pytest.raises(ConfigError, match=r"^wordnet: .*does not exist"):
            build("text_augmentations", {**spec, "wordnet": str(tmp_path / "absent")})

    def test_environment(self, spec: dict[str, Any], wordnet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FULMEN_WORDNET", str(wordnet))
        assert build("text_augmentations", {**spec, "p": 1.0}).augment("quickly") != []


def test_files_that_do_not_belong_together(wordnet: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(wordnet, tmp_path / "dict"))
    (folder / "data.verb").write_text("  1 licence\n" + (wordnet / "data.verb").read_text())
    with pytest.raises(ConfigError, match=r"data\.verb .* does not belong to index\.verb"):
        open_wordnet(str(folder))
    (folder / "index.verb").write_text("")
    with pytest.raises(ConfigError, match=r"index\.verb .* has no entry"):
        open_wordnet(str(folder))


@pytest.mark.parametrize("senses", [0, -1])
def test_senses_out_of_range(wordnet: Path, senses: int) -> None:
    with pytest.raises(ConfigError, match=r"^senses: "):
        build("text_augmentations", {"name": "synonym", "wordnet": str(wordnet), "senses": senses})


def test_function_words_are_left_alone_unless_told(wordnet: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(wordnet, tmp_path / "dict"))
    for pos, old, new in (("adj", "good", "very"), ("adj", "ill", "not")):
        for kind in ("data", "index"):
            file = folder / f"{kind}.{pos}"
            file.write_text(file.read_text().replace(f" {old} ", f" {new} ").replace(f"\n{old} ", f"\n{new} "))
    # the lengths of the words are the same, so that the offsets stay right
    assert open_wordnet(str(folder)).synonyms("not") == ("bad",)
    spec = {"name": "synonym", "wordnet": str(folder), "p": 1.0}
    assert build("text_augmentations", spec).augment("not bad") in (["not not"], ["not ill"])
    assert build("text_augmentations", {**spec, "stopwords": []}).augment("not") == ["bad"]


def nltks_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """nltk's reader on WordNet's own files: it wants two more files, which Debian does not ship."""
    reader = pytest.importorskip("nltk.corpus.reader.wordnet")
    import nltk.data

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])  # it opens no other folder, and follows no link out of it
    folder = Path(shutil.copytree(REAL, tmp_path / "corpora" / "wordnet"))
    if not (folder / "lexnames").exists():
        (folder / "lexnames").write_text("".join(f"{i:02d}\tname{i}\t1\n" for i in range(45)))
    if not (folder / "index.sense").exists():
        (folder / "index.sense").write_text("")
    return reader.WordNetCorpusReader(str(folder), None)


@needs_wordnet
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_nltk_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, nltks = open_wordnet(str(REAL)), nltks_reader(tmp_path, monkeypatch)
    sample = (
        "film good bad quick quickly happy love hate run house beautiful terrible dog asleep interesting up set old"
    )
    for word in sample.split():
        synonyms, antonyms = set(), set()
        for pos in "nvar":
            for synset in nltks.synsets(word, pos, check_exceptions=False):
                lemmas = synset.lemmas()
                if word not in [lemma.name().lower() for lemma in lemmas]:
                    continue  # found by cutting an ending off
                synonyms |= {lemma.name().lower().replace("_", " ") for lemma in lemmas} - {word}
                mine = [lemma for lemma in lemmas if lemma.name().lower() == word and pos != "n"]
                antonyms |= {a.name().lower().replace("_", " ") for lemma in mine for a in lemma.antonyms()}
        assert set(ours.synonyms(word)) == synonyms, word
        assert set(ours.antonyms(word)) == antonyms, word
    assert {"movie", "picture"} <= set(ours.synonyms("film"))
    assert "bad" in ours.antonyms("good")


@needs_wordnet
def test_every_entry_can_be_read() -> None:
    words = open_wordnet(str(REAL))
    assert len(words) > 100_000
    for lemma in list(words._index["adj"])[::50] + list(words._index["noun"])[::500] + list(words._index["verb"])[::50]:
        for found in (*words.synonyms(lemma), *words.antonyms(lemma)):
            assert found
            assert found != lemma
            assert not set(found) & set("_()")
