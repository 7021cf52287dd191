"""Does attention explain it? All methods on the words of one review, how alike they are, and the deletion check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ClassVar

import numpy as np
from rich.style import Style
from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from core import inspector_questions as questions
from core.attribution_methods import METHODS
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.inspector_answers import Agreement, Attribution, Deletion
from core.text import visible
from tui.attention_subject import Subject
from tui.heat_scale import colour, scale_of
from tui.heat_view import HeatChoice
from tui.keymap import key
from tui.screens.base import BaseScreen
from tui.widgets.prob_bar import class_names
from tui.widgets.shaded_table import Row, ShadedTable
from tui.widgets.spread_line import SpreadLine

SHORT = {
    "attention": N_("attn"),
    "rollout": N_("rollout"),
    "gradient_x_input": N_("grad×in"),
    "integrated_gradients": N_("IG"),
    "relevance": N_("relev"),
    "occlusion": N_("occl"),
}
"""The methods in seven columns."""

KS = (1, 2, 3, 5, 10)
"""How many words are taken away in the lines of the deletion check."""

FACES = ("words", "agreement", "deletion")


class MethodsScreen(BaseScreen):
    """The methods side by side for `subject` and class `target`; `chosen` is called with a choice that is opened."""

    CSS_PATH = "methods.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("enter", "open", N_("Open"), N_("Show the chosen method's heat in Review"), show=True),
        key("o", "face", N_("Show"), N_("Words, rank agreement, deletion check: the next"), show=True),
        key("b", "target", N_("Class"), N_("For the other class"), show=True),
        key("q", "back", N_("Back"), N_("Back to the review")),
    ]

    class Progressed(Message):
        """The inspector is so far with what it computes."""

        def __init__(self, done: int, total: int) -> None:
            super().__init__()
            self.done, self.total = done, total

    class Answered(Message):
        """The inspector has answered for class `target`."""

        def __init__(self, target: int, answer: Agreement | Deletion | NsmcTuiError) -> None:
            super().__init__()
            self.target, self.answer = target, answer

    def __init__(self, subject: Subject, choice: HeatChoice, target: int, chosen: Callable[[HeatChoice], None]) -> None:
        super().__init__()
        self.subject, self.choice, self.target, self._chosen = subject, choice, target, chosen
        if subject.maps is not None:
            self.choice = choice.fitted(*subject.maps.attention.shape[:2])
        self.face = FACES[0]
        self.agreement: Agreement | None = None
        self.deletion: Deletion | None = None
        self._problem: NsmcTuiError | None = None
        self._progress = ""

    def compose_body(self) -> Iterable[Widget]:
        """The probability and what is computed; the three tables; what the chosen method can and cannot tell."""
        yield SpreadLine(id="methods-title")
        with Horizontal(id="methods-panes"):
            yield ShadedTable(id="words")
            with Vertical(id="checks"):
                yield SpreadLine(id="agreement-title")
                yield ShadedTable(id="agreement")
                yield SpreadLine(id="deletion-title")
                yield ShadedTable(id="deletion")
        yield Static(id="method-help", markup=False)

    def on_mount(self) -> None:
        """Begin to compute."""
        super().on_mount()
        self.set_top(self.subject.title, _("Review"), _("Does attention explain it?"))
        self.watch(self.app, "theme", self._redraw, init=False)
        table = self.query_one("#words", ShadedTable)
        table.column = list(METHODS).index(self.choice.method)
        # Two tables follow the chosen column of the first, which has the keys.
        for name in ("#agreement", "#deletion"):
            self.query_one(name).can_focus = False
        table.focus()
        self._show_face()
        self._show()
        self._compute()

    def _redraw(self) -> None:
        self.call_after_refresh(self._show)

    # -- asking ------------------------------------------------------------------------------------------------

    @work(exclusive=True, group="compute")
    async def _compute(self) -> None:
        """Agreement, then the deletion check; leaving the screen cancels what is under way."""
        inspection, target, inspector = self.subject.inspection, self.target, self.nsmc.inspector
        layer = None if self.subject.maps is None else self.choice.layer
        arguments = (inspection.model, inspection.text, inspection.max_length)
        try:
            agreement = await inspector.ask(
                questions.agreement(*arguments, target=target, layer=layer), self._report_progress
            )
            self.post_message(self.Answered(target, agreement))
            deletion = await inspector.ask(
                questions.deletion(*arguments, target=target, layer=layer), self._report_progress
            )
            self.post_message(self.Answered(target, deletion))
        except NsmcTuiError as error:
            self.post_message(self.Answered(target, error))

    def _report_progress(self, done: int, total: int) -> None:
        self.post_message(self.Progressed(done, total))

    @on(Progressed)
    def _show_progress(self, message: Progressed) -> None:
        self._progress = f"{message.done}/{message.total}"
        self._show_title()
        if self.agreement is None:
            self._show_words()
        elif self.deletion is None:
            self._show_deletion()

    @on(Answered)
    def _take(self, message: Answered) -> None:
        if message.target != self.target:
            return
        self._progress = ""
        if isinstance(message.answer, Agreement):
            self.agreement = message.answer
        elif isinstance(message.answer, Deletion):
            self.deletion = message.answer
        else:
            self._problem = message.answer
        self._show()

    # -- drawing -----------------------------------------------------------------------------------------------

    @property
    def _class_name(self) -> str:
        labels = self.subject.inspection.labels
        return class_names()[self.target] if len(labels) == 2 else visible(labels[self.target])

    def _waiting(self) -> str:
        if self._problem is not None:
            return visible(self._problem.message)
        return _("computing {done}").format(done=self._progress or "…")

    def _show(self) -> None:
        self._show_title()
        self._show_words()
        self._show_agreement()
        self._show_deletion()
        self._show_help()

    def _show_title(self) -> None:
        probability = self.subject.inspection.probabilities[self.target]
        layer = _("mean") if self.choice.layer is None else self.choice.layer
        said = Text.assemble((_("for {name}").format(name=self._class_name), "bold"), f"  p {probability:.3f}")
        if self.subject.maps is not None:
            said.append(" · " + _("attention of layer {n}, mean over heads").format(n=layer))
        done = self.deletion is not None
        self.query_one("#methods-title", SpreadLine).show(said, "" if done else self._waiting())

    def _show_words(self) -> None:
        table, agreement = self.query_one("#words", ShadedTable), self.agreement
        if agreement is None:
            table.show_message(self._waiting())
            return
        by_name = {attribution.method: attribution for attribution in agreement.attributions}
        columns = [self._column(by_name[name]) for name in METHODS]
        words = agreement.inspection.words
        rows = [
            Row(visible(word.text), tuple(column[number] for column in columns)) for number, word in enumerate(words)
        ]
        table.show([_(SHORT[name]) for name in METHODS], rows)

    def _column(self, attribution: Attribution) -> list[tuple[str, Style]]:
        """A cell for each word; the column has a scale of its own, for the methods' units differ."""
        count = len(attribution.inspection.words)
        if attribution.words is None:
            return [("–", Style(color=colour(self.app, "secondary")))] * count
        scale = scale_of(self.app, signed=attribution.signed, flipped=attribution.signed and self.target == 0)
        values = attribution.words
        top = float(np.nanmax(np.abs(values))) if count else 0.0
        steps = scale.steps(values, top).tolist()
        cells = []
        for value, step in zip(values.tolist(), steps, strict=True):
            text = signed_text(value) if attribution.signed else f"{value:.3f}"
            cells.append((scale.shade(step) + text if scale.shaded else text, scale.styles[step]))
        return cells

    def _show_agreement(self) -> None:
        table, agreement = self.query_one("#agreement", ShadedTable), self.agreement
        self.query_one("#agreement-title", SpreadLine).show(
            Text(_("rank agreement of the words, Spearman's ρ"), "bold")
        )
        if agreement is None:
            table.show_message("")
            return
        scale = scale_of(self.app)
        rows = []
        for name, values in zip(agreement.methods, agreement.spearman, strict=True):
            cells = []
            for other, value in zip(agreement.methods, values.tolist(), strict=True):
                step = int(scale.steps([max(0.0, value)], 1.0)[0]) if other != name and np.isfinite(value) else 0
                text = "·" if other == name else signed_text(value, 2)
                cells.append((scale.shade(step) + text if scale.shaded and step else text, scale.styles[step]))
            rows.append(Row(_(SHORT[name]), tuple(cells)))
        table.show([_(SHORT[name]) for name in agreement.methods], rows)

    def _show_deletion(self) -> None:
        table, deletion = self.query_one("#deletion", ShadedTable), self.deletion
        self.query_one("#deletion-title", SpreadLine).show(
            Text(_("deletion: fall of p({name}) without the k highest words").format(name=self._class_name), "bold")
        )
        if deletion is None:
            table.show_message(self._waiting() if self.agreement is not None else "")
            return
        ks = [k for k in KS if k <= deletion.curves.shape[1]]
        scale = scale_of(self.app)
        best = max(float(np.nanmax(deletion.probability - deletion.curves, initial=0.0)), 1e-9)
        rows = []
        for name, curve, mean in zip(deletion.methods, deletion.curves, deletion.areas.tolist(), strict=True):
            falls = [deletion.probability - float(curve[k - 1]) for k in ks]
            steps = scale.steps([max(0.0, fall) for fall in falls], best).tolist()
            cells = [
                (
                    scale.shade(step) + signed_text(-fall) if scale.shaded and step else signed_text(-fall),
                    scale.styles[step],
                )
                for fall, step in zip(falls, steps, strict=True)
            ]
            rows.append(Row(_(SHORT[name]), (*cells, (signed_text(-mean), Style(bold=True)))))
        plain = Style(color=colour(self.app, "secondary"))
        falls = [deletion.probability - float(deletion.random[k - 1]) for k in ks]
        cells = [(signed_text(-fall), plain) for fall in falls]
        random = _("random ({n})").format(n=deletion.draws)
        area = "" if deletion.random_area is None else signed_text(-deletion.random_area)
        rows.append(Row(random, (*cells, (area, plain)), quiet=True))
        spread = [(f"±{deletion.random_sd[k - 1]:.3f}", plain) for k in ks]
        rows.append(Row("", (*spread, ("", plain)), quiet=True))
        table.show([*(f"k={k}" for k in ks), _("mean")], rows)

    @on(ShadedTable.Moved)
    def _show_help(self) -> None:
        """What the chosen method can and cannot tell, and its source."""
        method = METHODS[self._method]
        quiet = colour(self.app, "secondary")
        text = Text.assemble((_(method.title), "bold"), ": ", _(method.help))
        attribution = None
        if self.agreement is not None:
            attribution = next(a for a in self.agreement.attributions if a.method == method.name)
        if attribution is not None:
            if attribution.gap is not None:
                gap = signed_text(attribution.gap)
                text.append("  " + _("completeness gap {gap} with {n} steps").format(gap=gap, n=attribution.steps))
            if attribution.note:
                text.append("  " + visible(attribution.note), colour(self.app, "warning"))
        text.append(f"  {method.source}", quiet)
        self.query_one("#method-help", Static).update(text)

    @property
    def _method(self) -> str:
        return list(METHODS)[self.query_one("#words", ShadedTable).column]

    # -- keys --------------------------------------------------------------------------------------------------

    def _show_face(self) -> None:
        for face in FACES:
            self.set_class(face == self.face, f"-{face}")

    def action_face(self) -> None:
        """One table at a time where there is no room for all."""
        self.face = FACES[(FACES.index(self.face) + 1) % len(FACES)]
        self._show_face()

    def action_target(self) -> None:
        """For the next class."""
        self.target = (self.target + 1) % len(self.subject.inspection.labels)
        self.agreement, self.deletion, self._problem, self._progress = None, None, None, ""
        self._show()
        self._compute()

    def action_open(self) -> None:
        """The chosen method's heat in Review."""
        self._chosen(replace(self.choice, method=self._method))
        self.action_back()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """All three are on screen where there is room."""
        if action == "face":
            return self.has_class("-narrow")
        return super().check_action(action, parameters)


def signed_text(value: float, decimals: int = 3) -> str:
    """`value` with its sign, in at most seven columns; a dash for none."""
    if not np.isfinite(value):
        return "–"
    text = f"{value:+.{decimals}f}"
    if len(text) > 6:
        text = f"{value:+.1f}"
    return text.replace("-", "−")
