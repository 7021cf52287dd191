"""Review's keys for verdicts: one key says what is wrong with a review, and it is on disk before the next is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.binding import BindingType
from textual.message import Message

from core import formats
from core.errors import NsmcTuiError
from core.i18n import N_
from core.i18n import gettext as _
from core.review_log import Action, Opinion, ReviewLog, verdict_name
from core.settings import load_settings, save_setting
from core.text import visible
from tui.keymap import key
from tui.review_session import ReviewSession
from tui.widgets.prompt_line import PromptLine

if TYPE_CHECKING:
    from tui.screens.base import RunScreen as Base
else:
    Base = object

LOOK_INTERVAL = 2.0
"""Seconds between looks for what other reviewers wrote."""

ACTIONS = ("label", "verdict", "tags", "note", "undo", "redo", "mark", "apply", "relabel")


class OthersJudged(Message):
    """Other reviewers' verdicts on these reviews were read."""

    def __init__(self, reviews: set[str]) -> None:
        super().__init__()
        self.reviews = reviews


class VerdictActions(Base):
    """The part of the Review screen that keeps verdicts.

    Keys are handled one after the other, so that a verdict is written before the next key does anything.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        key("0", "label(0)", N_("Label wrong"), N_("The label is wrong: negative"), show=True, display="0 1"),
        key("1", "label(1)", N_("Label wrong"), N_("The label is wrong: positive")),
        key("d", "verdict('model_wrong')", N_("Model wrong"), N_("The label is right, the model is wrong")),
        key("a", "verdict('ambiguous')", N_("Ambiguous"), N_("Neither label fits better than the other")),
        key("s", "verdict('sarcasm')", N_("Sarcasm"), N_("Sarcasm: it means the opposite of what it says")),
        key("c", "verdict('needs_context')", N_("Needs context"), N_("Cannot be told without knowing the film")),
        key("backspace", "verdict('')", N_("Clear"), N_("Take the verdict on this review away")),
        key("t", "tags", N_("Tags"), N_("Tags of this review, or of the marked ones")),
        key("N", "note", N_("Note"), N_("A note on this review")),
        key("u", "undo", N_("Undo"), N_("Take the last verdict back")),
        key("ctrl+r", "redo", N_("Redo"), N_("Do again what was taken back")),
        key("space", "mark", N_("Mark"), N_("Mark this review, for A and t")),
        key("A", "apply", N_("Apply to all"), N_("One verdict for all marked reviews, or for the whole queue")),
        key("R", "relabel", N_("Corrected data"), N_("Write the data with the labels put right, for the next run")),
        key("greater_than_sign", "advance", N_("Go on or stay"), N_("After a verdict: go on, or stay"), display=">"),
    ]

    session: ReviewSession | None
    _advance = True

    # What the screen gives.
    def verdicts_changed(self, reviews: Sequence[str] | set[str]) -> None:
        """Draw what hangs on the verdicts of these reviews."""
        raise NotImplementedError

    def show_kept(self, text: str) -> None:
        """Say quietly what was kept."""
        raise NotImplementedError

    def go_to_position(self, position: int) -> None:
        """Show the review at `position`."""
        raise NotImplementedError

    @property
    def _log(self) -> ReviewLog | None:
        return self.session.log if self.session is not None else None

    def start_verdicts(self) -> None:
        """Begin to look for other reviewers' verdicts."""
        self._advance = load_settings().get("review_advance") is not False
        self.set_interval(LOOK_INTERVAL, self._look_for_others)

    # -- one review --------------------------------------------------------------------------------------------

    async def action_label(self, label: int) -> None:
        """The label of the review in view is wrong, and `label` is right."""
        review = self.session.current if self.session is not None else None
        if review is None:
            return
        if review.label == label:
            name = (_("negative"), _("positive"))[label]
            self.nsmc.say(_("It is labelled {label} already: d says that the model is wrong.").format(label=name))
            return
        await self._judge("label_wrong", label)

    async def action_verdict(self, verdict: str) -> None:
        """Give the review in view this verdict; empty: none."""
        if self.session is not None and self.session.row is not None:
            await self._judge(verdict or None, None)

    async def _judge(self, verdict: str | None, label: int | None) -> None:
        session, log = self.session, self._log
        if session is None or log is None or session.row is None:
            return
        review = session.review_id(session.row)
        opinion = log.shown(review).with_verdict(verdict, label)
        if await self._keep([(review, opinion)]):
            self.show_kept(_("{verdict} · #{id}").format(verdict=verdict_name(verdict, label), id=visible(review)))
            if self._advance and verdict is not None:
                self.go_to_position(session.position + 1)

    async def _keep(self, changes: list[tuple[str, Opinion]]) -> bool:
        """Whether these are on disk; an error is told, and nothing of it is shown as kept."""
        log = self._log
        assert log is not None
        try:
            # The key's handler waits for the disk, the screen does not.
            await asyncio.to_thread(log.keep, changes)
        except NsmcTuiError as error:
            self.nsmc.report(error)
            return False
        finally:
            self._note_changes()
        return True

    def _note_changes(self) -> None:
        """Take over what is in the file now, one's own and others'."""
        if self.session is not None and self.session.log is not None:
            reviews = self.session.log.refresh()
            self.session.table.note_changes(reviews)
            self.verdicts_changed(reviews)

    async def action_undo(self) -> None:
        """Take the last verdict back, and show its review."""
        if self._log is not None:
            await self._again(self._log.undo, _("nothing to undo"), _("undone: {verdict} · #{id}"), _("{n} undone"))

    async def action_redo(self) -> None:
        """Do again what was taken back."""
        if self._log is not None:
            await self._again(self._log.redo, _("nothing to redo"), _("redone: {verdict} · #{id}"), _("{n} redone"))

    async def _again(self, step: Callable[[], Action | None], nothing: str, one: str, many: str) -> None:
        session = self.session
        assert session is not None
        try:
            action = await asyncio.to_thread(step)
        except NsmcTuiError as error:
            self.nsmc.report(error)
            return
        if action is None:
            self.show_kept(nothing)
            return
        self._note_changes()
        review, _before, after = action.changes[0]
        if len(action.changes) == 1:
            verdict = verdict_name(after.verdict, after.new_label)
            place = session.place_of_id(review)
            if place is not None:
                self.go_to_position(place)
            self.show_kept(one.format(verdict=verdict, id=visible(review)))
        else:
            self.show_kept(many.format(n=formats.count(len(action.changes))))

    # -- tags and notes ----------------------------------------------------------------------------------------

    def action_tags(self) -> None:
        """Ask for the tags."""
        session, log = self.session, self._log
        if session is None or log is None or session.row is None:
            return
        used = sorted({tag for opinion in log.held().values() for tag in opinion.tags})
        note = _("used: {tags}").format(tags=" ".join(used[:8])) if used else _("words with spaces between them")
        if session.marked:
            label = _("add tags to {n} marked").format(n=formats.count(len(session.marked)))
            self.query_one(PromptLine).ask("tags", label, "", note)
        else:
            tags = log.shown(session.review_id(session.row)).tags
            self.query_one(PromptLine).ask("tags", _("tags"), " ".join(tags), note)

    def action_note(self) -> None:
        """Ask for the note."""
        session, log = self.session, self._log
        if session is None or log is None or session.row is None:
            return
        self.query_one(PromptLine).ask("note", _("note"), log.shown(session.review_id(session.row)).note)

    async def keep_tags(self, text: str) -> bool:
        """Keep the tags that were typed: those of the review in view, or more for the marked ones."""
        session, log = self.session, self._log
        assert session is not None
        assert log is not None
        tags = tuple(dict.fromkeys(text.replace(",", " ").split()))
        if session.marked:
            shown = {session.review_id(row): log.shown(session.review_id(row)) for row in sorted(session.marked)}
            changes = [
                (review, replace(opinion, tags=tuple(dict.fromkeys([*opinion.tags, *tags]))))
                for review, opinion in shown.items()
            ]
        else:
            assert session.row is not None
            review = session.review_id(session.row)
            changes = [(review, replace(log.shown(review), tags=tags))]
        if not await self._keep(changes):
            return False
        count = _(" · {n} reviews").format(n=formats.count(len(changes))) if len(changes) > 1 else ""
        self.show_kept((_("tags: {tags}").format(tags=visible(" ".join(tags))) if tags else _("no tags")) + count)
        return True

    async def keep_note(self, text: str) -> bool:
        """Keep the note that was typed."""
        session, log = self.session, self._log
        assert session is not None
        assert session.row is not None
        assert log is not None
        review = session.review_id(session.row)
        if not await self._keep([(review, replace(log.shown(review), note=text.strip()))]):
            return False
        self.show_kept(_("note kept · #{id}").format(id=visible(review)) if text.strip() else _("no note"))
        return True

    # -- many reviews ------------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark the review in view and go on, or take its mark away."""
        session = self.session
        if session is None or session.row is None:
            return
        review = session.review_id(session.row)
        session.toggle_mark()
        self.verdicts_changed({review})
        self.go_to_position(session.position + 1)

    def action_apply(self) -> None:
        """Choose a verdict for all marked reviews, or for the whole queue."""
        from tui.screens.apply_dialog import ApplyDialog

        session, log = self.session, self._log
        if session is None or log is None or not len(session):
            return
        self.app.push_screen(ApplyDialog(session), self._apply)

    @work(exclusive=True, group="apply")
    async def _apply_to(self, rows: list[int], verdict: str | None, label: int | None) -> None:
        session, log = self.session, self._log
        assert session is not None
        assert log is not None
        changes = []
        for row in rows:
            review = session.review_id(row)
            # A label that is right already cannot be wrong.
            if verdict != "label_wrong" or session.label[row] != label:
                changes.append((review, log.shown(review).with_verdict(verdict, label)))
        if changes and await self._keep(changes):
            session.marked.clear()
            self.verdicts_changed({review for review, _opinion in changes})
            self.show_kept(
                _("{verdict} · {n} reviews").format(verdict=verdict_name(verdict, label), n=formats.count(len(changes)))
            )

    def _apply(self, chosen: tuple[str | None, int | None] | None) -> None:
        if chosen is not None and self.session is not None:
            self._apply_to(self.session.targets(), *chosen)

    def action_advance(self) -> None:
        """Go on after a verdict, or stay; remembered."""
        self._advance = not self._advance
        self.show_kept(_("after a verdict: next review") if self._advance else _("after a verdict: stay"))
        try:
            save_setting("review_advance", None if self._advance else False)
        except OSError as error:
            self.nsmc.say(_("the setting could not be kept: {reason}").format(reason=error), severity="warning")

    # -- the corrected data ------------------------------------------------------------------------------------

    def action_relabel(self) -> None:
        """Ask where to write the corrected data."""
        self.query_one(PromptLine).ask(
            "relabel", _("corrected data to"), str(self.run_dir / "relabelled"), _("a new directory")
        )

    async def write_relabelled(self, text: str) -> bool:
        """Write the corrected data into the directory that was typed."""
        from pathlib import Path

        from core.relabel import relabel

        self.query_one(PromptLine).note(_("writing …"))
        try:
            done = await asyncio.to_thread(relabel, self.run_dir, Path(text.strip()).expanduser())
        except NsmcTuiError as error:
            self.query_one(PromptLine).note(f"{error.message} {error.hint}", wrong=True)
            return False
        self.app.copy_to_clipboard(done.data_section())
        lines = [
            _("{n} labels changed in {path}").format(
                n=formats.count(done.changed["train"]), path=done.directory / "ratings_train.txt"
            ),
            _("The [data] section for the next run is in the clipboard."),
        ]
        if done.test_verdicts:
            lines.append(_("{n} test labels were left as they are.").format(n=formats.count(done.test_verdicts)))
        self.nsmc.say("\n".join(lines), timeout=12)
        return True

    # -- others ------------------------------------------------------------------------------------------------

    @work(exclusive=True, group="others")
    async def _look_for_others(self) -> None:
        log = self._log
        if log is None or not self.is_current:
            return
        try:
            changed = await asyncio.to_thread(log.refresh)
        except OSError:
            # A file system that does not answer now is asked again soon; a verdict would say so itself.
            return
        if changed:
            self.post_message(OthersJudged(changed))

    def on_others_judged(self, message: OthersJudged) -> None:
        """Show what others wrote."""
        if self.session is not None:
            self.session.table.note_changes(message.reviews)
            self.verdicts_changed(message.reviews)
