"""Where the model looked in the review in view: what is drawn, its scale, the map of who looks at whom, the words."""

from __future__ import annotations

from dataclasses import replace

from textual import on
from textual.app import ComposeResult
from textual.containers import Container

from core.i18n import gettext as _
from core.inspector_protocol import Inspection
from core.text import visible
from tui.heat_scale import scale_of
from tui.heat_view import Heat, HeatChoice, heat_of
from tui.widgets.heatmap import HeatMap
from tui.widgets.spread_line import SpreadLine
from tui.widgets.token_strip import TokenStrip
from tui.widgets.word_bars import WordBars


class AttentionPane(Container):
    """The heat of one inspection, on the review's text in `strip` and as a map.

    choice: which weights are drawn. inspection, heat: what is drawn, None while there is none.
    """

    DEFAULT_CSS = """
    AttentionPane { height: 1fr; }
    """

    def __init__(self, strip: TokenStrip, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.strip = strip
        self.choice = HeatChoice()
        self.inspection: Inspection | None = None
        self.heat: Heat | None = None

    def compose(self) -> ComposeResult:
        """What is drawn and its scale, the map, the hottest words."""
        yield SpreadLine(id="legend")
        yield SpreadLine(id="scale")
        yield SpreadLine(id="map-title")
        yield HeatMap(id="map")
        yield WordBars(id="word-bars")

    @property
    def model_size(self) -> tuple[int, int] | None:
        """Layers and heads of the model in view, None while there is no attention."""
        inspection = self.inspection
        if inspection is None or inspection.n_layers is None or inspection.n_heads is None:
            return None
        return inspection.n_layers, inspection.n_heads

    def clear(self) -> None:
        """Another review is in view, of which there is no inspection yet; the map stays until there is one."""
        self.inspection, self.heat = None, None

    def show_message(self, message: str, hint: str = "") -> None:
        """No heat on the review in view, and in the map's place why; foreign text may be in both."""
        self.heat = None
        self.strip.show_heat(None, self.inspection.cut if self.inspection is not None else None)
        self.query_one(WordBars).show(None)
        self.query_one("#legend", SpreadLine).show(visible(message.split("\n", 1)[0]))
        self.query_one("#scale", SpreadLine).show()
        lines = [visible(line) for part in (message, hint) if part for line in part.split("\n")]
        self.query_one(HeatMap).show_message("\n".join(lines))

    def show_inspection(self, inspection: Inspection) -> None:
        """Lay heat over the review in view, which `inspection` is of."""
        self.inspection = inspection
        self._show_heat()

    def choose(self, choice: HeatChoice) -> None:
        """Draw other weights of the same inspection."""
        self.choice = choice
        if self.inspection is not None:
            self._show_heat()

    def redraw(self) -> None:
        """Draw all anew, for other colours."""
        if self.heat is not None:
            self._show_heat()

    def _show_heat(self) -> None:
        inspection = self.inspection
        assert inspection is not None
        self.heat = heat = heat_of(inspection, self.choice)
        if heat is None:
            self.show_message(inspection.note or _("This model gives no attention."))
            return
        self.strip.show_heat(heat, inspection.cut)
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
        """The focused map reads out its cursor, under a title in the accent colour."""
        self._show_focus()

    def on_descendant_blur(self) -> None:
        """The map left alone says what it is."""
        self._show_focus()

    def _show_focus(self) -> None:
        self.query_one("#map-title").set_class(self.query_one(HeatMap).has_focus, "-here")
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
