"""One review: what is known of it, its text under heat, its probabilities, and the map of who looks at whom."""

from __future__ import annotations

from dataclasses import replace

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical

from core import formats
from core.i18n import gettext as _
from core.inspector_protocol import Inspection
from core.predictions import Prediction
from core.text import visible
from tui.heat_scale import colour, scale_of
from tui.heat_view import Heat, HeatChoice, heat_of
from tui.widgets.heatmap import HeatMap
from tui.widgets.prob_bar import ProbBar, class_names
from tui.widgets.spread_line import SpreadLine
from tui.widgets.token_strip import TokenStrip
from tui.widgets.word_bars import WordBars

PROBABILITY_TOLERANCE = 0.02
"""How far the inspector's probability may be from the one in the file: half precision and padding move it less."""


class ReviewDetail(Container):
    """The review in view. `show_review` draws at once what the predictions know; `show_inspection` adds the heat.

    choice: which weights are drawn. inspection, heat: what is drawn, None while there is none.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.choice = HeatChoice()
        self.review: Prediction | None = None
        self.inspection: Inspection | None = None
        self.heat: Heat | None = None

    def compose(self) -> ComposeResult:
        """The text and its figures, the map."""
        with Vertical(id="reading"):
            yield SpreadLine(id="facts")
            yield SpreadLine(id="numbers")
            yield TokenStrip(id="text")
            yield ProbBar(id="probabilities")
            yield SpreadLine(id="legend")
            yield SpreadLine(id="scale")
            yield WordBars(id="word-bars")
        with Vertical(id="map-pane"):
            yield SpreadLine(id="map-title")
            yield HeatMap(id="map")

    @property
    def model_size(self) -> tuple[int, int] | None:
        """Layers and heads of the model in view, None while there is no attention."""
        inspection = self.inspection
        if inspection is None or inspection.n_layers is None or inspection.n_heads is None:
            return None
        return inspection.n_layers, inspection.n_heads

    def show_review(self, review: Prediction) -> None:
        """Show text and probabilities of `review`, without heat for now."""
        self.review, self.inspection, self.heat = review, None, None
        self._show_facts()
        self.query_one(TokenStrip).show(review.document)
        self.query_one(ProbBar).show((review.prob_0, review.prob_1), review.label, review.pred)

    def show_message(self, message: str, hint: str = "") -> None:
        """No heat on the review in view, and in the map's place why; foreign text may be in both."""
        self.heat = None
        self.query_one(TokenStrip).show_heat(None, self.inspection.cut if self.inspection is not None else None)
        self.query_one(WordBars).show(None)
        self.query_one("#legend", SpreadLine).show(visible(message.split("\n", 1)[0]))
        self.query_one("#scale", SpreadLine).show()
        lines = [visible(line) for part in (message, hint) if part for line in part.split("\n")]
        self.query_one(HeatMap).show_message("\n".join(lines))

    def show_inspection(self, inspection: Inspection) -> None:
        """Lay heat over the review in view, which `inspection` is of."""
        self.inspection = inspection
        self._show_facts()
        self._show_heat()

    def choose(self, choice: HeatChoice) -> None:
        """Draw other weights of the same inspection."""
        self.choice = choice
        if self.inspection is not None:
            self._show_heat()

    def redraw(self) -> None:
        """Draw all anew, for other colours."""
        self._show_facts()
        if self.heat is not None:
            self._show_heat()
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
            (names[review.pred], tones[review.pred]),
        )
        self.query_one("#facts", SpreadLine).show(facts, review.kind.upper())
        parts = [
            f"#{visible(review.id)}",
            _("loss {value}").format(value=formats.number(review.loss, 2)),
            "p " + formats.number(review.confidence, 3),
            _("{n} tokens").format(n=formats.count(review.n_tokens)),
        ]
        if inspection is not None:
            unknown = sum(token.unk for token in inspection.tokens)
            if unknown:
                parts.append(_("{n} unknown").format(n=unknown))
            if inspection.cut is not None:
                parts.append(_("cut at {n} tokens").format(n=len(inspection.tokens)))
        line = Text(" · ".join(parts))
        if inspection is not None and _differs(review, inspection):
            # Not the model that made the file: it was trained on, or the file is of another one.
            warning = _("the model says p {value} now").format(value=f"{inspection.probabilities[review.pred]:.3f}")
            line.append(f" · ⚠ {warning}", colour(self.app, "warning"))
        self.query_one("#numbers", SpreadLine).show(line)

    # -- heat --------------------------------------------------------------------------------------------------

    def _show_heat(self) -> None:
        inspection = self.inspection
        assert inspection is not None
        self.heat = heat = heat_of(inspection, self.choice)
        if heat is None:
            self.show_message(inspection.note or _("This model gives no attention."))
            return
        self.query_one(TokenStrip).show_heat(heat, inspection.cut)
        self.query_one(WordBars).show(heat)
        from_query = _("from {token}").format(token=heat.query)
        self.query_one("#legend", SpreadLine).show(" · ".join([*heat.choice.describe(), from_query]))
        specials = {
            "hidden": _("special {share} hidden"),
            "renormalised": _("special {share} hidden, Σ 1"),
            "shown": _("special {share} shown"),
        }[heat.choice.special]
        self.query_one("#scale", SpreadLine).show(
            specials.format(share=f"{heat.special:.2f}"), scale_of(self.app).legend(heat.top)
        )
        self.query_one(HeatMap).show(heat.matrix, tuple(unit.label for unit in heat.units))

    @on(HeatMap.Moved)
    def _show_map_title(self) -> None:
        heat_map, title = self.query_one(HeatMap), self.query_one("#map-title", SpreadLine)
        if heat_map.value is None:
            title.show()
            return
        legend = scale_of(self.app).legend(heat_map.top)
        text = heat_map.readout_in(title.size.width - legend.cell_len - 2)
        if not heat_map.has_focus:
            text = _("words: rows ask, columns answer") if self.choice.words else _("tokens: rows ask, columns answer")
        title.show(text, legend)

    def on_descendant_focus(self) -> None:
        """The focused map reads out its cursor."""
        self._show_map_title()

    def on_descendant_blur(self) -> None:
        """The map left alone says what it is."""
        self._show_map_title()

    # -- choices -----------------------------------------------------------------------------------------------

    def next_layer(self, step: int) -> None:
        """Another layer, once it is known how many there are."""
        if self.model_size is not None:
            self.choose(self.choice.next_layer(step, *self.model_size))

    def next_head(self, step: int) -> bool:
        """Another head; False where the method has none."""
        if self.choice.method == "rollout":
            return False
        if self.model_size is not None:
            self.choose(self.choice.next_head(step, *self.model_size))
        return True

    def toggle_words(self) -> None:
        """By word, by token."""
        self.choose(replace(self.choice, words=not self.choice.words))


def _differs(review: Prediction, inspection: Inspection) -> bool:
    given = inspection.probabilities
    return len(given) == 2 and abs(given[1] - review.prob_1) > PROBABILITY_TOLERANCE
