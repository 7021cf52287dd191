"""A review's text under heat with a cursor on its words: to take them out or to mask them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.message import Message

from core.i18n import N_
from core.tokenization import Word, split_words
from tui.keymap import key, localise
from tui.widgets.token_strip import Cell, TokenStrip


class WordStrip(TokenStrip):
    """The strip with a word cursor. Masked words are drawn as lines of their width. Posts `Moved`.

    word: index of the word under the cursor.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        key("left", "word(-1)", N_("Left"), N_("Word before")),
        key("right", "word(1)", N_("Right"), N_("Next word")),
        key("up,k", "line(-1)", N_("Up"), N_("A line up")),
        key("down,j", "line(1)", N_("Down"), N_("A line down")),
        key("home,g", "corner(0)", N_("First"), N_("The first word")),
        key("end,G", "corner(1)", N_("Last"), N_("The last word")),
    ]

    class Moved(Message):
        """The cursor is on another word."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        localise(self)
        self.words: tuple[Word, ...] = ()
        self.word = 0
        self.masked: frozenset[int] = frozenset()

    def show_words(self, text: str, masked: frozenset[int]) -> None:
        """Show the raw `text`, without heat for now, with its words `masked`; the cursor stays where it can."""
        self.words, self.masked = split_words(text), masked
        self.word = max(0, min(self.word, len(self.words) - 1))
        self.show(text)
        self.can_focus = True

    def choose(self, word: int) -> None:
        """Put the cursor on a word, or as near as there is."""
        place = max(0, min(word, len(self.words) - 1))
        if place != self.word:
            self.word = place
            self._follow()
            self.refresh()
            self.post_message(self.Moved())

    def action_word(self, step: int) -> None:
        """Another word."""
        self.choose(self.word + step)

    def action_corner(self, last: int) -> None:
        """The first or the last word."""
        self.choose((len(self.words) - 1) * last)

    def action_line(self, step: int) -> None:
        """The word above or below."""
        line, column = self._place(self.word)
        target = line + step
        if not 0 <= target < len(self._lines):
            return
        x, found = 0, None
        for cell in self._lines[target]:
            word = self._word_of(cell)
            if word is not None:
                found = word
                if x + cell.width > column:
                    break
            x += cell.width
        if found is not None:
            self.choose(found)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the word under the mouse."""
        place = event.get_content_offset(self)
        if place is None:
            return
        line = (place.y + self.scroll_offset.y) // self._pitch
        x = 0
        for cell in self._lines[line] if line < len(self._lines) else []:
            x += cell.width
            if x > place.x:
                word = self._word_of(cell)
                if word is not None:
                    self.choose(word)
                return

    def _layout_lines(self) -> None:
        super()._layout_lines()
        self.can_focus = True

    def _word_of(self, cell: Cell) -> int | None:
        if cell.start < 0:
            return None
        place = bisect_right(self.words, cell.start, key=lambda word: word.start) - 1
        return place if place >= 0 and cell.start < self.words[place].end else None

    def _place(self, word: int) -> tuple[int, int]:
        """Line and column of the first cell of `word`."""
        for number, line in enumerate(self._lines):
            x = 0
            for cell in line:
                if self._word_of(cell) == word:
                    return number, x
                x += cell.width
        return 0, 0

    def _follow(self) -> None:
        y, height = self._place(self.word)[0] * self._pitch, self.scrollable_content_region.height
        if not self.scroll_offset.y <= y <= self.scroll_offset.y + height - self._pitch:
            self.scroll_to(y=max(0, y - height // 2), animate=False, force=True)

    def _letters(self, line: list[Cell]) -> Iterator[tuple[str, Style]]:
        chosen = Style(reverse=True, bold=True) if self.has_focus else Style(underline=True)
        for cell, (text, style) in zip(line, super()._letters(line), strict=True):
            word = self._word_of(cell)
            if word is None:
                yield text, style
                continue
            shown = "_" * cell.width if word in self.masked else text
            yield shown, style + chosen if word == self.word else style
