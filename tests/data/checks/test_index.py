"""A file is looked at again only when it has changed."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from tests.data.checks.conftest import photo, save

from fulmen.data.checks import index, pictures
from fulmen.data.checks.index import look_once


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The contents that were decoded."""
    contents: list[bytes] = []
    original = pictures.look

    def look(content: bytes) -> pictures.Picture:
        contents.append(content)
        return original(content)

    monkeypatch.setattr(pictures, "look", look)
    return contents


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [save(photo(i), tmp_path / "photos" / f"{i}.jpg") for i in range(3)]
    for path in paths:
        age(path)
    return paths


def age(path: Path, seconds: float = 60) -> None:
    """Makes a file look as if it had been written some time ago."""
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_the_second_look_decodes_nothing_and_says_the_same(photos: list[Path], looked: list[bytes]) -> None:
    first = look_once(photos)
    assert len(looked) == 3
    assert look_once(photos) == first
    assert len(looked) == 3
    assert [picture.error for _, picture in first] == ["", "", ""]
    assert {(picture.width, picture.height) for _, picture in first} == {(96, 80)}


def test_a_changed_file_is_looked_at_anew(photos: list[Path], looked: list[bytes]) -> None:
    first = look_once(photos)
    save(photo(77), photos[1])
    again = look_once(photos)
    assert looked[3:] == [photos[1].read_bytes()]
    assert again[1] != first[1]
    assert [again[0], again[2]] == [first[0], first[2]]


def test_a_file_of_the_same_size_and_time_but_another_inode_is_read(photos: list[Path], looked: list[bytes]) -> None:
    look_once(photos)
    stat = photos[0].stat()
    contents = bytearray(photos[0].read_bytes())
    contents[-300] ^= 1
    other = photos[0].with_name("other")
    other.write_bytes(bytes(contents))
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(photos[0])
    look_once(photos)
    assert looked[3:] == [bytes(contents)]


def test_a_copied_or_touched_file_is_not_decoded_again(photos: list[Path], looked: list[bytes]) -> None:
    look_once(photos)
    age(photos[0], 30)
    copy = shutil.copy(photos[1], photos[1].with_name("copy.jpg"))
    assert len({name for name, _ in look_once([*photos, Path(copy)])}) == 3
    assert len(looked) == 3


def test_what_was_just_written_is_read_again(photos: list[Path], looked: list[bytes]) -> None:
    """It may be written once more within one tick of the clock, and have the same size."""
    now = time.time()
    os.utime(photos[0], (now, now))
    look_once(photos)
    stat = photos[0].stat()
    contents = bytearray(photos[0].read_bytes())
    contents[-300] ^= 1
    with photos[0].open("r+b") as file:
        file.write(bytes(contents))
    os.utime(photos[0], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    look_once(photos)
    assert looked[3:] == [bytes(contents)]


@pytest.mark.parametrize("contents", [b"", b"no database at all" * 100], ids=["empty", "garbage"])
def test_a_broken_cache_is_made_anew(photos: list[Path], tmp_path: Path, looked: list[bytes], contents: bytes) -> None:
    cache = tmp_path / "index.sqlite"
    first = look_once(photos, cache)
    cache.write_bytes(contents)
    assert look_once(photos, cache) == first
    assert look_once(photos, cache) == first
    assert len(looked) == 6


def test_a_damaged_cache_is_made_anew(photos: list[Path], tmp_path: Path) -> None:
    cache = tmp_path / "index.sqlite"
    first = look_once(photos, cache)
    damaged = bytearray(cache.read_bytes())
    damaged[200:] = os.urandom(len(damaged) - 200)
    cache.write_bytes(bytes(damaged))
    assert look_once(photos, cache) == first


def test_without_a_place_for_a_cache_files_are_looked_at(photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = look_once(photos, tmp_path / "file" / "index.sqlite")
    assert [picture.error for _, picture in found] == ["", "", ""]


def test_another_version_does_not_read_what_this_one_kept(
    photos: list[Path], looked: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_once(photos)
    monkeypatch.setattr(index, "VERSION", index.VERSION + 1)
    look_once(photos)
    assert len(looked) == 6


def test_a_file_that_is_gone_is_an_error_that_is_not_kept(photos: list[Path]) -> None:
    photos[0].unlink()
    assert "No such file" in look_once(photos)[0][1].error
    save(photo(0), photos[0])
    assert look_once(photos)[0][1].error == ""


def test_a_file_that_is_listed_twice_is_looked_at_once(photos: list[Path], looked: list[bytes]) -> None:
    found = look_once([photos[0], photos[1], photos[0]])
    assert found[0] == found[2] != found[1]
    assert len(looked) == 2
