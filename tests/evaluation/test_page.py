from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from fulmen.core.errors import ConfigError
from fulmen.evaluation import Page

VOID = {"meta", "img", "br"}


class Checked(HTMLParser):
    """Fails where tags are not closed in order; collects text and what is loaded from elsewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.sources: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "data")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def full() -> Page:
    page = Page("A <b>title</b>", "under & over")
    page.lead("answer <script>alert(1)</script>")
    for name in ("One", "Two <x>", "Three"):
        page.section(name)
    page.subsection("sub")
    page.paragraph('"quoted" <p>')
    page.note("note")
    page.facts({"<k>": "<v>", "n": 12345})
    page.table(["<head>", "n"], [["<cell>", 0.5], ["b", None]], "<caption>", strong=[1])
    figure = Figure(figsize=(1, 1))
    figure.add_subplot().plot([0, 1])
    page.figure(figure, "cap <i>", 'alt "x"')
    with page.folded("more <b>"):
        page.code("a < b")
    return page


def test_everything_is_escaped_and_nothing_is_loaded() -> None:
    html = full().html()
    found = Checked(html)
    for text in ("A <b>title</b>", "answer <script>alert(1)</script>", "<cell>", "<caption>", "a < b", "Two <x>"):
        assert text in "".join(found.text)
    assert all(source.startswith(("data:image/png;base64,", "#section-")) for source in found.sources)
    assert not re.search(r"https?://|@import|url\(|<script", html)


def test_a_page_is_written(tmp_path: Path) -> None:
    full().write(tmp_path / "a" / "page.html")
    assert (tmp_path / "a" / "page.html").read_text(encoding="utf-8") == full().html()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        full().write(tmp_path / "file" / "page.html")


def test_columns_of_numbers_stand_flush_right() -> None:
    page = Page("t")
    page.table(["a", "b"], [["x", 1], ["y", 2.5]])
    assert page.html().count('<td class="number">') == 2


def test_a_name_that_the_font_cannot_draw_is_no_warning() -> None:
    figure = Figure()
    figure.add_subplot().set_title("\N{COLLISION SYMBOL} \u65e5")
    page = Page("title")
    page.figure(figure)  # pytest makes an error of a warning
    assert "data:image/png" in page.html()
