"""What is known around a review as lines of text: its history over training, and its like in train."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.text import Text
from textual.geometry import Region, Size
from textual.strip import Strip

from core import dynamics, formats, neighbours
from core.dynamics import History
from core.errors import NsmcTuiError
from core.i18n import gettext as _
from core.i18n import ngettext
from core.neighbours import Neighbours
from core.text import visible
from core.train_reviews import Alike, TrainReview
from tui.colour_depth import ascii_of
from tui.heat_scale import colour
from tui.plain_signs import TextOfOthers
from tui.signs import sign_for
from tui.widgets.line_view import LineView, line_strip
from tui.widgets.virtual_size import set_virtual_size

BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", "_.-=*#"
SHOWN = 5


@dataclass(frozen=True)
class Subject:
    """The review in view: `text`, and where it is known from. A variant that was typed has no `id`."""

    text: str
    id: str | None
    split: str


class ContextLines(TextOfOthers, LineView):
    """Draws what is known. working: whether vectors of train are being made.

    What is known of the review in view lies in `_found`: `history`, `alike` and `nearest`, or the error in the place of
    one; what has not come yet is not in it.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.working = False
        self._model: Path | None = None
        self._subject: Subject | None = None
        self._found: dict[str, Any] = {}
        self._progress: neighbours.Progress | None = None
        self._making = ""
        self._lines: list[Text] = []

    def on_mount(self) -> None:
        """Other colours, other lines."""
        self.watch(self.app, "theme", self._recolour, init=False)

    def _recolour(self) -> None:
        # The theme's own colours come first.
        self.call_after_refresh(self.redraw)

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
        return line_strip(self._lines[number].render(self.app.console), base, width)

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
        return [Text(sign_for(self.app, str(value)), self._quiet)]

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
            second += " · " + ngettext("forgotten {n} time", "forgotten {n} times", history.forgetting).format(
                n=history.forgetting
            )
        second = sign_for(self.app, second)
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
        if done >= nearest.total and (self._progress is None or not self.working):
            return ""
        figures = {"done": formats.count(done), "total": formats.count(nearest.total)}
        if self.working:
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
        room = max(20, self.scrollable_content_region.width)
        if line.cell_len > room:
            line.truncate(room - 1, overflow="crop")
            line.append(sign_for(self.app, "…"))
        return line
