"""All heads of the model on one review: small maps, numbers, and what happens to the answer without some of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ClassVar

import numpy as np
from rich.text import Text
from textual import events, on, work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from core.errors import NsmcTuiError
from core.head_stats import STATS
from core.i18n import N_
from core.i18n import gettext as _
from core.inspector_answers import HeadStats, KnockOut
from core.inspector_protocol import Inspection
from core.text import visible
from tui.attention_subject import Subject
from tui.colour_depth import depth_of
from tui.heat_scale import colour, scale_of
from tui.heat_view import HeatChoice, heat_of
from tui.keymap import key
from tui.screens.head_grid_asking import AskingHeads
from tui.widgets.head_grid import HeadGrid, number_text, side_for
from tui.widgets.heatmap import HeatMap
from tui.widgets.prob_bar import class_names
from tui.widgets.spread_line import SpreadLine

FACES = ("maps", *STATS, "knock_out")
"""What the grid can show of each head."""

RESTING = 0.08
"""Seconds on one head after which its map is drawn beside the grid."""


class HeadGridScreen(AskingHeads):
    """The heads of `subject`'s model; `chosen` is called with the choice of the head that is opened.

    Small maps are of what the map in Review shows: special tokens as in `choice`, tokens in any case.
    """

    CSS_PATH = "head_grid.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("o", "face(1)", N_("Show"), N_("Small maps, or one number a head: the next"), show=True),
        key("O", "face(-1)", N_("Show back"), N_("Small maps, or one number a head: the one before")),
        key(
            "x",
            "switch_head",
            N_("Knock out"),
            N_("Switch this head off or on: how far does the answer move?"),
            show=True,
        ),
        key("X", "switch_layer", N_("Layer off"), N_("Switch all heads of this layer off or on")),
        key("U", "switch_on", N_("All on"), N_("Switch all heads on again")),
        key("Z", "special", N_("Special tokens"), N_("Small maps with special tokens, or without them"), show=True),
        key("v", "pin", N_("One scale"), N_("One colour scale for all small maps, or one for each")),
        key("q", "back", N_("Back"), N_("Back to the review")),
    ]

    class Pooled(Message):
        """Small maps have been made for the room that there is."""

        def __init__(self, special: bool, maps: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
            super().__init__()
            self.special, self.maps = special, maps

    def __init__(self, subject: Subject, choice: HeatChoice, chosen: Callable[[HeatChoice], None]) -> None:
        super().__init__(subject)
        assert subject.maps is not None
        self.maps, self._chosen = subject.maps, chosen
        self.n_layers, self.n_heads = subject.maps.attention.shape[:2]
        self.choice = choice.fitted(self.n_layers, self.n_heads)
        self.face = FACES[0]
        self.off: frozenset[tuple[int, int | None]] = frozenset()
        self.stats: HeadStats | None = None
        self.knocked: KnockOut | None = None
        self.without: Inspection | None = None
        self._special = choice.special == "shown"
        self._one_scale = False
        self._waiting = ""
        self._resting: Timer | None = None

    def compose_body(self) -> Iterable[Widget]:
        """What is shown and its scale; the grid, and where there is room the chosen head; what is known of it."""
        yield SpreadLine(id="grid-title")
        with Horizontal(id="grid-panes"):
            yield HeadGrid(id="grid")
            with Vertical(id="preview"):
                yield SpreadLine(id="preview-title")
                yield HeatMap(id="preview-map")
        yield Static(id="head-numbers", markup=False)
        yield SpreadLine(id="head-answer")

    def on_mount(self) -> None:
        """Show the maps, with the cursor on the head in view."""
        super().on_mount()
        self.set_top(self.subject.title, _("Review"), _("Heads"))
        # The preview is for the eye only: keys belong to the grid.
        self.query_one(HeatMap).can_focus = False
        self.watch(self.app, "theme", self._redraw, init=False)
        grid = self.query_one(HeadGrid)
        grid.at_once = self._show_readout
        grid.focus()
        self.count()

    def on_resize(self, event: events.Resize) -> None:
        """Small maps fit into the room there is."""
        self.call_after_refresh(self._show_face)

    def _redraw(self) -> None:
        self.call_after_refresh(self._show_face)

    # -- what each head shows ----------------------------------------------------------------------------------

    def _show_face(self) -> None:
        """Draw what `face` says, or why that is not there yet."""
        grid = self.query_one(HeadGrid)
        if self.face == "maps":
            shaded = depth_of(self.app) in ("16", "none")
            self._pool(side_for(*grid.room, self.n_layers, self.n_heads, shaded), self._special)
            return
        numbers = self._numbers(self.face)
        if numbers is None:
            numbers = np.full((self.n_layers, self.n_heads), np.nan)
        self._draw(lambda: grid.show_numbers(numbers, signed=self._signed))

    def _draw(self, show: Callable[[], None]) -> None:
        grid = self.query_one(HeadGrid)
        first = grid.n_layers == 0
        show()
        if first:
            layer, head = self.choice.layer, self.choice.head
            grid.choose(self.n_layers - 1 if layer is None else layer, 0 if head is None else head)
        self._show_title()
        self._show_readout()

    @property
    def _signed(self) -> bool:
        return self.face == "knock_out" or (self.face in STATS and STATS[self.face].low < 0)

    def _numbers(self, face: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None:
        """Layers × heads of `face`, None while there are none."""
        if face == "knock_out":
            answer = self.knocked
            if answer is None or answer.heads is None:
                return None
            changes: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = (
                answer.heads[..., self.target] - answer.inspection.probabilities[self.target]
            )
            return changes
        return None if self.stats is None else self.stats.values.get(face)

    @work(exclusive=True, group="pool")
    async def _pool(self, side: int, special: bool) -> None:
        # 24 × 16 maps of 512 tokens are 400 MB to read.
        maps = await asyncio.to_thread(self.maps.small, side, special)
        # Short texts fill the room too: each token several pixels wide.
        factor = max(1, side // maps.shape[2])
        self.post_message(self.Pooled(special, maps.repeat(factor, axis=2).repeat(factor, axis=3)))

    @on(Pooled)
    def _show_pooled(self, message: Pooled) -> None:
        if self.face == "maps" and message.special == self._special:
            grid = self.query_one(HeadGrid)
            top = float(message.maps.max()) if self._one_scale else None
            self._draw(lambda: grid.show_maps(message.maps, top))

    # -- what the inspector answers -----------------------------------------------------------------------------

    def show_progress(self, done: int, total: int) -> None:
        self._waiting = f"{done}/{total}"
        self._show_title()

    @on(AskingHeads.Counted)
    def _take_numbers(self, message: AskingHeads.Counted) -> None:
        answer = message.answer
        self._waiting = ""
        if isinstance(answer, NsmcTuiError):
            self.nsmc.report(answer)
        elif isinstance(answer, HeadStats):
            self.stats = answer
        else:
            self.knocked = answer
        self._show_face()

    @on(AskingHeads.Switched)
    def _take_answer(self, message: AskingHeads.Switched) -> None:
        if message.off != self.off:
            return
        if isinstance(message.answer, NsmcTuiError):
            self.nsmc.report(message.answer)
            self._switch(frozenset())
            return
        self.without = message.answer
        self._show_readout()

    # -- words around the grid ---------------------------------------------------------------------------------

    @on(HeadGrid.Moved)
    def _moved(self) -> None:
        # While one goes through heads their large maps are not what one looks at.
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(RESTING, self._show_preview)

    def _show_title(self) -> None:
        grid = self.query_one(HeadGrid)
        end = grid.end
        scale = scale_of(self.app, signed=grid.signed)
        if self.face == "maps":
            said = _("maps: rows ask, columns answer")
            said += " · " + (_("one scale") if self._one_scale else _("each on its own scale"))
            legend = scale.legend(end) if end is not None else scale.legend(1.0)
        else:
            said = self._face_help()
            legend = scale.legend(end or 0.0)
        self.query_one("#grid-title", SpreadLine).show(said, legend)

    def _face_help(self) -> str:
        """What the numbers are, or why there are none."""
        if self.face == "knock_out":
            said = _("change of p({name}) without the head").format(name=self._class_name())
            if self.knocked is not None and self.knocked.heads is None:
                return f"{said}: {visible(self.knocked.note)}"
            return said if self.knocked is not None else f"{said}: " + _("computing {done}").format(done=self._waiting)
        stat = STATS[self.face]
        said = f"{_(stat.title)}: {_(stat.help)}"
        if self.stats is not None:
            return said if self.face in self.stats.values else f"{said} – {visible(self.stats.note)}"
        return f"{said} – " + _("computing {done}").format(done=self._waiting)

    def _class_name(self) -> str:
        labels = self.subject.inspection.labels
        return class_names()[self.target] if len(labels) == 2 else visible(labels[self.target])

    def _show_readout(self) -> None:
        layer, head = self.query_one(HeadGrid).cursor
        quiet = colour(self.app, "secondary")
        place = _("layer {layer} · head {head}").format(layer=layer, head=head)
        line = Text.assemble((place, "bold"))
        for face in (*STATS, "knock_out"):
            numbers = self._numbers(face)
            if numbers is not None:
                name = _("Δp without it") if face == "knock_out" else _(STATS[face].title)
                signed = face == "knock_out" or STATS[face].low < 0
                line.append(f" · {name} ", quiet)
                line.append(number_text(float(numbers[layer, head]), signed))
        # Its height is fixed: the screen need not be laid out anew for each head.
        self.query_one("#head-numbers", Static).update(line, layout=False)
        self.query_one("#head-answer", SpreadLine).show(self._answer())

    def _answer(self) -> Text:
        """The probability as it is, and as it is without the heads that are switched off."""
        before = self.subject.inspection.probabilities[self.target]
        text = Text.assemble((f"p({self._class_name()}) ", colour(self.app, "secondary")), f"{before:.3f}")
        if not self.off:
            return text
        names = ", ".join(
            f"L{layer}" + ("" if head is None else f"·H{head}")
            for layer, head in sorted(self.off, key=lambda pair: (pair[0], -1 if pair[1] is None else pair[1]))
        )
        text.append(" → ", colour(self.app, "secondary"))
        if self.without is None:
            text.append("…")
        else:
            after = self.without.probabilities[self.target]
            text.append(f"{after:.3f}", "bold")
            text.append(f" ({after - before:+.3f})".replace("-", "−"))
        text.append(" " + _("without {heads}").format(heads=names), colour(self.app, "secondary"))
        return text

    def _show_preview(self) -> None:
        preview = self.query_one("#preview")
        if not preview.display:
            return
        heat = heat_of(self.subject.inspection, self._of_cursor(), self.maps)
        assert heat is not None
        self.query_one("#preview-title", SpreadLine).show(" · ".join(heat.choice.describe()))
        self.query_one(HeatMap).show(heat.matrix, tuple(unit.label for unit in heat.units))

    def _of_cursor(self) -> HeatChoice:
        layer, head = self.query_one(HeadGrid).cursor
        special = "shown" if self._special else ("hidden" if self.choice.special == "shown" else self.choice.special)
        return replace(self.choice, method="attention", layer=layer, head=head, special=special)

    # -- keys --------------------------------------------------------------------------------------------------

    def action_face(self, step: int) -> None:
        """The next thing to show of each head."""
        self.face = FACES[(FACES.index(self.face) + step) % len(FACES)]
        if self.face == "knock_out" and self.knocked is None and not self._waiting:
            self._waiting = "…"
            self.sweep()
        self._show_face()

    def action_special(self) -> None:
        """Small maps with special tokens or without."""
        self._special = not self._special
        self._show_face()
        self._show_preview()

    def action_pin(self) -> None:
        """One scale for all, or one for each."""
        self._one_scale = not self._one_scale
        self._show_face()

    def action_switch_head(self) -> None:
        """Switch the chosen head off or on."""
        self._switch(self.off ^ {self.query_one(HeadGrid).cursor})

    def action_switch_layer(self) -> None:
        """Switch the chosen layer's heads off or on."""
        self._switch(self.off ^ {(self.query_one(HeadGrid).cursor[0], None)})

    def action_switch_on(self) -> None:
        """Switch all heads on."""
        self._switch(frozenset())

    def _switch(self, off: frozenset[tuple[int, int | None]]) -> None:
        self.off, self.without = off, None
        self.query_one(HeadGrid).switch(off)
        if off:
            self.ask_without(off)
        else:
            self.workers.cancel_group(self, "switch")
        self._show_readout()

    @on(HeadGrid.Opened)
    def _open(self) -> None:
        self._chosen(self._of_cursor())
        self.action_back()
