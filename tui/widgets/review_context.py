"""Around a review: how the model learned it, the same and nearly the same reviews in train, and the nearest ones."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.cells import cell_len
from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer

from core import dynamics, formats, neighbours
from core.dynamics import History
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.neighbours import Neighbours
from core.text import visible
from core.train_reviews import Alike, TrainReview
from tui.colour_depth import ascii_of
from tui.heat_scale import colour
from tui.keymap import key, localise
from tui.train_lookup import TrainLookup
from tui.widgets.line_view import LineView
from tui.widgets.virtual_size import set_virtual_size

if TYPE_CHECKING:
    from tui.app import NsmcTuiApp

DEBOUNCE = 0.1
"""While `n` is held down reviews fly by whose surroundings nobody wants."""

ASK_AGAIN = 3.0
"""Seconds between two looks for nearest reviews while their vectors are being made."""

BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", "_.-=*#"
SHOWN = 5


@dataclass(frozen=True)
class Subject:
    """The review in view: `text`, and where it is known from. A variant that was typed has no `id`."""

    text: str
    id: str | None
    split: str


class ReviewContext(LineView, can_focus=True):
    """What is known of the review in view beyond itself. `open_run` once, `show_review` for each review.

    Nothing is asked while the pane is hidden. The vectors of train are made while it is shown and `building` is on,
    which is the user's choice: it takes the model minutes to hours.
    """

    DEFAULT_CSS = """
    ReviewContext { height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key(
            "enter", "toggle_building", N_("Make or stop"), N_("Make the model's vectors of the train reviews, or stop")
        )
    ]

    class Found(Message):
        """A part of what is shown is there: `value`, or the error in its place. `token` says for which review."""

        def __init__(self, part: str, value: Any, token: int | None = None) -> None:
            super().__init__()
            self.part = part
            self.value = value
            self.token = token

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        localise(self)
        self.building = False
        self._run_dir: Path | None = None
        self._model: Path | None = None
        self._max_length: int | None = None
        self._lookup: TrainLookup | None = None
        self._subject: Subject | None = None
        self._token = 0
        self._asked: int | None = None
        self._found: dict[str, Any] = {}
        self._progress: neighbours.Progress | None = None
        self._making = ""
        self._again: Timer | None = None
        self._lines: list[Text] = []

    # -- what is asked -----------------------------------------------------------------------------------------

    def open_run(self, run_dir: Path, model: Path | None, max_length: int | None) -> None:
        """The run that reviews are from, and its model (None where there is none)."""
        self._run_dir, self._model, self._max_length = run_dir, model, max_length
        self._lookup = TrainLookup(run_dir)
        self._found, self._progress = {}, None

    def show_review(self, text: str, review: str | None, split: str) -> None:
        """Another review is in view."""
        self._token += 1
        self._subject = Subject(text, review, split)
        for part in ("history", "alike", "nearest"):
            self._found.pop(part, None)
        self.scroll_home(animate=False)
        self._ask()

    def on_show(self) -> None:
        """The pane came into view: what was not asked for is asked."""
        self._ask()

    def on_hide(self) -> None:
        """Nobody looks: the process with the model has other things to do."""
        self.workers.cancel_group(self, "build")

    @property
    def nsmc(self) -> NsmcTuiApp:
        """The app, typed."""
        return cast("NsmcTuiApp", self.app)

    def _ask(self) -> None:
        self._draw()
        if self._subject is None or self._run_dir is None or not self.is_on_screen:
            return
        if self._asked != self._token:
            self._asked = self._token
            self._read(self._token, self._subject)
        if self.building and not self._built:
            self._build()

    @property
    def _built(self) -> bool:
        return self._progress is not None and self._progress.finished

    @work(exclusive=True, group="context")
    async def _read(self, token: int, subject: Subject) -> None:
        await asyncio.sleep(DEBOUNCE)
        assert self._run_dir is not None
        assert self._lookup is not None
        if subject.id is not None:
            try:
                kept = await asyncio.to_thread(dynamics.read, self._run_dir, subject.split)
                history: Any = None if kept is None else kept.history(subject.id)
            except NsmcTuiError as error:
                history = error
            self.post_message(self.Found("history", history, token))
        try:
            exclude = subject.id if subject.split == "train" else None
            alike: Any = await self._lookup.alike(subject.text, exclude, self._tell)
        except NsmcTuiError as error:
            self.post_message(self.Found("alike", error, token))
            return
        self.post_message(self.Found("alike", alike, token))
        await self._look(token, subject)

    def _tell(self, name: str, done: int, total: int) -> None:
        self.post_message(self.Found("making", f"{done * 100 // total} %" if total else ""))

    async def _look(self, token: int, subject: Subject) -> None:
        """The nearest reviews among the vectors that there are."""
        directory = self._lookup.directory if self._lookup is not None else None
        if self._model is None or directory is None:
            return
        seen = self._progress.done if self._progress is not None else 0
        exclude = [subject.id] if subject.id is not None and subject.split == "train" else []
        question = neighbours.nearest(
            self._model, subject.text, directory, self._max_length, exclude=exclude, seen=seen
        )
        try:
            nearest: Any = await self.nsmc.inspector.ask(question)
        except NsmcTuiError as error:
            nearest = error
        self.post_message(self.Found("nearest", nearest, token))

    @work(exclusive=True, group="build")
    async def _build(self) -> None:
        """Make the vectors, a tenth of a second at a time; other questions have their turn in between."""
        assert self._lookup is not None
        try:
            reviews = await self._lookup.open(self._tell)
            if self._model is None:
                return
            question = neighbours.build(self._model, reviews.directory, self._max_length)
            while True:
                progress = await self.nsmc.inspector.ask(question)
                self.post_message(self.Found("progress", progress))
                if progress.finished:
                    return
                # The next question would be in the queue before anyone else's.
                await asyncio.sleep(0.02)
        except NsmcTuiError as error:
            self.post_message(self.Found("progress", error))

    def action_toggle_building(self) -> None:
        """Stop making vectors, or go on; what is made is kept."""
        self.building = not self.building
        if self.building:
            self._ask()
        else:
            self.workers.cancel_group(self, "build")
            self._draw()

    # -- what comes --------------------------------------------------------------------------------------------

    @on(Found)
    def _take(self, message: Found) -> None:
        message.stop()
        if message.token is not None and message.token != self._token:
            return
        if message.part == "making":
            self._making = str(message.value)
        elif message.part == "progress":
            self._take_progress(message.value)
        else:
            self._found[message.part] = message.value
        self._draw()

    def _take_progress(self, value: Any) -> None:
        if isinstance(value, NsmcTuiError):
            self._found.setdefault("nearest", value)
            return
        before, self._progress = self._progress, value
        if before is None or value.finished:
            self._look_again()
        elif self._again is None:
            self._again = self.set_timer(ASK_AGAIN, self._look_again)

    def _look_again(self) -> None:
        self._again = None
        if self._subject is not None and "alike" in self._found and self.is_on_screen:
            self._search(self._token, self._subject)

    @work(exclusive=True, group="nearest")
    async def _search(self, token: int, subject: Subject) -> None:
        await self._look(token, subject)

    # -- how it looks ------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw anew, in other colours."""
        self._draw()

    def on_resize(self) -> None:
        """Texts are cut to the width."""
        self._draw()

    def watch_show_vertical_scrollbar(self) -> None:
        """A scrollbar takes a column without a resize."""
        if self.is_mounted:
            self._draw()

    @property
    def _complete(self) -> bool:
        """Whether nothing more is to come for the review in view."""
        alike = self._found.get("alike")
        return alike is not None and ("nearest" in self._found or self._model is None or not isinstance(alike, Alike))

    def _draw(self) -> None:
        width = self.scrollable_content_region.width
        if width < 1:
            return
        before = self._lines
        self._lines = list(self.picture().wrap(self.app.console, width))
        # As tall as before until all is there: a scrollbar that goes and comes for each review would have the whole
        # screen laid out twice for each.
        height = len(self._lines) if self._complete else max(len(self._lines), self.virtual_size.height)
        set_virtual_size(self, Size(width, height))
        looks = [[(line.plain, line.style, line.spans) for line in lines] for lines in (before, self._lines)]
        for number, (old, new) in enumerate(zip_longest(*looks), -self.scroll_offset.y):
            if old != new:
                self.refresh(Region(0, number, width, 1))

    def render_line(self, y: int) -> Strip:
        """One line of the text."""
        base, width = self.base_style, self.scrollable_content_region.width
        number = y + self.scroll_offset.y
        if number >= len(self._lines):
            return Strip.blank(width, base)
        segments = self._lines[number].render(self.app.console)
        return Strip(segments).apply_style(base).adjust_cell_length(width, base)

    def picture(self) -> Text:
        """All parts, one under the other."""
        parts = [self._history_lines(), self._alike_lines(), self._nearest_lines()]
        lines = [line for part in parts for line in (*part, Text())][:-1]
        return Text("\n").join(lines)

    def _title(self, title: str, detail: str = "") -> Text:
        return Text.assemble((title, "bold"), (f"  {detail}" if detail else "", self._quiet))

    @property
    def _quiet(self) -> str:
        return colour(self.app, "secondary")

    def _said(self, value: Any) -> list[Text]:
        """An error, or a sentence, in the place of what would be there."""
        if isinstance(value, NsmcTuiError):
            return [Text(visible(part), self._quiet) for part in (value.message, value.hint) if part]
        return [Text(str(value), self._quiet)]

    def _history_lines(self) -> list[Text]:
        subject = self._subject
        title = _("History over training")
        if subject is None or subject.id is None:
            return [self._title(title), *self._said(_("A text that was typed has none."))]
        if "history" not in self._found:
            return [self._title(title), *self._said("…")]
        history = self._found["history"]
        if isinstance(history, History):
            return self._of_history(title, history)
        if history is None and subject.split == "dev":
            history = _("None is kept: the run had no evaluations, or evaluate.history was off.")
        elif history is None:
            history = _("Only dev reviews have one: {split} is not evaluated during training.").format(
                split=visible(subject.split)
            )
        return [self._title(title), *self._said(history)]

    def _of_history(self, title: str, history: History) -> list[Text]:
        values = history.of_label
        shown = values if len(values) <= 24 else [values[place * len(values) // 24] for place in range(24)]
        marks = ASCII_BARS if ascii_of(self.app) else BARS
        bars = "".join(marks[min(len(marks) - 1, int(value * len(marks)))] for value in shown)
        name = (_("negative"), _("positive"))[history.label]
        first = Text.assemble(
            (f"p({name}) ", self._quiet), f"{values[0]:.2f} ", (bars, colour(self.app, "accent")), f" {values[-1]:.2f}"
        )
        second = _("right in {n} of {total} evaluations, steps {first}–{last}").format(
            n=sum(history.right),
            total=len(values),
            first=formats.count(history.steps[0]),
            last=formats.count(history.steps[-1]),
        )
        if history.forgetting:
            second += " · " + _("forgotten {n} times").format(n=history.forgetting)
        return [self._title(title, dynamics.kind_name(history.kind)), first, Text(second, self._quiet)]

    def _alike_lines(self) -> list[Text]:
        title = _("The same text in train")
        alike = self._found.get("alike")
        if alike is None:
            waiting = _("reading the train reviews… {done}").format(done=self._making)
            return [self._title(title), *self._said(waiting)]
        if not isinstance(alike, Alike):
            return [self._title(title), *self._said(alike)]
        lines = [self._title(title, self._labels(*alike.n_same) if any(alike.n_same) else _("none"))]
        lines += [self._review(review, "") for review in alike.same[:SHOWN]]
        lines.append(self._title(_("Nearly the same"), "" if alike.near else _("none")))
        lines += [self._review(review, f"{review.similarity:.2f}") for review in alike.near[:SHOWN]]
        return lines

    def _nearest_lines(self) -> list[Text]:
        title = _("Nearest for the model")
        if self._model is None:
            return [self._title(title), *self._said(_("The run has no model to ask."))]
        nearest = self._found.get("nearest")
        if not isinstance(nearest, Neighbours):
            lines = self._said(nearest) if nearest is not None else self._said("…")
            return [self._title(title), *lines]
        lines = [self._title(title)]
        if nearest.reviews:
            negative, positive = nearest.counts
            most = max(negative, positive)
            name = (_("negative"), _("positive"))[positive > negative]
            share = _("{n} of the {total} nearest train reviews are {label}").format(
                n=most, total=len(nearest.reviews), label=name
            )
            lines.append(Text(share, "bold"))
            lines += [self._review(review, f"{review.similarity:.3f}") for review in nearest.reviews]
        if self._progress is None or not self._progress.finished:
            lines += self._said(self._how_far(nearest))
        return lines

    def _how_far(self, nearest: Neighbours) -> str:
        done = max(nearest.done, self._progress.done if self._progress is not None else 0)
        if done >= nearest.total and (self._progress is None or not self.building):
            return ""
        figures = {"done": formats.count(done), "total": formats.count(nearest.total)}
        if self.building:
            return _("among {done} of {total} train reviews, more to come; enter stops").format(**figures)
        return _("among {done} of {total} train reviews; enter goes on").format(**figures)

    def _labels(self, negative: int, positive: int) -> str:
        return f"{_('negative')} {formats.count(negative)}, {_('positive')} {formats.count(positive)}"

    def _review(self, review: TrainReview, figure: str) -> Text:
        hue = colour(self.app, ("negative", "positive")[review.label])
        # One width in each language, so that texts begin under each other.
        names = (_("neg"), _("pos"))
        width = max(cell_len(name) for name in names)
        name = names[review.label]
        line = Text.assemble(
            (f"{figure} " if figure else "", self._quiet),
            (name + " " * (width - cell_len(name)), hue),
            f" {visible(review.document)}",
        )
        # Sentences wrap, reviews do not: one a line.
        line.truncate(max(20, self.scrollable_content_region.width), overflow="ellipsis")
        return line
