"""One review: what is known of it, its text under heat, its probabilities, and where the model looked."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, Vertical

from core import formats
from core.i18n import gettext as _
from core.inspector_protocol import Inspection
from core.predictions import THRESHOLD, Prediction
from core.review_log import Opinion
from core.text import visible
from tui.heat_scale import colour
from tui.widgets.attention_pane import AttentionPane
from tui.widgets.prob_bar import ProbBar, class_names
from tui.widgets.review_about import ReviewAbout
from tui.widgets.review_context import ReviewContext
from tui.widgets.spread_line import SpreadLine
from tui.widgets.token_strip import TokenStrip

PROBABILITY_TOLERANCE = 0.02
"""How far the inspector's probability may be from the one in the file: half precision and padding move it less."""


class ReviewDetail(Container):
    """The review in view. `show_review` draws at once what the predictions know; `show_inspection` adds the heat.

    review, inspection: what is shown, None while there is none. What concerns attention is `attention`'s business.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.review: Prediction | None = None
        self.inspection: Inspection | None = None
        self.threshold = THRESHOLD

    def compose(self) -> ComposeResult:
        """The text and its figures; where the model looked in it."""
        strip = TokenStrip(id="text")
        with Vertical(id="reading"):
            yield SpreadLine(id="facts")
            yield SpreadLine(id="numbers")
            yield strip
            yield ProbBar(id="probabilities")
            yield ReviewAbout(id="about")
            with Vertical(id="context"):
                yield ReviewContext(id="around")
        yield AttentionPane(strip, id="attention")

    @property
    def attention(self) -> AttentionPane:
        """The pane that shows where the model looked."""
        return self.query_one(AttentionPane)

    def show_review(self, review: Prediction, threshold: float = THRESHOLD) -> None:
        """Show text and probabilities of `review`, without heat for now."""
        self.review, self.inspection, self.threshold = review, None, threshold
        self.attention.clear()
        self.attention.threshold = threshold
        self._show_facts()
        self.query_one(TokenStrip).show(review.document)
        bar = self.query_one(ProbBar)
        bar.threshold = threshold
        bar.show((review.prob_0, review.prob_1), review.label, self._pred)
        self.query_one(ReviewAbout).show_review(review.document)

    def show_opinions(self, shown: Opinion, opinions: Sequence[Opinion], me: str) -> None:
        """Show the verdict that counts, its tags and note, and where other reviewers see it otherwise."""
        self.query_one(ReviewAbout).show_opinions(shown, opinions, me)

    @property
    def _pred(self) -> int:
        """The class at the threshold."""
        assert self.review is not None
        return self.review.at(self.threshold).pred

    def show_message(self, message: str, hint: str = "") -> None:
        """No heat on the review in view, and in its place why; foreign text may be in both."""
        self.attention.show_message(message, hint)

    def show_inspection(self, inspection: Inspection) -> None:
        """Lay heat over the review in view, which `inspection` is of."""
        self.inspection = inspection
        self._show_facts()
        self.attention.show_inspection(inspection)

    def redraw(self) -> None:
        """Draw all anew, for other colours."""
        self._show_facts()
        self.attention.redraw()
        for widget in self.query("*"):
            widget.refresh()

    # -- facts -------------------------------------------------------------------------------------------------

    def _show_facts(self) -> None:
        review, inspection = self.review, self.inspection
        if review is None:
            return
        quiet = colour(self.app, "secondary")
        names, tones = class_names(), [colour(self.app, name) for name in ("negative", "positive")]
        facts = Text.assemble(
            # Not "true positive": that is the name of another thing.
            (_("labelled") + " ", quiet),
            (names[review.label], tones[review.label]),
            ("  " + _("predicted") + " ", quiet),
            (names[self._pred], tones[self._pred]),
        )
        kind = (("TN", "FP"), ("FN", "TP"))[review.label][self._pred]
        self.query_one("#facts", SpreadLine).show(facts, kind)
        parts = [
            f"#{visible(review.id)}",
            _("loss {value}").format(value=formats.number(review.loss, 2)),
            "p " + formats.number(review.prob_1 if self._pred else review.prob_0, 3),
            _("{n} tokens").format(n=formats.count(review.n_tokens)),
        ]
        if inspection is not None:
            unknown = sum(token.unk for token in inspection.tokens)
            if unknown:
                parts.append(_("{n} unknown").format(n=unknown))
            if inspection.cut is not None:
                parts.append(_("cut at {n} tokens").format(n=len(inspection.tokens)))
        line, warning, shorter = Text(" · ".join(parts)), Text(), ""
        if inspection is not None and _differs(review, inspection):
            # Not the model that made the file: it was trained on, or the file is of another one.
            value = f"{inspection.probabilities[self._pred]:.3f}"
            said = _("the model says p {value} now").format(value=value)
            warning, shorter = Text(f"⚠ {said}", colour(self.app, "warning")), f"⚠ p {value}"
        self.query_one("#numbers", SpreadLine).show(line, warning, shorter)


def _differs(review: Prediction, inspection: Inspection) -> bool:
    given = inspection.probabilities
    return len(given) == 2 and abs(given[1] - review.prob_1) > PROBABILITY_TOLERANCE
