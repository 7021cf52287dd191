"""Text from data, paths and exceptions, made safe and readable for a terminal.

The one place that decides how a control character looks. Every screen and every headless table passes foreign
text through `visible`; the attention views use `clusters`, which keeps the way back to the original offsets.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

_BIDI = set(range(0x202A, 0x202F)) | set(range(0x2066, 0x206A)) | {0x200E, 0x200F, 0x061C}
# Terminals draw Hangul fillers two cells wide, rich counts none: a visible dot keeps columns straight.
_FILLERS = {0x3164, 0x115F, 0x1160, 0xFFA0}
_LINE_SEPARATORS = {0x0085, 0x2028, 0x2029}


# Characters that are clusters of their own among each other, and are drawn as they are: printable ASCII, Hangul
# syllables and letters. Most reviews have no others, and need no search for the ends of clusters.
_PLAIN = re.compile("[ -~\uac00-\ud7a3\u3131-\u3163]*")


class Cluster(NamedTuple):
    """One grapheme cluster: what a reader sees as one character.

    `start` and `end` are offsets into the original text (code points), `display` is what to draw for it.
    """

    start: int
    end: int
    display: str


def _visible_char(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if code in _LINE_SEPARATORS:
        return " "
    if 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000:
        return "\ufffd"
    if code in _BIDI or code in _FILLERS:
        return "\u00b7"
    return char


_TABLE = {
    code: _visible_char(chr(code))
    for code in (*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000), *_BIDI, *_FILLERS, *_LINE_SEPARATORS)
}


def visible(text: str) -> str:
    """`text` for showing: NFC, control characters as pictures (`␛`, `␉`, `␊`), nothing a terminal would obey."""
    return unicodedata.normalize("NFC", text).translate(_TABLE)


def visible_each(text: str) -> str:
    """`text` for a line that is being edited: as `visible`, but a character for a character, so that places stay."""
    return text.translate(_TABLE)


def visible_lines(text: str) -> list[str]:
    """`text` for showing, cut at its newlines (for logs and reviews of several lines)."""
    return [visible(line) for line in text.replace("\r\n", "\n").split("\n")]


def clusters(text: str) -> list[Cluster]:
    """The grapheme clusters of `text` in order, covering it without gaps (UAX 29, as the `regex` package has it)."""
    if _PLAIN.fullmatch(text):
        return [Cluster(place, place + 1, character) for place, character in enumerate(text)]
    import regex

    return [Cluster(m.start(), m.end(), visible(m.group())) for m in regex.finditer(r"\X", text)]
