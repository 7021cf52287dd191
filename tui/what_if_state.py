"""What "what if" knows without widgets: the text as it stands, its masked words, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

from core.text import visible_lines
from core.tokenization import Word, split_words
from core.word_edits import delete_words, moved_up


@dataclass(frozen=True)
class Draft:
    """A text and the indexes of its words that are masked. note: how it came about, for the variant that is kept."""

    text: str
    masked: frozenset[int] = frozenset()
    note: str = ""

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of the text."""
        return split_words(self.text)

    def same(self, other: Draft) -> bool:
        """Whether the model would say the same to both."""
        return (self.text, self.masked) == (other.text, other.masked)


def typeable(text: str) -> str:
    """`text` as it can be edited in a terminal: control characters as pictures, newlines kept."""
    return "\n".join(visible_lines(text))


class Drafts:
    """The draft in view and those before it; `original` is the review itself."""

    def __init__(self, text: str) -> None:
        self.original = Draft(text)
        self._all = [self.original]
        self._place = 0
        self._typing = False

    @property
    def current(self) -> Draft:
        """The draft in view."""
        return self._all[self._place]

    @property
    def changed(self) -> bool:
        """Whether the draft is another text than the review."""
        return not self.current.same(self.original)

    @property
    def can_undo(self) -> bool:
        """Whether there is something before."""
        return self._place > 0

    @property
    def can_redo(self) -> bool:
        """Whether something was undone."""
        return self._place < len(self._all) - 1

    def put(self, draft: Draft, *, typing: bool = False) -> bool:
        """Make `draft` the one in view; whether it is another one. With `typing`, keys in a row are one step."""
        if draft.same(self.current):
            return False
        if typing and self._typing and self._place == len(self._all) - 1:
            self._all[-1] = draft
        else:
            self._all[self._place + 1 :] = [draft]
            self._place += 1
        self._typing = typing
        return True

    def stop_typing(self) -> None:
        """What is typed from now on is another step."""
        self._typing = False

    def type(self, text: str) -> bool:
        """The text as it was typed; words that stay where they are stay masked."""
        before, after = self.current.words, split_words(text)
        masked = frozenset(
            n for n in self.current.masked if n < len(after) and n < len(before) and before[n].text == after[n].text
        )
        return self.put(Draft(text, masked), typing=True)

    def delete(self, word: int) -> bool:
        """Take word `word` out."""
        current = self.current
        if not 0 <= word < len(current.words):
            return False
        return self.put(Draft(delete_words(current.text, [word]), moved_up(current.masked, [word])))

    def mask(self, word: int) -> bool:
        """Mask word `word`, or no longer."""
        current = self.current
        if not 0 <= word < len(current.words):
            return False
        return self.put(Draft(current.text, current.masked ^ {word}))

    def undo(self) -> bool:
        """One step back."""
        self._typing = False
        if not self.can_undo:
            return False
        self._place -= 1
        return True

    def redo(self) -> bool:
        """One step forward again."""
        self._typing = False
        if not self.can_redo:
            return False
        self._place += 1
        return True

    def reset(self) -> bool:
        """Back to the review itself, as a step that can be undone."""
        return self.put(self.original)
