"""How well a run did on a split: scores with intervals, the confusion matrix, and the way to the reviews."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.table import Table
from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from core import formats
from core.errors import NsmcTuiError
from core.i18n import N_, ngettext
from core.i18n import gettext as _
from core.runs import load_run
from core.text import visible
from tui.answers import ask
from tui.keymap import key
from tui.scored import SCORES, Scored, about_decision, about_model, about_split, after_review, markdown, score
from tui.screens import evaluation_threshold
from tui.screens.base import RunScreen
from tui.screens.evaluation_closer import CloserActions, LookedCloser, look_closer
from tui.screens.evaluation_threshold import ThresholdActions
from tui.screens.patterns_door import PATTERNS_KEY
from tui.widgets.confusion import Confusion
from tui.widgets.prompt_line import PromptLine

if TYPE_CHECKING:
    from core.decision import Decision

READY_REVIEW = 0.3
"""Seconds after which the next screen is made ready: this one is in view by then."""

REST = 0.2
"""Seconds without a key after which the verdicts are read again for another threshold."""


class Loaded(Message):
    """The scores of a split, or why there are none; `no_model` says why none can be made either."""

    def __init__(
        self,
        splits: list[str],
        scored: Scored | None,
        error: NsmcTuiError | None = None,
        no_model: NsmcTuiError | None = None,
    ) -> None:
        super().__init__()
        self.splits = splits
        self.scored = scored
        self.error = error
        self.no_model = no_model


class Evaluated(Message):
    """An evaluation that was asked for has ended."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__()
        self.document = document


class EvaluationScreen(CloserActions, ThresholdActions, RunScreen):
    """Scores of one run, a split at a time."""

    NAME = "evaluation"
    CSS_PATH = "evaluation.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("r", "review", N_("Review errors"), N_("All mispredicted reviews of this split"), show=True),
        key("d", "next_split", N_("Split"), N_("Next split: test, dev"), show=True),
        *CloserActions.BINDINGS,
        # Six keys at most at the bottom: with scores in view it is one for the list of all keys.
        key("v", "evaluate_first", N_("Evaluate"), N_("Predict and score the test split now"), show=True),
        key("v", "evaluate", N_("Evaluate"), N_("Predict and score this split now")),
        *ThresholdActions.BINDINGS,
        key("y", "copy", N_("Copy"), N_("Copy the table as Markdown")),
        PATTERNS_KEY,
    ]

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir)
        self._splits: list[str] = []
        self._stamps: dict[str, tuple[int, int]] = {}
        self._scored: Scored | None = None
        self._busy = False
        self._live = False
        self._earlier: int | None = None
        self._no_model = True
        self._judged_timer: Timer | None = None

    def compose_body(self) -> Iterable[Widget]:
        """Headline, scores, matrix, notes."""
        yield Static("", id="line", markup=False)
        yield Static("", id="decision", markup=False)
        with Horizontal(id="body"):
            yield Static("", id="scores", markup=False)
            with Vertical(id="right"):
                yield Confusion(id="confusion")
                yield Static("", id="note", markup=False)
        yield Static("", id="after-review", markup=False)
        yield from self.compose_closer()
        yield Static("", id="empty", classes="empty", markup=False)
        yield PromptLine(id="prompt-line")

    def on_mount(self) -> None:
        """Load the best split there is; look again while the run is live."""
        super().on_mount()
        self.set_top(self.run_title, _("Evaluation"))
        self._show_empty(_("reading the predictions …"))
        self.show_pane()
        self._load(None)
        self.set_interval(2.0, self._look_again)
        self.set_timer(READY_REVIEW, self._import_review)

    @work(thread=True, group="import")
    def _import_review(self) -> None:
        """Have the next screen's modules: importing them is most of what opening it takes."""
        import tui.cli.review_commands
        import tui.screens.review  # noqa: F401

    def on_screen_resume(self) -> None:
        """Coming back from Review there may be verdicts."""
        if self._scored is not None and not self._busy:
            self._load(self._scored.split)

    def _look_again(self) -> None:
        from core.predictions import stamps

        # A file that could not be read is read again when it is another one.
        if self._show_state() and self.is_current and not self._busy and stamps(self.run_dir) != self._stamps:
            self._load(self._scored.split if self._scored else None)

    def _show_state(self) -> bool:
        """Show the run's state on top; False when its directory is gone."""
        try:
            run = load_run(self.run_dir)
        except NsmcTuiError as error:
            self._show_empty(f"{error.message}\n{error.hint}")
            return False
        self._live, earlier = run.live, self._earlier
        self._earlier = run.earlier_model
        self.set_top(self.run_title, _("Evaluation"), state=run.state)
        if self._earlier != earlier and self._scored is not None:
            # Resumed while its scores are looked at.
            self._show(self._scored)
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What needs scores is offered when there are some."""
        if action in ("review", "next_split", "copy", "evaluate", *evaluation_threshold.ACTIONS):
            return self._scored is not None
        if action == "evaluate_first":
            return self._scored is None and not self._live and not self._no_model
        closer = self.check_closer(action)
        if closer is not None:
            return closer
        return super().check_action(action, parameters)

    def _load(self, split: str | None) -> None:
        from core.predictions import stamps

        # Before it is read: what is written meanwhile is another file than this.
        self._stamps = stamps(self.run_dir)
        self._reading += 1
        self._read(split, self._reading)

    @work(thread=True, exclusive=True, group="scores")
    def _read(self, split: str | None, reading: int) -> None:
        try:
            splits, scored, predictions = score(self.run_dir, split, self.nsmc.decisions.of(self.run_dir))
        except NsmcTuiError as error:
            self.post_message(Loaded([], None, error, _without_model(self.run_dir)))
            return
        self.post_message(Loaded(splits, scored, None, None if scored else _without_model(self.run_dir)))
        if predictions is not None:
            self.post_message(LookedCloser(reading, look_closer(predictions)))

    @on(Loaded)
    def _take(self, event: Loaded) -> None:
        if self._scored is None or event.scored is None or event.scored.split != self._scored.split:
            self.forget_closer()
        self._splits, self._scored, self._no_model = event.splits, event.scored, event.no_model is not None
        decision = self.nsmc.decisions.of(self.run_dir)
        if self._scored is not None and self._scored.decision != decision:
            # Moved on while the file was read.
            self._scored = self._scored.at(decision)
        known = self._show_state()
        self.refresh_bindings()
        if not known:
            return
        if event.error is not None:
            self._show_empty(f"{event.error.message}\n{event.error.hint}")
        elif self._scored is None:
            if self._live:
                said = [_("No predictions yet: they are written when training ends."), _("3 shows how far it is.")]
            elif event.no_model is None:
                said = [_("This run has no predictions."), _("v evaluates the test split now.")]
            else:
                # Figures of dev that it told while it trained are all there is.
                said = [_("This run has no predictions."), event.no_model.message, event.no_model.hint]
            self._show_empty("\n".join(said))
        else:
            self._show(self._scored)

    def _show_empty(self, text: str) -> None:
        self.query_one("#confusion", Confusion).matrix = None
        self.add_class("-empty")
        self.query_one("#line", Static).update("")
        self.query_one("#decision").display = False
        self.query_one("#after-review", Static).update("")
        self.query_one("#empty", Static).update("\n".join(visible(line) for line in text.split("\n")))

    def _show(self, scored: Scored) -> None:
        self.remove_class("-empty")
        reviews = ngettext("{split} · {n} review", "{split} · {n} reviews", scored.n)
        line = reviews.format(split=scored.split, n=formats.count(scored.n))
        if about := about_split(scored.split):
            line += f" · {about}"
        self.query_one("#line", Static).update(visible(line))
        told = [about_model(self._earlier), about_decision(scored.decision, scored.split)]
        decision = self.query_one("#decision", Static)
        decision.update("\n".join(visible(line) for line in told if line))
        decision.display = any(told)
        self.query_one("#scores", Static).update(self._table(scored))
        confusion = self.query_one("#confusion", Confusion)
        rows = scored.confusion
        confusion.matrix = ((rows[0][0], rows[0][1]), (rows[1][0], rows[1][1]))
        (_tn, fp), (fn, _tp) = scored.confusion
        self.query_one("#note", Static).update(
            _("FP {fp}: 부정 taken for 긍정").format(fp=f"{fp:,}")
            + " · "
            + _("FN {fn}: 긍정 taken for 부정").format(fn=f"{fn:,}")
        )
        self.query_one("#after-review", Static).update(after_review(scored.review))
        self.show_closer()
        if self.focused is None:
            self.focus_pane()

    def show_decision(self, decision: Decision) -> None:
        """Show the scores at another threshold, and keep it."""
        scored = self._scored
        if scored is None or decision == scored.decision:
            return
        self.nsmc.decisions.put(self.run_dir, decision)
        self._scored = scored.at(decision)
        self._show(self._scored)
        if scored.review is not None or self._judged_timer is not None:
            self._read_verdicts_soon()

    def _read_verdicts_soon(self) -> None:
        """What the verdicts say at the threshold in view, once it rests."""
        if self._judged_timer is not None:
            self._judged_timer.stop()
        self._judged_timer = self.set_timer(REST, self._read_verdicts)

    def _read_verdicts(self) -> None:
        self._judged_timer = None
        if self._scored is not None:
            self._load(self._scored.split)

    def _table(self, scored: Scored) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        table.add_column(_("score"), no_wrap=True)
        table.add_column("", justify="right", no_wrap=True)
        table.add_column(_("95% interval"), no_wrap=True)
        if not scored.decision.usual:
            table.add_column(_("at {threshold}").format(threshold=formats.number(0.5, 2)), no_wrap=True)
        for name, title in SCORES:
            low_high = scored.intervals.get(name)
            span = f"[{low_high[0]:.4f}, {low_high[1]:.4f}]" if low_high else ""
            cells = [Text(_(title), style="dim"), Text(f"{scored.metrics[name]:.4f}", style="bold")]
            cells.append(Text(span, style="dim"))
            if not scored.decision.usual:
                cells.append(Text(f"{scored.usual[name]:.4f}", style="dim"))
            table.add_row(*cells)
        return table

    # -- keys --------------------------------------------------------------------------------------------------

    @on(Confusion.Chosen)
    def _cell_chosen(self, event: Confusion.Chosen) -> None:
        self._review(event.kind)

    def action_review(self) -> None:
        """All errors of this split."""
        self._review("all")

    def _review(self, kind: str) -> None:
        if self._scored is not None:
            self.nsmc.show_run(self.run_dir, "review", push=True, kind=kind, split=self._scored.split)

    def action_patterns(self) -> None:
        """What the errors of this split have in common."""
        from tui.screens.patterns import PatternsScreen

        self.app.push_screen(PatternsScreen(self.run_dir, self._scored.split if self._scored is not None else None))

    def action_next_split(self) -> None:
        """Show the next split that has predictions."""
        if self._scored is None or len(self._splits) < 2:
            self.nsmc.say(_("There are predictions of one split only."))
            return
        self._load(self._splits[(self._splits.index(self._scored.split) + 1) % len(self._splits)])

    def action_copy(self) -> None:
        """Copy the scores as a Markdown table."""
        scored = self._scored
        if scored is None:
            return
        self.app.copy_to_clipboard(markdown(scored))
        self.nsmc.say(_("The table is in the clipboard as Markdown."))

    def action_evaluate_first(self) -> None:
        """Evaluate test: there are no predictions yet."""
        self.action_evaluate()

    def action_evaluate(self) -> None:
        """Evaluate the split in view in a process of its own; test while there is none."""
        if self._busy:
            return
        self._busy = True
        split = self._scored.split if self._scored is not None else "test"
        self._say_busy(evaluating(split))
        self._evaluate(split)

    @work(exclusive=True, group="evaluate")
    async def _evaluate(self, split: str) -> None:
        request = {"path": str(self.run_dir), "split": split, "progress": "figures"}
        document = await ask("core.evaluation", request, partial(self._show_progress, split))
        self.post_message(Evaluated({"split": split, **document}))

    def _show_progress(self, split: str, phase: str, done: int, total: int) -> None:
        parts = [evaluating(split)]
        if phase != "evaluating":
            parts.append(formats.phase(phase))
        if total:
            parts.append(f"{formats.count(done)} / {formats.count(total)}")
        self._say_busy("  ".join(parts))

    def _say_busy(self, text: str) -> None:
        if self._scored is None:
            self._show_empty(text)
        else:
            self.query_one("#line", Static).update(visible(text))

    @on(Evaluated)
    def _evaluated(self, event: Evaluated) -> None:
        self._busy = False
        if "error" in event.document:
            self.nsmc.report(NsmcTuiError(str(event.document["message"]), str(event.document.get("hint") or "")))
        self._load(str(event.document["split"]))


def evaluating(split: str) -> str:
    """What is being done."""
    return _("evaluating {split} …").format(split=split)


def _without_model(run_dir: Path) -> NsmcTuiError | None:
    """Why nothing can be evaluated, for a thread: the run has no model."""
    from core.evaluation import model_dir

    try:
        model_dir(run_dir)
    except NsmcTuiError as error:
        return error
    return None
