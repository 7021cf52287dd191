"""Review's keys for what lies beyond it: the review's surroundings in train, and files for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from core.export_svg import View
from core.i18n import N_
from core.predictions import Prediction
from tui.keymap import key
from tui.widgets.review_context import ReviewContext

if TYPE_CHECKING:
    from tui.review_session import Opened, ReviewSession
    from tui.screens.base import RunScreen as Base
else:
    Base = object


class BeyondActions(Base):
    """The part of the Review screen that looks, and writes, beyond the review in view."""

    session: ReviewSession | None
    _opened: Opened | None

    BINDINGS: ClassVar[list[BindingType]] = [
        key("e", "export", N_("Export"), N_("Write the review, or the queue, to a file")),
    ]

    # -- around ------------------------------------------------------------------------------------------------

    @property
    def context(self) -> ReviewContext:
        """The pane of the review's surroundings."""
        return self.query_one(ReviewContext)

    def open_context(self, opened: Opened) -> None:
        """Another run has been read."""
        self.context.open_run(self.run_dir, opened.model, opened.max_length)

    def show_context(self, review: Prediction) -> None:
        """Another review is in view."""
        assert self.session is not None
        self.context.show_review(review.document, review.id, self.session.predictions.split)

    # -- export ------------------------------------------------------------------------------------------------

    def action_export(self) -> None:
        """Ask what to write and where to, and write it."""
        from tui.review_exports import ReviewExports
        from tui.screens.export_dialog import ExportDialog

        if self.session is None or self._opened is None or self.session.current is None:
            return
        command = ("nsmc-tui", "--runs", str(self.nsmc.runs_dir.resolve()))
        exports = ReviewExports(
            self.run_dir, self.session, self._opened, self._view(), self.nsmc.inspector.ask, command
        )
        self.app.push_screen(ExportDialog(exports.choices()))

    def _view(self) -> View:
        """What is in view, as a picture."""
        choice = self.attention.choice  # type: ignore[attr-defined]
        inspection = self.detail.inspection  # type: ignore[attr-defined]
        if inspection is not None and inspection.n_layers:
            choice = choice.fitted(inspection.n_layers, inspection.n_heads)
        layer = None if choice.attributed else choice.layer
        head = choice.head if choice.method == "attention" else None
        theme = "dark" if self.app.current_theme.dark else "light"
        return View(choice.method, layer, head, choice.special, choice.words, theme)

    def offers_beyond(self, action: str) -> bool | None:
        """Whether `action` is offered here and now; None for an action that is not of this part."""
        return None if action != "export" else not self.has_class("-empty")
