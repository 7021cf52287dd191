"""The key from other screens to Patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from core.i18n import N_
from tui.keymap import key

if TYPE_CHECKING:
    from tui.review_session import ReviewSession
    from tui.screens.base import RunScreen as Base
else:
    Base = object

PATTERNS_KEY = key("P", "patterns", N_("Patterns"), N_("What many errors have in common: words, heads, verdicts"))


class PatternActions(Base):
    """The part of the Review screen that leads to Patterns."""

    BINDINGS: ClassVar[list[BindingType]] = [PATTERNS_KEY]

    session: ReviewSession | None

    def action_patterns(self) -> None:
        """What the errors of the split in view have in common."""
        from tui.screens.patterns import PatternsScreen

        split = self.session.predictions.split if self.session is not None else None
        self.app.push_screen(PatternsScreen(self.run_dir, split))
