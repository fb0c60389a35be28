"""Changes between two texts, marked."""

from __future__ import annotations

import re
from difflib import SequenceMatcher


def marked(before: str, after: str) -> str:
    """The text after a change, with what is new in ``{+ +}`` and what is gone in ``[- -]``, as `wdiff` writes it.

    >>> marked("a very good film", "a good fine film")
    'a[- very-] good {+fine +}film'
    """
    old, new = (re.findall(r"\w+|\s+|[^\w\s]", text) for text in (before, after))
    parts = []
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            parts.append("".join(new[k:m]))
            continue
        gone, added = "".join(old[i:j]), "".join(new[k:m])
        parts += [f"[-{gone}-]" if gone else "", f"{{+{added}+}}" if added else ""]
    return "".join(parts).replace("\n", "\\n")
