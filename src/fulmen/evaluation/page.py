"""One HTML file that needs nothing else: text, tables and pictures."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from fulmen.core.errors import ConfigError
from fulmen.core.version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: #1c2733; background: #fff;
  max-width: 62rem; margin: 0 auto; padding: 1rem 1.25rem 4rem; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1.2rem 0 .2rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; padding-top: .6rem; border-top: 1px solid #dde3ea; }
h3 { font-size: 1.03rem; margin: 1.5rem 0 .4rem; }
p { margin: .5rem 0; max-width: 48rem; }
.under, figcaption, footer, caption { color: #5b6875; font-size: .88rem; }
.lead { font-size: 1.15rem; background: #eef4fa; border-left: 4px solid #1f4e79; padding: .8rem 1rem; margin: 1rem 0; }
.note { background: #fff7e6; border-left: 4px solid #d98c00; padding: .55rem .9rem; margin: .8rem 0; }
nav a { margin-right: .9rem; white-space: nowrap; } a { color: #1f4e79; }
.wide { overflow-x: auto; margin: .7rem 0; }
table { border-collapse: collapse; font-size: .92rem; } caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .28rem .8rem .28rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e8ecf1; }
th { font-weight: 600; color: #405060; } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
tr.strong td { font-weight: 600; background: #fff7e6; }
figure { margin: .9rem 0; } img { max-width: 100%; height: auto; }
pre { background: #f5f7f9; padding: .7rem .9rem; overflow-x: auto; font-size: .85rem; line-height: 1.4; }
details > summary { cursor: pointer; color: #1f4e79; } footer { margin-top: 3rem; }
@media print { body { max-width: none; padding: 0; font-size: 11pt; } nav { display: none; }
  table { font-size: 8pt; } th, td { padding-right: .45rem; } .wide { overflow: visible; }
  figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; } details > summary { display: none; } }
"""


class Page:
    """A page for readers who were not there: everything inside one file, readable on a phone, fit for paper.

    Whatever is given as text is escaped: a class may be called ``<b>``.

    >>> page = Page("Report")
    >>> page.section("Numbers")
    >>> page.table(["metric", "value"], [["a<b", 0.5]])
    >>> "a&lt;b" in page.html()
    True

    Args:
        title: Of the page.
        subtitle: Stands below it, smaller.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title, self.subtitle = title, subtitle
        self._sections: list[str] = []
        self._parts: list[str] = []

    def section(self, title: str) -> None:
        """Begins a section, which the table of contents lists."""
        self._sections.append(title)
        self._parts.append(f'<h2 id="section-{len(self._sections)}">{escape(title)}</h2>')

    def subsection(self, title: str) -> None:
        """Begins a part of a section."""
        self._parts.append(f"<h3>{escape(title)}</h3>")

    def lead(self, text: str) -> None:
        """The answer, in one or two sentences; it stands out."""
        self._parts.append(f'<p class="lead">{escape(text)}</p>')

    def paragraph(self, text: str) -> None:
        """Plain text."""
        self._parts.append(f"<p>{escape(text)}</p>")

    def note(self, text: str) -> None:
        """What a reader must not miss."""
        self._parts.append(f'<p class="note">{escape(text)}</p>')

    def code(self, text: str) -> None:
        """Text as it stands: commands, configs."""
        self._parts.append(f"<pre>{escape(text)}</pre>")

    def facts(self, facts: Mapping[str, object]) -> None:
        """Names and values, a line each."""
        rows = "".join(
            f'<tr><th scope="row">{escape(name)}</th><td>{escape(_said(value))}</td></tr>'
            for name, value in facts.items()
        )
        self._parts.append(f'<div class="wide"><table>{rows}</table></div>')

    def table(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[object]],
        caption: str = "",
        strong: Sequence[int] = (),
    ) -> None:
        """A table; columns of numbers stand flush right.

        Args:
            head: Names of the columns.
            rows: Cells: text, whole numbers, or floats (shown with four digits; ``None`` and what is no number as a
                dash).
            caption: Stands above it.
            strong: Rows that stand out.
        """
        numeric = [
            all(isinstance(row[i], int | float) or row[i] in (None, "") for row in rows) and bool(rows)
            for i in range(len(head))
        ]
        kinds = [' class="number"' if number else "" for number in numeric]
        top = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(head, kinds, strict=True))
        lines = []
        for i, row in enumerate(rows):
            cells = "".join(f"<td{kind}>{escape(_said(cell))}</td>" for cell, kind in zip(row, kinds, strict=True))
            lines.append(f'<tr class="strong">{cells}</tr>' if i in strong else f"<tr>{cells}</tr>")
        said = f"<caption>{escape(caption)}</caption>" if caption else ""
        body = f"<thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody>"
        self._parts.append(f'<div class="wide"><table>{said}{body}</table></div>')

    def figure(self, figure: Figure, caption: str = "", alt: str = "") -> None:
        """A figure of matplotlib, as a picture inside the page.

        Args:
            figure: Made without pyplot: ``matplotlib.figure.Figure``.
            caption: Stands below it.
            alt: What it shows, for readers who do not see it; without: the caption.
        """
        buffer = BytesIO()
        with warnings.catch_warnings():  # names of classes in scripts that the font lacks: boxes in the picture
            warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
            figure.savefig(buffer, format="png", dpi=120)
        width = round(figure.get_size_inches()[0] * 96)
        self.image(buffer.getvalue(), caption, alt, width)

    def image(self, png: bytes, caption: str = "", alt: str = "", width: int | None = None) -> None:
        """A picture.

        Args:
            png: The bytes of a PNG file.
            caption: Stands below it.
            alt: What it shows, for readers who do not see it; without: the caption.
            width: On a screen, in pixels; ``None``: its own.
        """
        source = base64.b64encode(png).decode()
        size = "" if width is None else f' width="{width}"'
        said = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        picture = f'<img src="data:image/png;base64,{source}" alt="{escape(alt or caption)}"{size}>'
        self._parts.append(f"<figure>{picture}{said}</figure>")

    @contextmanager
    def folded(self, summary: str) -> Iterator[None]:
        """What is added meanwhile is hidden until a reader opens it.

        Args:
            summary: The line to open it by.
        """
        self._parts.append(f"<details><summary>{escape(summary)}</summary>")
        yield
        self._parts.append("</details>")

    def html(self) -> str:
        """The whole page."""
        links = "".join(f'<a href="#section-{i}">{escape(name)}</a> ' for i, name in enumerate(self._sections, 1))
        contents = f"<nav>{links}</nav>" if len(self._sections) > 2 else ""
        under = f'<p class="under">{escape(self.subtitle)}</p>' if self.subtitle else ""
        body = "\n".join(self._parts)
        return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(self.title)}</title><style>{_STYLE}</style></head>
<body><h1>{escape(self.title)}</h1>
{under}
{contents}
{body}
<footer>Written by fulmen {escape(__version__)}.</footer>
</body></html>
"""

    def write(self, path: Path) -> None:
        """Writes the page.

        Raises:
            ConfigError: If the file cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.html(), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"out: {str(path)!r} cannot be written ({error})") from error


def _said(value: object) -> str:
    """A cell in words.

    >>> _said(0.123456), _said(12345), _said(float("nan")), _said(None), _said("x")
    ('0.1235', '12,345', '-', '-', 'x')
    """
    if value is None or value != value:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else "0" if abs(value) < 1e-7 else f"{value:.4g}"
