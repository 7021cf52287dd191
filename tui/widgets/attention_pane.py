"""Where the model looked in the review in view: what is drawn, its scale, the map of who looks at whom, the words.

The heat on the text is a row of the map (attention, rollout), or an attribution, for which the inspector is asked; the
map beside it goes on being that of the chosen layer and head, so that the two can be compared.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Container
from textual.message import Message

from core import inspector_questions as questions
from core.errors import NsmcTuiError
from core.i18n import gettext as _
from core.inspector_answers import Attribution
from core.inspector_protocol import Inspection
from core.predictions import THRESHOLD, answer_at
from core.text import visible
from tui.attention_maps import AttentionMaps
from tui.heat_scale import scale_for, scale_of
from tui.heat_view import BY_WORD, Heat, HeatChoice, heat_of, method_name, unit_tokens
from tui.painting import paint
from tui.widgets.heatmap import HeatMap
from tui.widgets.prob_bar import class_names
from tui.widgets.spread_line import SpreadLine
from tui.widgets.token_strip import TokenStrip
from tui.widgets.word_bars import WordBars

if TYPE_CHECKING:
    from tui.app import NsmcTuiApp

DEBOUNCE = 0.12
"""Seconds before an attribution is asked for: while one goes through methods or reviews nobody wants it."""


class AttentionPane(Container):
    """The heat of one inspection, on the review's text in `strip` and as a map.

    choice: which weights are drawn. inspection, heat: what is drawn, None while there is none. asking: tokens whose
    rows are summed, none for the one that the classifier reads. target: the class that attributions are for, None for
    the predicted one, at `threshold`. attribution: what is known of it, None while it is not.
    """

    DEFAULT_CSS = """
    AttentionPane { height: 1fr; }
    """

    class Drawn(Message):
        """The heat is another one."""

    class Attributed(Message):
        """The inspector has answered for `inspection` and `method`: with an attribution, or an error."""

        def __init__(
            self, inspection: Inspection, method: str, target: int, answer: Attribution | NsmcTuiError
        ) -> None:
            super().__init__()
            self.inspection, self.method, self.target, self.answer = inspection, method, target, answer

    def __init__(self, strip: TokenStrip, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.strip = strip
        self.choice = HeatChoice()
        self.inspection: Inspection | None = None
        self.heat: Heat | None = None
        self.maps: AttentionMaps | None = None
        self.asking: frozenset[int] = frozenset()
        self.target: int | None = None
        self.threshold = THRESHOLD
        self.attribution: Attribution | None = None
        self._problem = ""
        self._progress = ""
        self._pins: dict[str, float] | None = None

    def compose(self) -> ComposeResult:
        """What is drawn and its scale, the map, the hottest words."""
        yield SpreadLine(id="legend")
        yield SpreadLine(id="scale")
        yield SpreadLine(id="map-title")
        yield HeatMap(id="map")
        yield WordBars(id="word-bars")

    def on_mount(self) -> None:
        """The map's title reads out its cursor, in the same picture."""
        self.query_one(HeatMap).at_once = self._show_map_title

    @property
    def model_size(self) -> tuple[int, int] | None:
        """Layers and heads of the model in view, None while there is no attention."""
        inspection = self.inspection
        if inspection is None or inspection.n_layers is None or inspection.n_heads is None:
            return None
        return inspection.n_layers, inspection.n_heads

    def clear(self) -> None:
        """Another review is in view, of which there is no inspection yet; the map stays until there is one."""
        self.inspection, self.heat, self.maps = None, None, None
        self.asking, self.target = frozenset(), None
        self._forget_attribution()

    def show_message(self, message: str, hint: str = "") -> None:
        """No heat on the review in view, and in the map's place why; foreign text may be in both."""
        self.heat = None
        self.strip.show_heat(None, self.inspection.cut if self.inspection is not None else None)
        self.query_one(WordBars).show(None)
        self.query_one("#legend", SpreadLine).show(visible(message.split("\n", 1)[0]))
        self.query_one("#scale", SpreadLine).show()
        lines = [visible(line) for part in (message, hint) if part for line in part.split("\n")]
        self.query_one(HeatMap).show_message("\n".join(lines))
        self._show_map_title()

    def show_inspection(self, inspection: Inspection) -> None:
        """Lay heat over the review in view, which `inspection` is of."""
        if inspection is not self.inspection:
            self.inspection = inspection
            self.maps = None if inspection.attention is None else AttentionMaps(inspection)
            self._forget_attribution()
            if self.maps is not None and self.maps.large:
                self._warm(self.maps)
        self._show_heat()

    def choose(self, choice: HeatChoice) -> None:
        """Draw other weights of the same inspection."""
        if choice.method != self.choice.method:
            self._forget_attribution()
        self.choice = choice
        if self.inspection is not None:
            self._show_heat()
            paint(self.screen)

    def redraw(self) -> None:
        """Draw all anew, for other colours."""
        if self.heat is not None:
            self._show_heat()

    @work(exclusive=True, group="warm")
    async def _warm(self, maps: AttentionMaps) -> None:
        await asyncio.to_thread(maps.warm)

    # -- attributions ------------------------------------------------------------------------------------------

    @property
    def _target(self) -> int:
        """The class that attributions are for."""
        assert self.inspection is not None
        return answer_at(self.inspection, self.threshold) if self.target is None else self.target

    def _forget_attribution(self) -> None:
        self.attribution, self._problem, self._progress = None, "", ""
        self.workers.cancel_group(self, "attribution")

    @work(exclusive=True, group="attribution")
    async def _attribute(self, inspection: Inspection, method: str, target: int) -> None:
        await asyncio.sleep(DEBOUNCE)
        inspector = cast("NsmcTuiApp", self.app).inspector
        try:
            answer: Attribution | NsmcTuiError = await inspector.ask(
                questions.explain(
                    inspection.model,
                    inspection.text,
                    inspection.max_length,
                    method=method,
                    target=target,
                    masked=inspection.masked,
                ),
                self._show_progress,
            )
        except NsmcTuiError as error:
            answer = error
        self.post_message(self.Attributed(inspection, method, target, answer))

    def _show_progress(self, done: int, total: int) -> None:
        # Called on the event loop, from within the worker that waits.
        self._progress = f" {done}/{total}"
        self._show_legend()

    @on(Attributed)
    def _show_attribution(self, message: Attributed) -> None:
        wanted = (self.inspection, self.choice.method, self._target if self.inspection is not None else None)
        if wanted != (message.inspection, message.method, message.target):
            return
        if isinstance(message.answer, NsmcTuiError):
            self._problem = message.answer.message
        elif message.answer.tokens is None:
            self._problem = message.answer.note or _("This model has no weights of this method.")
        else:
            self.attribution = message.answer
        self._show_heat()

    # -- drawing -----------------------------------------------------------------------------------------------

    def _show_heat(self) -> None:
        inspection = self.inspection
        assert inspection is not None
        choice = self.choice
        given = None
        if choice.attributed:
            if self.attribution is not None:
                given = self.attribution.words if choice.method in BY_WORD else self.attribution.tokens
            elif not self._problem and not self._progress:
                self._progress = "…"
                self._attribute(inspection, choice.method, self._target)
        self.heat = heat = heat_of(inspection, choice, self.maps, self.asking, given, self._target)
        if heat is None:
            self.show_message(inspection.note or _("This model gives no attention."))
            return
        self.strip.show_heat(heat, inspection.cut, self._pin("text " + choice.method, heat.top))
        self.query_one(WordBars).show(heat)
        self._show_legend()
        self.post_message(self.Drawn())
        heat_map = self.query_one(HeatMap)
        if heat.matrix.size:
            heat_map.pinned = self._pin("map", float(heat.matrix.max()))
            heat_map.show(heat.matrix, tuple(unit.label for unit in heat.units), heat.asking)
        else:
            heat_map.show_message(visible(inspection.note))
        # Not left to the map's message, which often comes after this picture.
        self._show_map_title()

    def _pin(self, name: str, top: float) -> float | None:
        """The end of the scale `name` where scales are pinned: where it was when it was first drawn since then."""
        return None if self._pins is None else self._pins.setdefault(name, top)

    def _show_legend(self) -> None:
        heat, inspection = self.heat, self.inspection
        if heat is None or inspection is None:
            return
        legend, scale_line = self.query_one("#legend", SpreadLine), self.query_one("#scale", SpreadLine)
        if heat.pending:
            name = method_name(heat.choice.method)
            if self._problem:
                legend.show(f"{name}: {visible(self._problem)}")
            else:
                legend.show(_("{method}: computing{progress}").format(method=name, progress=self._progress))
            scale_line.show()
            return
        legend.show(" · ".join([*heat.choice.describe(), *self._facts(heat)]))
        specials = {
            "hidden": _("special {share} hidden"),
            "renormalised": _("special {share} hidden, Σ 1"),
            "shown": _("special {share} shown"),
        }[heat.choice.special]
        top = self.strip.top
        ends = scale_for(self.app, heat).legend(heat.top if top is None else top, top is not None)
        scale_line.show(specials.format(share=f"{heat.special:.2f}"), ends)

    def _facts(self, heat: Heat) -> list[str]:
        """What the heat is from, or for."""
        attribution = self.attribution
        if attribution is None or not heat.choice.attributed:
            return [heat.query]
        facts = [_("for {name}").format(name=self._class_name(attribution.target))]
        if attribution.gap is not None:
            facts.append(_("gap {value}").format(value=f"{attribution.gap:+.3f}".replace("-", "−")))
        return facts

    def _class_name(self, target: int) -> str:
        assert self.inspection is not None
        labels = self.inspection.labels
        return class_names()[target] if len(labels) == 2 else visible(labels[target])

    @on(HeatMap.Moved)
    def _show_map_title(self) -> None:
        heat_map, title = self.query_one(HeatMap), self.query_one("#map-title", SpreadLine)
        if heat_map.value is None or self.heat is None:
            title.show()
            return
        legend = scale_of(self.app).legend(heat_map.top, heat_map.pinned is not None)
        if heat_map.has_focus:
            text = heat_map.readout_in(title.size.width - legend.cell_len - 2)
        elif self.choice.attributed:
            text = " · ".join(self.heat.choice.describe_map())
        else:
            text = _("words: rows ask, columns answer") if self.choice.words else _("tokens: rows ask, columns answer")
        title.show(Text(text), legend)

    @on(HeatMap.Marked)
    def _mark(self, message: HeatMap.Marked) -> None:
        if self.inspection is None or self.heat is None:
            return
        tokens = frozenset(unit_tokens(self.inspection, self.heat.choice, message.row))
        self.asking = self.asking - tokens if tokens <= self.asking else self.asking | tokens
        self._show_heat()
        paint(self.screen)

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
        if self.choice.rolled:
            return False
        if self.model_size is not None:
            self.choose(self.choice.next_head(step, *self.model_size))
        return True

    def toggle_words(self) -> None:
        """By word, by token."""
        self.choose(replace(self.choice, words=not self.choice.words))

    def toggle_pin(self) -> bool:
        """Hold the scales where they are, or let each map have its own again; whether they are held."""
        self._pins = {} if self._pins is None else None
        self.redraw()
        return self._pins is not None

    def next_target(self) -> bool:
        """Attributions for the next class; False where the method is for no class, or there is nothing in view."""
        if self.inspection is None or not self.choice.attributed:
            return False
        target = (self._target + 1) % len(self.inspection.labels)
        self._forget_attribution()
        self.target = target
        self._show_heat()
        return True
