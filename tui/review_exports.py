"""What Review can write to files: the review in view, several on a page, the queue, the run; each with its command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from core import formats
from core.errors import NsmcTuiError
from core.export_attention import ReviewExport
from core.export_files import safe_name
from core.export_folder import check_target
from core.export_review import ENDINGS, asking, methods_for, save
from core.export_rows import FORMATS
from core.export_svg import View
from core.i18n import gettext as _
from core.inspector_protocol import Question
from tui.export_choice import ExportChoice, Progress, Write
from tui.review_session import Opened, ReviewSession, kind_name

MOST_ON_A_PAGE = 20


class ReviewExports:
    """The kinds of files for the queue as it stands.

    view: how the review in view is drawn. ask: asks the inspector. command: the words of our own command line up to its
    command, with the runs directory that is in use.
    """

    def __init__(
        self,
        run_dir: Path,
        session: ReviewSession,
        opened: Opened,
        view: View,
        ask: Callable[[Question[Any]], Awaitable[Any]],
        command: Sequence[str],
    ) -> None:
        self._run_dir, self._session, self._opened, self._view, self._ask = run_dir, session, opened, view, ask
        self._command = tuple(command)
        self._queue = session.queue.copy()

    def choices(self) -> list[ExportChoice]:
        """All kinds, those of the review in view first."""
        return [*self._of_review(), self._page(), *self._of_queue(), self._of_run()]

    # -- reviews with their weights ----------------------------------------------------------------------------

    def _of_review(self) -> list[ExportChoice]:
        row = self._session.row if self._session.row is not None else int(self._queue[0])
        review = self._session.predictions.row(row)
        about = {
            "html": _("this review as a page that opens offline"),
            "svg": _("this review as a picture"),
            "png": _("the same as PNG, where a converter is installed"),
            "csv": _("its weights, a line each"),
            "npz": _("its weights for numpy"),
            "bertviz": _("the same with a script for bertviz"),
        }
        choices = []
        for kind, what in about.items():
            name = f"{safe_name(review.id)}.{ENDINGS.get(kind, kind)}"
            write = partial(self._write_reviews, kind, [row])
            choices.append(ExportChoice(kind, what, name, write, self._attention_command(kind, review.id)))
        return choices

    def _attention_command(self, kind: str, review: str) -> tuple[str, ...]:
        if kind == "bertviz":
            what = ("--what", "attention", "--id", review, "--split", self._session.predictions.split)
            return (*self._command, "export", self._run_dir.name, *what, "--to", "{stem}")
        words = [*self._command, "attention", self._run_dir.name, "--id", review]
        words += ["--split", self._session.predictions.split, f"--{kind}", "{path}"]
        if kind in ("svg", "png", "csv"):
            view = self._view
            words += ["--method", view.method]
            words += ["--layer", str(view.layer)] if view.layer is not None else []
            words += ["--head", str(view.head)] if view.head is not None else []
            words += ["--dark"] if view.theme == "dark" and kind != "csv" else []
        return tuple(words)

    def _page(self) -> ExportChoice:
        session = self._session
        rows = sorted(session.marked) or self._queue[:MOST_ON_A_PAGE].tolist()
        n = formats.count(len(rows))
        about = (
            _("the {n} marked reviews on one page").format(n=n)
            if session.marked
            else _("the first {n} reviews of the queue on one page").format(n=n)
        )
        return ExportChoice("page", about, "reviews.html", partial(self._write_reviews, "page", rows))

    async def _write_reviews(
        self, kind: str, rows: Sequence[int], path: Path, force: bool, progress: Progress
    ) -> list[Path]:
        opened = self._opened
        if opened.model is None:
            raise opened.model_error or NsmcTuiError(_("The run has no model to ask."))
        methods = methods_for((kind,), self._view.method) if kind != "page" else ()
        found: list[ReviewExport] = []
        for number, row in enumerate(rows):
            review = self._session.predictions.row(int(row))
            about = {"id": review.id, "label": review.label, "loss": review.loss, "model": self._run_dir.name}
            steps = asking(opened.model, review.document, opened.max_length, methods, about=about)
            answer: Any = None
            while True:
                progress(number, len(rows))
                try:
                    question = steps.send(answer)
                except StopIteration as end:
                    found.append(end.value)
                    break
                answer = await self._ask(question)
        progress(len(rows), len(rows))
        file_kind = "html" if kind == "page" else kind
        done = partial(save, file_kind, path, found, self._view, force=force, title=self._run_dir.name)
        return await asyncio.to_thread(done)

    # -- the queue ---------------------------------------------------------------------------------------------

    def _of_queue(self) -> list[ExportChoice]:
        n, kind = formats.count(len(self._queue)), self._session.kind
        name = kind_name(kind, self._session.threshold)
        about = {
            f"queue.{format_}": _("the queue's {n} rows ({kind}) with verdicts, as {format}").format(
                n=n, kind=name, format=format_
            )
            for format_ in FORMATS
        }
        about["labelstudio"] = _("the queue's {n} reviews as tasks for Label Studio").format(n=n)
        about["argilla"] = _("the queue's {n} reviews as records for Argilla").format(n=n)
        names = {"labelstudio": "label-studio.json", "argilla": "argilla.json"}
        return [
            ExportChoice(name, what, names.get(name, name), self._queue_writer(name), self._queue_command(name))
            for name, what in about.items()
        ]

    def _queue_command(self, name: str) -> tuple[str, ...]:
        """The command that writes these reviews in all formats, by loss: it knows the kind and the filter."""
        session = self._session
        where = " ".join(str(term) for term in (*session.query, *session.searched))
        part = "errors" if name.startswith("queue.") else name
        words = [*self._command, "export", self._run_dir.name, "--what", part, "--kind", session.kind]
        words += ["--where", where] if where else []
        return (*words, "--split", session.predictions.split, "--to", "{stem}")

    def _queue_writer(self, name: str) -> Write:
        async def write(path: Path, force: bool, progress: Progress) -> list[Path]:
            from core.export_tables import write_rows

            session = self._session
            kind = name.removeprefix("queue.")
            run = partial(write_rows, kind, path, session.predictions, self._queue, self._run_dir, force, progress)
            return [await asyncio.to_thread(run)]

        return write

    # -- the run -----------------------------------------------------------------------------------------------

    def _of_run(self) -> ExportChoice:
        predictions = self._session.predictions
        errors = formats.count(len(predictions.select("all", "loss")))
        about = _("the run for others, a directory: model, tables, {n} errors, verdicts, label tools").format(n=errors)
        words = (*self._command, "export", self._run_dir.name, "--split", predictions.split, "--to", "{path}")
        return ExportChoice(
            "run", about, f"{safe_name(self._run_dir.name)}-export", self._write_run, words, check_target
        )

    async def _write_run(self, path: Path, force: bool, progress: Progress) -> list[Path]:
        from core.export_run import Request, export_run

        request = Request(split=self._session.predictions.split, force=force)
        run = partial(export_run, self._run_dir, path, request, lambda _part, done, total: progress(done, total))
        await asyncio.to_thread(run)
        return [path]
