"""Scanning folders, and holding what was found."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.errors import DataError
from fulmen.data.image_paths import Paths, is_image, scan

PNG = b"\x89PNG\r\n\x1a\n"


def touch(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)))
def test_paths_are_those_given(names: list[str]) -> None:
    paths = Paths(Path("r"), iter(names))
    assert [paths.relative(i) for i in range(len(paths))] == names
    assert list(paths) == [Path("r") / name for name in names]
    assert list(pickle.loads(pickle.dumps(paths))) == list(paths)
    assert list(paths[::-1]) == list(paths)[::-1]
    if names:
        assert paths[-1] == Path("r") / names[-1]
        assert paths.names()[-1] == names[-1]
    with pytest.raises(IndexError):
        paths[len(names)]


def test_selections_share_the_block() -> None:
    paths = Paths(Path(), "abcdef")
    some = paths.select(np.array([4, 0, 2]))
    assert list(map(str, some)) == ["e", "a", "c"]
    assert list(map(str, some.select(np.array([2, 0])))) == ["c", "e"]
    assert list(map(str, some[1:])) == ["a", "c"]
    assert list(some.names()) == ["e", "a", "c"]
    assert some._block is paths._block
    with pytest.raises(IndexError):
        some[3]


def test_paths_take_few_bytes() -> None:
    names = [f"class_{i % 10}/IMG_{i:08d}.jpg" for i in range(10_000)]
    paths = Paths(Path("/data/photos"), names)
    assert len(pickle.dumps(paths)) < sum(map(len, names)) + 9 * len(names)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb") as file:
        file.write(PNG + bytes(9))
    paths = Paths(tmp_path, scan(tmp_path))
    assert is_image(paths[0])
    assert paths.name(0).encode() == b"caf\\udce9.png"


def test_scan(tmp_path: Path) -> None:
    for name in (
        "b/2.png",
        "b/10.png",
        "a/x/deep.png",
        "a/1.png",
        ".hidden/no.png",
        "a/._1.png",
        "a/.DS_Store",
        "top.txt",
    ):
        touch(tmp_path / name)
    assert list(scan(tmp_path)) == ["top.txt", "a/1.png", "a/x/deep.png", "b/10.png", "b/2.png"]
    assert list(scan(tmp_path, "a/x")) == ["a/x/deep.png"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "1.png")
    (tmp_path / "root" / "cat").mkdir(parents=True)
    (tmp_path / "root" / "cat" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "cat" / "circle").symlink_to(tmp_path / "root")
    touch(tmp_path / "root" / "cat" / "2.png")
    assert list(scan(tmp_path / "root")) == ["cat/2.png", "cat/linked/1.png"]


def test_folder_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone' cannot be read: No such file"):
        list(scan(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.jpg", b"\xff\xd8\xff\xe0rest of it", True),
        ("x.JPG", b"\xff\xd8\xff\xe0rest of it", True),
        ("x.png", PNG + b"IHDR", True),
        ("wrong_ending.jpg", PNG + b"IHDR", True),
        ("x.webp", b"RIFF\x00\x00\x00\x00WEBPVP8 ", True),
        ("x.webp", b"RIFF\x00\x00\x00\x00WAVEfmt ", False),
        ("x.bmp", b"BM" + bytes(20), True),
        ("x.tif", b"II*\0" + bytes(20), True),
        ("x.tiff", b"MM\0*" + bytes(20), True),
        ("x.gif", b"GIF89a" + bytes(20), False),
        ("x.txt", PNG, False),
        ("x.jpg", b"", False),
        ("x.jpg", b"<html>not found</html>", False),
    ],
)
def test_is_image(tmp_path: Path, name: str, content: bytes, expected: bool) -> None:
    assert is_image(touch(tmp_path / name, content)) is expected


def test_is_no_image_if_it_is_not_there_or_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    assert not is_image(tmp_path / "folder.jpg")
    assert not is_image(tmp_path / "gone.jpg")
