"""Two models on the same review, side by side: answer, heat, map; where there is little room, one under the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ClassVar

import numpy as np
from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.message import Message
from textual.widget import Widget

from core import formats
from core import inspector_questions as questions
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.inspector_protocol import Inspection
from core.predictions import THRESHOLD, answer_at
from core.rank_agreement import spearman
from core.text import visible
from tui.attention_subject import Subject
from tui.heat_keys import LAYER_AND_HEAD
from tui.heat_scale import colour
from tui.heat_view import HeatChoice
from tui.keymap import key
from tui.screens.base import BaseScreen
from tui.screens.model_picker import Model, ModelPicker
from tui.widgets.attention_pane import AttentionPane
from tui.widgets.heatmap import HeatMap
from tui.widgets.prob_bar import ProbBar, class_names
from tui.widgets.spread_line import SpreadLine
from tui.widgets.token_strip import TokenStrip

DEBOUNCE = 0.05


class ModelSide(Vertical):
    """One model: its name and answer, the text under its heat, its map.

    threshold: p(positive) from which its answers are positive.
    """

    def __init__(self, name: str, *, id: str) -> None:
        super().__init__(id=id)
        self.model_name = name
        self.threshold = THRESHOLD
        self.inspection: Inspection | None = None

    def compose(self) -> Iterable[Widget]:
        """Name, text, probabilities, heat."""
        strip = TokenStrip()
        yield SpreadLine(classes="side-title")
        yield strip
        yield ProbBar()
        yield AttentionPane(strip)

    @property
    def pane(self) -> AttentionPane:
        """Where this model looked."""
        return self.query_one(AttentionPane)

    @property
    def pred(self) -> int:
        """The class that its answer stands for."""
        assert self.inspection is not None
        return answer_at(self.inspection, self.threshold)

    def show_title(self, here: bool) -> None:
        """Its name and answer; `here`: keys change its heat."""
        title = self.query_one(SpreadLine)
        answer = ""
        if self.inspection is not None:
            pred, labels = self.pred, self.inspection.labels
            answer = class_names()[pred] if len(labels) == 2 else visible(labels[pred])
            if len(labels) == 2 and self.threshold != THRESHOLD:
                answer += " · " + _("threshold {value}").format(value=formats.threshold(self.threshold))
        title.show(Text(self.model_name, "bold"), answer)
        title.set_class(here, "-here")

    def show_text(self, text: str) -> None:
        """The text without heat, while the model is being asked."""
        self.inspection = None
        self.pane.clear()
        self.query_one(TokenStrip).show(text)
        self.query_one(ProbBar).show(None)
        self.pane.show_message(_("asking the model…"))

    def show_answer(self, inspection: Inspection, label: int) -> None:
        """What the model says about the text in view."""
        self.inspection = inspection
        if len(inspection.probabilities) == 2:
            bar = self.query_one(ProbBar)
            bar.threshold = self.threshold
            bar.show((inspection.probabilities[0], inspection.probabilities[1]), label, self.pred)
        self.pane.threshold = self.threshold
        self.pane.show_inspection(inspection)


class TwoModelsScreen(BaseScreen):
    """`subject` with its own model and with `other`; `remember` is called when another other model is chosen."""

    CSS_PATH = "two_models.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *LAYER_AND_HEAD,
        key(
            "m",
            "method",
            N_("Method"),
            N_("Method of the heat on the text: attention, rollout, attributions"),
            show=True,
        ),
        key("Z", "special", N_("Special tokens"), N_("Special tokens hidden, hidden and renormalised, shown")),
        key("w", "words", N_("Words or tokens"), N_("Heat by word or by token")),
        key("v", "pin", N_("Fixed scale"), N_("Hold the colour scale, or one for each map")),
        key("J", "join", N_("Together"), N_("Keys change both models' heat, or only one's"), show=True),
        key("tab", "side", N_("Other side"), N_("Go to the other model"), show=True),
        key("C", "choose_model", N_("Other model"), N_("Choose another model"), show=True),
        key("q", "back", N_("Back"), N_("Back to the review")),
    ]

    class Answered(Message):
        """The other model has answered: with an inspection, or an error."""

        def __init__(self, model: Model, answer: Inspection | NsmcTuiError) -> None:
            super().__init__()
            self.model, self.answer = model, answer

    def __init__(self, subject: Subject, choice: HeatChoice, other: Model, remember: Callable[[Model], None]) -> None:
        super().__init__()
        self.subject, self.other, self._choice, self._remember = subject, other, choice, remember
        self.joined = True
        self.active = 0

    def compose_body(self) -> Iterable[Widget]:
        """How alike they are; the two sides."""
        yield SpreadLine(id="alike")
        with Container(id="sides"):
            yield ModelSide(self.subject.title, id="own")
            yield ModelSide(self.other.name, id="other")

    def on_mount(self) -> None:
        """Show what the own model says, ask the other."""
        super().on_mount()
        self.set_top(self.subject.title, _("Review"), _("Two models"))
        self.watch(self.app, "theme", self._redraw, init=False)
        own, other = self.sides
        own.threshold, other.threshold = self.subject.threshold, self._threshold_of(self.other)
        for side in self.sides:
            side.pane.choice = self._choice
            side.show_text(self.subject.inspection.text)
        own.show_answer(self.subject.inspection, self.subject.label)
        self._show_titles()
        self._ask(self.other)

    @property
    def sides(self) -> list[ModelSide]:
        """The own model's side and the other's."""
        return list(self.query(ModelSide))

    def _redraw(self) -> None:
        for side in self.sides:
            self.call_after_refresh(side.pane.redraw)
        self._show_titles()

    # -- the other model ---------------------------------------------------------------------------------------

    def _threshold_of(self, model: Model) -> float:
        """From where the answers of `model` are positive: what its own run's reader set."""
        return THRESHOLD if model.run_dir is None else self.nsmc.decisions.of(model.run_dir).threshold

    @work(exclusive=True, group="other")
    async def _ask(self, model: Model) -> None:
        await asyncio.sleep(DEBOUNCE)
        try:
            answer: Inspection | NsmcTuiError = await self.nsmc.inspector.ask(
                questions.inspect(model.path, self.subject.inspection.text, model.max_length)
            )
        except NsmcTuiError as error:
            answer = error
        self.post_message(self.Answered(model, answer))

    @on(Answered)
    def _take(self, message: Answered) -> None:
        if message.model != self.other:
            return
        side = self.sides[1]
        if isinstance(message.answer, NsmcTuiError):
            side.pane.show_message(message.answer.message, message.answer.hint)
        else:
            side.show_answer(message.answer, self.subject.label)
            if message.answer.notes:
                self.nsmc.say("\n".join(message.answer.notes), severity="warning", timeout=15)
        self._show_titles()

    def action_choose_model(self) -> None:
        """Another other model."""
        self.app.push_screen(ModelPicker(self.subject.run_dir), self._change)

    def _change(self, model: Model | None) -> None:
        if model is None or model == self.other:
            return
        self.other = model
        self._remember(model)
        side = self.sides[1]
        side.model_name, side.threshold = model.name, self._threshold_of(model)
        side.show_text(self.subject.inspection.text)
        self._show_titles()
        self._ask(model)

    # -- what is said about both -------------------------------------------------------------------------------

    @on(AttentionPane.Drawn)
    def _drawn(self) -> None:
        self._show_titles()

    def _show_titles(self) -> None:
        for number, side in enumerate(self.sides):
            side.show_title(self.joined or number == self.active)
        text = self._answers()
        rank = self._rank_agreement()
        value = "" if rank is None else f"{rank:+.2f}".replace("-", "−")
        said = "" if rank is None else _("heat on the words: ρ {value}").format(value=value)
        self.query_one("#alike", SpreadLine).show(text, said, said and f"ρ {value}")

    def _answers(self) -> Text:
        """The probability of the own model's answer, from both; nothing while one of them has not answered."""
        quiet = colour(self.app, "secondary")
        own, other = self.sides
        if own.inspection is None or other.inspection is None:
            return Text()
        labels = own.inspection.labels
        if len(labels) != len(other.inspection.labels):
            # Nothing tells which class of one stands for which of the other.
            said = _("{n} and {m} classes: the answers cannot be compared")
            return Text(said.format(n=len(labels), m=len(other.inspection.labels)))
        target = own.pred
        before, after = own.inspection.probabilities[target], other.inspection.probabilities[target]
        name = class_names()[target] if len(labels) == 2 else visible(labels[target])
        text = Text.assemble((f"p({name}) ", quiet), f"{before:.3f}", (" | ", quiet), f"{after:.3f}")
        text.append(f"  Δ {after - before:+.3f}".replace("-", "−"), quiet)
        if own.pred != other.pred:
            text.append("  " + _("another answer"), "bold")
        return text

    def _rank_agreement(self) -> float | None:
        """Spearman's ρ between the two heats on the words of the text; None where there are not two of them.

        Words are the text's, so tokenizers may differ. Words that one of the models did not read are left out.
        """
        heats = [side.pane.heat for side in self.sides]
        if any(heat is None or heat.pending or not heat.choice.by_word for heat in heats):
            return None
        rows = [
            {unit.start: weight for unit, weight in zip(heat.units, heat.row.tolist(), strict=True) if not unit.special}
            for heat in heats
            if heat is not None
        ]
        common = sorted(rows[0].keys() & rows[1].keys())
        if len(common) < 2:
            return None
        value = spearman(*(np.array([row[start] for start in common]) for row in rows))
        return value if np.isfinite(value) else None

    # -- keys --------------------------------------------------------------------------------------------------

    def _change_heat(self, change: Callable[[AttentionPane], object]) -> None:
        for number, side in enumerate(self.sides):
            if self.joined or number == self.active:
                change(side.pane)
        self._show_titles()

    def action_layer(self, step: int) -> None:
        """Another layer."""
        self._change_heat(lambda pane: pane.next_layer(step))

    def action_head(self, step: int) -> None:
        """Another head."""
        self._change_heat(lambda pane: pane.next_head(step))

    def action_method(self) -> None:
        """The next method."""
        self._change_heat(lambda pane: pane.choose(pane.choice.next_method()))

    def action_special(self) -> None:
        """The next way with special tokens."""
        self._change_heat(lambda pane: pane.choose(pane.choice.next_special()))

    def action_words(self) -> None:
        """Words or tokens."""
        self._change_heat(lambda pane: pane.toggle_words())

    def action_pin(self) -> None:
        """Hold the scales, or let them go."""
        self._change_heat(lambda pane: pane.toggle_pin())

    def action_join(self) -> None:
        """Keys for both, or for one. Together again, the other side takes the choice of this one."""
        self.joined = not self.joined
        if self.joined:
            here, there = self.sides[self.active].pane, self.sides[1 - self.active].pane
            there.choose(replace(here.choice))
        self._show_titles()

    def action_side(self) -> None:
        """The other side."""
        if self.joined:
            self.joined = False
        self.active = 1 - self.active
        # Without room for maps there is nothing to put a cursor on.
        if (heat_map := self.sides[self.active].query_one(HeatMap)).focusable:
            heat_map.focus()
        self._show_titles()
