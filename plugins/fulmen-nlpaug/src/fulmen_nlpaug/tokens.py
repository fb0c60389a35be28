"""Words and what stands between them, so that a text can be put together again byte for byte."""

from __future__ import annotations

import re
from itertools import chain
from unicodedata import category

_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MARKS = "".join(c for c in map(chr, range(0x300, 0x2000)) if category(c)[0] == "M")
_NUMERIC = "".join(c for c in map(chr, range(0xB2, 0x3400)) if c.isalnum() and not c.isalpha() and not c.isdecimal())

_CHARACTER = rf"[^\W{_HAN}]"  # of a word, a number or a name
_LETTER = rf"[^\W\d_{_HAN}{_NUMERIC}]"
_LETTERS = rf"{_LETTER}++(?:[{_MARKS}]++{_LETTER}*+)*+"
_APOSTROPHES = r"'\u2019"
_CLITIC = rf"(?<!\w)[{_APOSTROPHES}](?:[sdmtSDMT]|ll|re|ve|LL|RE|VE)(?!\w)"  # corpora write "it 's"
_LEFT_ALONE = "|".join(
    (
        r"\s++",
        r"(?:[A-Za-z][A-Za-z0-9+.-]{0,20}+://|www\.|mailto:)\S++",  # URL
        r"[\w.+-]{1,64}+@[\w-]++(?:\.[\w-]++)*+",  # e-mail
        rf"{_CHARACTER}++(?:\.{_CHARACTER}++)++(?:/\S*+)?",  # 3.14, example.com, U.S.
        rf"{_LETTER}*+[\d_{_NUMERIC}]{_CHARACTER}*+",  # 1930s, mp3, snake_case
        r"[@#]\w++",  # @name, #topic
        r"<[^<>\s][^<>]*+>|&#?\w++;",  # HTML
        r"[:;=][-^']?[A-Za-z](?!\w)",  # :D
        rf"(?!{_CLITIC})[\W\d_{_NUMERIC}]",
    )
)
_WORD = rf"{_CLITIC}|[{_HAN}]|{_LETTERS}(?:[{_APOSTROPHES}\-\u00ad\u200c\u200d]{_LETTERS})*+"
_PATTERN = re.compile(rf"((?:{_LEFT_ALONE})*+)({_WORD}|\Z)")
_CHINESE = re.compile(f"[{_HAN}]")


def split(text: str) -> list[str]:
    """Splits a text into its words and everything between them; joined, they are the text again.

    A word is a run of letters of any script, with apostrophes and hyphens inside; of Chinese, each character.
    Numbers, URLs, e-mail addresses, @names, #topics, HTML, emoji, punctuation and white space are no words.

    Args:
        text: Any text.

    Returns:
        An odd number of pieces: words at the odd positions, at the even ones what stands between (or nothing).

    >>> split("It's 3.14, see www.a.org!")
    ['', "It's", ' 3.14, ', 'see', ' www.a.org!']
    >>> split("我很好")
    ['', '我', '', '很', '', '好', '']
    """
    pairs = _PATTERN.findall(text)
    rest = ""
    while pairs and not pairs[-1][1]:
        rest = pairs.pop()[0] + rest
    return [*chain.from_iterable(pairs), rest]


def is_chinese(word: str) -> bool:
    """Whether a word is written without blanks around it.

    >>> is_chinese("好"), is_chinese("good")
    (True, False)
    """
    return _CHINESE.match(word) is not None


def is_capitalized(word: str) -> bool:
    """Whether the first letter alone is a capital.

    >>> is_capitalized("Film"), is_capitalized("FILM"), is_capitalized("A")
    (True, False, True)
    """
    return word[:1].isupper() and word[1:] == word[1:].lower()


def match_case(word: str, like: str) -> str:
    """Writes a word with the capitals of the one that it takes the place of.

    >>> match_case("movie", like="Film"), match_case("movie", like="FILM"), match_case("movie", like="film")
    ('Movie', 'MOVIE', 'movie')
    """
    if is_capitalized(like):
        return word[:1].upper() + word[1:]
    return word.upper() if like.isupper() else word
