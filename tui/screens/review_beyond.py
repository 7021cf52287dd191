"""Review's keys for what lies beyond it: the review's surroundings in train, and files for other programs."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.binding import BindingType

from core.errors import NsmcTuiError
from core.export_files import check_free, safe_name
from core.export_review import ENDINGS, asking, methods_for, save
from core.export_rows import FORMATS
from core.export_svg import View
from core.i18n import N_
from core.i18n import gettext as _
from core.predictions import Prediction
from tui.keymap import key
from tui.widgets.prompt_line import PromptLine
from tui.widgets.review_context import ReviewContext

if TYPE_CHECKING:
    from core.export_attention import ReviewExport
    from core.export_review import Asking
    from tui.review_session import Opened, ReviewSession
    from tui.screens.base import RunScreen as Base
else:
    Base = object

ONE = ("html", "svg", "png", "csv", "npz", "bertviz")
QUEUE = ("labelstudio", "argilla")
MOST_ON_A_PAGE = 20


class BeyondActions(Base):
    """The part of the Review screen that looks, and writes, beyond the review in view."""

    session: ReviewSession | None
    _opened: Opened | None
    _export_kind = ""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("e", "export", N_("Export"), N_("Write the review, or the queue, to a file")),
    ]

    # -- around ------------------------------------------------------------------------------------------------

    @property
    def context(self) -> ReviewContext:
        """The pane of the review's surroundings."""
        return self.query_one(ReviewContext)

    def open_context(self, opened: Opened) -> None:
        """Another run has been read."""
        self.context.open_run(self.run_dir, opened.model, opened.max_length)

    def show_context(self, review: Prediction) -> None:
        """Another review is in view."""
        assert self.session is not None
        self.context.show_review(review.document, review.id, self.session.predictions.split)

    # -- export ------------------------------------------------------------------------------------------------

    def action_export(self) -> None:
        """Choose what to write."""
        from tui.screens.pick import PickScreen

        names = {
            "html": _("this review as a page that opens offline"),
            "svg": _("this review as a picture"),
            "png": _("the same as PNG, where a converter is installed"),
            "csv": _("its weights, a line each"),
            "npz": _("its weights for numpy"),
            "bertviz": _("the same with a script for bertviz"),
            "page": _("the marked reviews, or the first {n} of the queue, on one page").format(n=MOST_ON_A_PAGE),
            **{f"queue.{kind}": _("the queue's rows with verdicts, as {kind}").format(kind=kind) for kind in FORMATS},
            "labelstudio": _("the queue as tasks for Label Studio"),
            "argilla": _("the queue as records for Argilla"),
        }
        self.app.push_screen(PickScreen(_("Export"), list(names.items())), self._picked)

    def _picked(self, chosen: tuple[str, ...] | None) -> None:
        if not chosen or self.session is None or self.session.current is None:
            return
        kind = self._export_kind = chosen[0]
        stem = safe_name(self.session.current.id)
        name = {
            "page": "reviews.html",
            "labelstudio": "label-studio.json",
            "argilla": "argilla.json",
        }.get(kind, kind if kind.startswith("queue.") else f"{stem}.{ENDINGS.get(kind, kind)}")
        self.query_one(PromptLine).ask("export", _("write to"), str(Path.cwd() / name), kind)

    async def write_export(self, text: str) -> bool:
        """Write what was chosen to the path that was typed; whether that could be begun."""
        path = Path(text.strip()).expanduser()
        try:
            check_free(path)
        except NsmcTuiError as error:
            self.query_one(PromptLine).note(error.message.replace(str(path), path.name), wrong=True)
            return False
        self._export(self._export_kind, path)
        return True

    @work(exclusive=True, group="export")
    async def _export(self, kind: str, path: Path) -> None:
        try:
            if kind in (*ONE, "page"):
                written = await self._write_reviews(kind, path)
            else:
                written = await asyncio.to_thread(self._write_queue, kind, path)
        except NsmcTuiError as error:
            self.nsmc.report(error)
        else:
            self.nsmc.say(_("written: {path}").format(path="\n".join(str(file) for file in written)))

    async def _write_reviews(self, kind: str, path: Path) -> list[Path]:
        session, opened = self.session, self._opened
        assert session is not None
        assert opened is not None
        current = session.row if session.row is not None else 0
        rows = [current] if kind != "page" else sorted(session.marked) or session.queue[:MOST_ON_A_PAGE].tolist()
        view = self._view()
        file_kind = "html" if kind == "page" else kind
        found = []
        for row in rows:
            review = session.predictions.row(int(row))
            about = {"id": review.id, "label": review.label, "loss": review.loss, "model": self.run_dir.name}
            if opened.model is None:
                raise opened.model_error or NsmcTuiError(_("The run has no model to ask."))
            methods = methods_for((file_kind,), view.method) if kind != "page" else ()
            steps = asking(opened.model, review.document, opened.max_length, methods, about=about)
            found.append(await self._ask_all(steps))
        title = self.run_dir.name
        return await asyncio.to_thread(partial(save, file_kind, path, found, view, title=title))

    async def _ask_all(self, steps: Asking) -> ReviewExport:
        answer: Any = None
        while True:
            try:
                question = steps.send(answer)
            except StopIteration as end:
                review: ReviewExport = end.value
                return review
            answer = await self.nsmc.inspector.ask(question)

    def _view(self) -> View:
        """What is in view, as a picture."""
        choice = self.attention.choice  # type: ignore[attr-defined]
        layer = choice.layer
        inspection = self.detail.inspection  # type: ignore[attr-defined]
        if inspection is not None and inspection.n_layers and layer is not None and layer < 0:
            layer = inspection.n_layers - 1
        method = choice.method
        maps = method in ("attention", "rollout")
        head = choice.head if method == "attention" else None
        theme = "dark" if self.app.current_theme.dark else "light"
        return View(method, layer if maps else None, head, choice.special, choice.words, theme)

    def _write_queue(self, kind: str, path: Path) -> list[Path]:
        from core.export_tables import write_rows

        session = self.session
        assert session is not None
        name = kind.removeprefix("queue.")
        return [write_rows(name, path, session.predictions, session.queue, self.run_dir)]

    def offers_beyond(self, action: str) -> bool | None:
        """Whether `action` is offered here and now; None for an action that is not of this part."""
        return None if action != "export" else not self.has_class("-empty")
