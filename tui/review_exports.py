"""What Review can write to files: the review in view, several on a page, the queue, the run; each with its command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from core import formats
from core.attention import LAST
from core.errors import NsmcTuiError
from core.export_attention import ReviewExport
from core.export_files import safe_name
from core.export_folder import check_target
from core.export_review import ENDINGS, asking, methods_for, save
from core.export_rows import FORMATS
from core.export_svg import View
from core.i18n import gettext as _
from core.inspector_protocol import Question
from core.predictions import THRESHOLD
from core.review_query import written
from core.review_queue import SORTS
from tui.export_choice import ExportChoice, Progress, Write
from tui.review_session import Opened, ReviewSession, kind_name

MOST_ON_A_PAGE = 20


class ReviewExports:
    """The kinds of files for the queue as it stands.

    view: how the review in view is drawn. ask: asks the inspector. command: the words of our own command line up to its
    command, with the runs directory that is in use; each kind of file has the whole one that writes the same.
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
            choices.append(ExportChoice(kind, what, name, write, self._attention_command(kind, (review.id,))))
        return choices

    def _attention_command(self, kind: str, reviews: Sequence[str]) -> tuple[str, ...]:
        """`attention`, which writes files of reviews."""
        words = [*self._command, "attention", self._run_dir.name]
        words += [word for review in reviews for word in ("--id", review)]
        words += [*self._split_and_threshold(), f"--{kind}", "{path}"]
        view = self._view
        if kind in ("svg", "png", "csv"):
            words += ["--method", view.method] if view.method != View.method else []
            if view.layer is not None:
                words += ["--layer", "last" if view.layer == LAST else str(view.layer)]
            words += ["--head", str(view.head)] if view.head is not None else []
        if kind in ("svg", "png"):
            words += ["--special", view.special] if view.special != View.special else []
            words += [] if view.words else ["--by", "tokens"]
            words += ["--dark"] if view.theme == "dark" else []
        return tuple(words)

    def _split_and_threshold(self) -> list[str]:
        """The options that nearly all commands share; the threshold where it is not the model's own."""
        at = self._session.threshold
        words = ["--split", self._session.predictions.split]
        return words if at == THRESHOLD else [*words, "--threshold", repr(at)]

    def _page(self) -> ExportChoice:
        session = self._session
        rows = sorted(session.marked) or self._queue[:MOST_ON_A_PAGE].tolist()
        n = formats.count(len(rows))
        about = (
            _("the {n} marked reviews on one page").format(n=n)
            if session.marked
            else _("the first {n} reviews of the queue on one page").format(n=n)
        )
        command = self._attention_command("html", [session.review_id(row) for row in rows])
        return ExportChoice("page", about, "reviews.html", partial(self._write_reviews, "page", rows), command)

    async def _write_reviews(
        self, kind: str, rows: Sequence[int], path: Path, force: bool, progress: Progress
    ) -> list[Path]:
        opened = self._opened
        if opened.model is None:
            raise opened.model_error or NsmcTuiError(_("The run has no model to ask."))
        file_kind = "html" if kind == "page" else kind
        methods = methods_for((file_kind,), self._view.method, len(rows))
        found: list[ReviewExport] = []
        for number, row in enumerate(rows):
            review = self._session.predictions.row(int(row))
            about = {name: getattr(review, name) for name in ("id", "label", "loss")}
            about |= {"model": self._run_dir.name, "split": self._session.predictions.split}
            about |= {"threshold": self._session.threshold}
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
        """`errors`, which writes a queue to one file."""
        session = self._session
        where = written((*session.query, *session.searched))
        words = [*self._command, "errors", self._run_dir.name, "--kind", session.kind]
        words += ["--where", where] if where else []
        words += ["--sort", session.sort] if session.sort != SORTS[0] else []
        words += ["--seed", str(session.seed)] if session.sort == "random" else []
        return (*words, *self._split_and_threshold(), "--as", name.removeprefix("queue."), "--to", "{path}")

    def _queue_writer(self, name: str) -> Write:
        async def write(path: Path, force: bool, progress: Progress) -> list[Path]:
            from core.export_tables import write_rows

            session = self._session
            kind = name.removeprefix("queue.")
            rows = (session.predictions, self._queue, self._run_dir)
            run = partial(write_rows, kind, path, *rows, force, progress, session.threshold)
            return [await asyncio.to_thread(run)]

        return write

    # -- the run -----------------------------------------------------------------------------------------------

    def _of_run(self) -> ExportChoice:
        predictions = self._session.predictions
        errors = formats.count(len(predictions.select("all", "loss", threshold=self._session.threshold)))
        about = _("the run for others, a directory: model, tables, {n} errors, verdicts, label tools").format(n=errors)
        words = (*self._command, "export", self._run_dir.name, *self._split_and_threshold(), "--to", "{path}")
        return ExportChoice(
            "run", about, f"{safe_name(self._run_dir.name)}-export", self._write_run, words, check_target
        )

    async def _write_run(self, path: Path, force: bool, progress: Progress) -> list[Path]:
        from core.export_run import Request, export_run

        session = self._session
        request = Request(split=session.predictions.split, force=force, threshold=session.threshold)
        run = partial(export_run, self._run_dir, path, request, lambda _part, done, total: progress(done, total))
        await asyncio.to_thread(run)
        return [path]
