"""A field of several lines for a review's text: nothing that a terminal would obey gets into it."""

from __future__ import annotations

from textual.document._document import EditResult
from textual.document._edit import Edit
from textual.widgets import TextArea

from tui.plain_signs import TextOfOthers
from tui.what_if_state import typeable


class TextEditor(TextOfOthers, TextArea):
    """A text area whose text, typed, pasted or set, has its control characters made visible."""

    DEFAULT_CSS = """
    TextEditor, TextEditor:focus { border: none; padding: 0; background: $panel; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            soft_wrap=True, tab_behavior="focus", show_line_numbers=False, highlight_cursor_line=False, id=id
        )

    def load_text(self, text: str) -> None:
        """Show `text`, made safe."""
        super().load_text(typeable(text))

    def edit(self, edit: Edit) -> EditResult:
        """Take an edit, made safe."""
        edit.text = typeable(edit.text)
        return super().edit(edit)
