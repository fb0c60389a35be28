"""What the columns of a table hold."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from fulmen.cli.init.folders import IMAGES, ending

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 20_000
"""Words are counted, and paths looked for, in so many rows."""
_FEW = 20
"""So many different whole numbers may be classes."""
_CLASSES = 1000
_WORDS = 3
_LONG = 8
"""Words of a text that is one whatever stands beside it."""
_CHARACTERS = 12
"""Characters of a text in a language that writes no spaces."""
_ID = re.compile(r"(?i:(^|[_\W])(id|idx|index|key|nr|no|number|row)$|^\d*$|^unnamed)|Id$|ID$")
"""What columns are called that number or name the rows."""
_MOST = 0.9
_NEW = 0.5
"""Share of different values from which on a column of words may be text."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        kind: What its cells are.
        rows: How many there are.
        missing: How many hold nothing.
        counts: How often each value occurs, as text, the most frequent first; empty where there are very many.
        distinct: How many different values there are.
        words: Mean number of words.
        characters: Mean number of characters.
        examples: Some values.
        floating: Whether numbers are written with a point, though they may all be whole.
    """

    name: str
    kind: Literal["number", "whole", "yes/no", "date", "string", "other"]
    rows: int
    missing: int
    distinct: int
    counts: dict[str, int] = field(default_factory=dict)
    words: float = 0.0
    characters: float = 0.0
    examples: tuple[str, ...] = ()
    floating: bool = False

    @property
    def present(self) -> int:
        """How many cells hold something."""
        return self.rows - self.missing

    @property
    def share(self) -> float:
        """Share of different values."""
        return self.distinct / max(self.present, 1)

    @cached_property
    def is_path(self) -> bool:
        """Whether it holds paths of images."""
        return bool(self.examples) and sum(ending(e.strip()) in IMAGES for e in self.examples) >= _MOST * len(
            self.examples
        )

    @property
    def is_text(self) -> bool:
        """Whether a person wrote a text in each cell; names and titles count, if they are of some words."""
        if self.kind != "string" or self.is_path or self.share < _NEW:
            return False
        return self.words >= _WORDS or (self.words < 2 and self.characters >= _CHARACTERS and self._writes_no_spaces)

    @property
    def is_long_text(self) -> bool:
        """Whether it is text that hardly anything but a text's column holds."""
        return self.is_text and (self.words >= _LONG or self.words < 2)

    @property
    def _writes_no_spaces(self) -> bool:
        signs = [c for e in self.examples for c in e if not c.isspace()]
        return sum(c > "\u2e7f" for c in signs) > len(signs) / 2

    @property
    def is_identifier(self) -> bool:
        """Whether it names rows: another value in (nearly) each."""
        if self.kind == "whole" and self.share > 0.99 and self.present > 1:
            return bool(_ID.search(self.name))
        return (
            self.kind == "string" and not self.is_text and not self.is_path and self.share > 0.9 and self.present > _FEW
        )

    @property
    def names_rows(self) -> bool:
        """Whether each row has a value of its own, so that it can name the rows."""
        return self.is_identifier and self.distinct == self.rows and bool(_ID.search(self.name))

    @property
    def has_classes(self) -> bool:
        """Whether its values may be classes."""
        if self.kind not in ("string", "whole", "yes/no") or self.is_path or not 2 <= self.distinct <= _CLASSES:
            return False
        few = self.distinct <= max(2, self.present // 4)
        return few and (self.kind != "whole" or self.distinct <= _FEW) and not self.is_text

    @property
    def has_numbers(self) -> bool:
        """Whether its values may be numbers to predict."""
        return (
            self.kind in ("number", "whole") and not self.has_classes and not self.is_identifier and self.distinct > 2
        )


def describe(table: pa.Table) -> list[Column]:
    """Every column of a table."""
    return [_describe(name, table.column(name)) for name in table.column_names]


def _describe(name: str, values: pa.ChunkedArray) -> Column:
    import pyarrow as pa
    from pyarrow import compute

    kind = _kind(values.type)
    size = len(values)
    if kind == "other":
        return Column(name, kind, size, values.null_count, 0)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    present = values.filter(_valid(values))
    missing = size - len(present)
    if kind == "number" and len(present) and compute.all(compute.equal(present, compute.round(present))).as_py():
        kind = "whole"  # numbers with gaps are read as fractions
        present = present.cast(pa.float64())
        present = present.cast(pa.int64()) if compute.max(compute.abs(present)).as_py() < 2**53 else present
    distinct = int(compute.count_distinct(present).as_py()) if len(present) else 0
    counts = _counts(present) if distinct <= _CLASSES else {}
    if kind != "string":
        return Column(name, kind, size, missing, distinct, counts, floating=pa.types.is_floating(values.type))
    some = present.slice(0, _ROWS)
    words = compute.mean(compute.list_value_length(compute.utf8_split_whitespace(compute.utf8_trim_whitespace(some))))
    characters = compute.mean(compute.utf8_length(some))
    step = max(len(present) // 200, 1)
    examples = tuple(present[i].as_py() for i in range(0, min(len(present), 200 * step), step))
    return Column(
        name, kind, size, missing, distinct, counts, words.as_py() or 0.0, characters.as_py() or 0.0, examples
    )


def _valid(values: pa.ChunkedArray) -> Any:
    """Which cells hold something."""
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_floating(values.type):
        return compute.invert(compute.is_null(values, nan_is_null=True))
    return compute.is_valid(values)


def _counts(values: pa.ChunkedArray) -> dict[str, int]:
    import pyarrow as pa
    from pyarrow import compute

    if not pa.types.is_boolean(values.type):
        values = values.cast(pa.string())
    found = {str(item["values"].as_py()): item["counts"].as_py() for item in compute.value_counts(values)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _kind(dtype: pa.DataType) -> Literal["number", "whole", "yes/no", "date", "string", "other"]:
    import pyarrow as pa

    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
    if pa.types.is_boolean(dtype):
        return "yes/no"
    if pa.types.is_integer(dtype):
        return "whole"
    if pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return "number"
    if pa.types.is_date(dtype) or pa.types.is_timestamp(dtype):
        return "date"
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return "string" if any(test(dtype) for test in texts) else "other"
