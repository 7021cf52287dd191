"""Verdicts on reviews: `review.jsonl` of a run, appended to by everyone who reviews, never rewritten.

Each line says all that its writer holds of one review from then on (verdict, new label, tags, note), so that a reader
who takes the last line of each review is right. Undo and redo are lines too: they say again what stood before.
"""

from __future__ import annotations

import errno
import getpass
import os
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.errors import DiskFullError, RunError
from core.events import encode
from core.i18n import N_
from core.i18n import gettext as _
from core.tail import JsonlTail

REVIEW_FILE = "review.jsonl"
VERSION = 1

VERDICTS = {
    "label_wrong": N_("label wrong"),
    "model_wrong": N_("model wrong"),
    "ambiguous": N_("ambiguous"),
    "sarcasm": N_("sarcasm"),
    "needs_context": N_("needs context"),
}
"""What can be said of a review in one word. Only `label_wrong` has a new label."""

CHUNK = 100_000


def reviewer() -> str:
    """Who reviews: `NSMC_TUI_REVIEWER`, else the user's name."""
    name = os.environ.get("NSMC_TUI_REVIEWER", "").strip()
    if name:
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container's user need not have a name.
        return f"uid {os.getuid()}"


@dataclass(frozen=True)
class Opinion:
    """What one reviewer holds of one review.

    verdict: a key of VERDICTS, or None. new_label: 0 or 1 with `label_wrong`, else None. ts: seconds since the epoch.
    """

    verdict: str | None = None
    new_label: int | None = None
    tags: tuple[str, ...] = ()
    note: str = ""
    by: str = ""
    ts: float = 0.0

    @property
    def empty(self) -> bool:
        """Whether nothing is held (any more)."""
        return self.verdict is None and not self.tags and not self.note

    def says(self) -> tuple[Any, ...]:
        """What two opinions have to share to be the same verdict."""
        return self.verdict, self.new_label

    def with_verdict(self, verdict: str | None, new_label: int | None = None) -> Opinion:
        """The same tags and note under another verdict."""
        return replace(self, verdict=verdict, new_label=new_label if verdict == "label_wrong" else None)


@dataclass(frozen=True)
class Action:
    """What one key did: for each review what was shown before and what was held after it. `group` names it."""

    group: str
    changes: tuple[tuple[str, Opinion, Opinion], ...]

    @property
    def ids(self) -> list[str]:
        """The reviews it changed."""
        return [review for review, _before, _after in self.changes]


@dataclass(frozen=True)
class _Held:
    """An opinion, and when it was formed: taking a later one back does not make it a new one."""

    opinion: Opinion = Opinion()
    order: int = 0


@dataclass
class _Building:
    group: str
    changes: dict[str, tuple[_Held, _Held]] = field(default_factory=dict)


@dataclass
class _Steps:
    """The actions of one reviewer that stand, and those that were taken back."""

    done: list[_Building] = field(default_factory=list)
    undone: list[_Building] = field(default_factory=list)


class ReviewLog:
    """The verdicts on one split of a run, read as they come and written one append an action.

    Of several reviewers each holds an opinion of their own (`opinions`); `shown` is the latest of those that say
    something. Writing raises RunError or DiskFullError, and then nothing of it is held.
    """

    def __init__(self, run_dir: Path, split: str, by: str | None = None) -> None:
        self.path = run_dir / REVIEW_FILE
        self.split = split
        self.by = reviewer() if by is None else by
        self._tail = JsonlTail(self.path)
        self._opinions: dict[str, dict[str, _Held]] = {}
        self._shown: dict[str, Opinion] = {}
        self._steps: dict[str, _Steps] = {}
        self._count = 0
        self._changed: set[str] = set()
        # A screen looks for others' verdicts in one thread while it writes in another.
        self._lock = threading.RLock()

    # -- reading -----------------------------------------------------------------------------------------------

    def refresh(self) -> set[str]:
        """Read what was appended, by anyone; the reviews whose opinions changed since the last call."""
        with self._lock:
            self._refresh()
            changed, self._changed = self._changed, set()
            return changed

    def _refresh(self) -> None:
        while True:
            # A file that was replaced is read from its start: what was held of it goes.
            before = self._tail.restarts
            records = self._tail.read(CHUNK, 60.0)
            if self._tail.restarts != before:
                self._changed |= set(self._shown)
                self._forget()
            for record in records:
                review = self._take(record)
                if review is not None:
                    self._changed.add(review)
            if not records:
                return

    def _forget(self) -> None:
        self._opinions.clear()
        self._shown.clear()
        self._steps.clear()

    @property
    def skipped(self) -> int:
        """Lines that could not be read."""
        return self._tail.skipped

    def shown(self, review: str) -> Opinion:
        """The opinion that counts for a review: the latest that says something; an empty one where there is none."""
        return self._shown.get(review, Opinion())

    def opinions(self, review: str) -> list[Opinion]:
        """What each reviewer holds of a review, the latest first, empty ones left out."""
        held = [held for held in self._opinions.get(review, {}).values() if not held.opinion.empty]
        return [held.opinion for held in sorted(held, key=lambda held: -held.order)]

    def conflict(self, review: str) -> bool:
        """Whether reviewers gave different verdicts."""
        return len({opinion.says() for opinion in self.opinions(review) if opinion.verdict is not None}) > 1

    def held(self) -> dict[str, Opinion]:
        """The opinion that counts of every review that has one."""
        return {review: opinion for review, opinion in self._shown.items() if not opinion.empty}

    def _take(self, record: dict[str, Any]) -> str | None:
        review, split = record.get("id"), record.get("split", self.split)
        if not isinstance(review, str) or split != self.split:
            return None
        opinion = opinion_of(record)
        self._count += 1
        of_review = self._opinions.setdefault(review, {})
        before = of_review.get(opinion.by, _Held())
        of_review[opinion.by] = self._step(record, review, before, _Held(opinion, self._count))
        counted = self.opinions(review)
        self._shown[review] = counted[0] if counted else Opinion()
        return review

    def _step(self, record: dict[str, Any], review: str, before: _Held, after: _Held) -> _Held:
        """Note what its writer can take back; what is held after the record."""
        steps = self._steps.setdefault(after.opinion.by, _Steps())
        for name, source, target in (("undo", steps.done, steps.undone), ("redo", steps.undone, steps.done)):
            group = record.get(name)
            if not isinstance(group, str):
                continue
            # The lines of one undo come together; the first of them moves the action over.
            if source and source[-1].group == group:
                target.append(source.pop())
            moved = target[-1].changes.get(review) if target and target[-1].group == group else None
            if moved is None:
                return after
            return replace(after, order=moved[0 if name == "undo" else 1].order)
        group = str(record.get("group") or uuid.uuid4().hex)
        if not steps.done or steps.done[-1].group != group:
            steps.done.append(_Building(group))
        changes = steps.done[-1].changes
        changes[review] = (changes[review][0] if review in changes else before, after)
        steps.undone.clear()
        return after

    # -- writing -----------------------------------------------------------------------------------------------

    def keep(self, changes: Sequence[tuple[str, Opinion]]) -> None:
        """Write one action: what is held of each of these reviews from now on. On disk when it returns."""
        with self._lock:
            self._append(changes)

    def undo(self) -> Action | None:
        """Take back the last action of this reviewer that stands; None when there is none."""
        with self._lock:
            self._refresh()
            return self._again(self._mine.done, "undo")

    def redo(self) -> Action | None:
        """Do again what was taken back last; None when there is none."""
        with self._lock:
            self._refresh()
            return self._again(self._mine.undone, "redo")

    @property
    def _mine(self) -> _Steps:
        return self._steps.get(self.by, _Steps())

    @property
    def can_undo(self) -> bool:
        """Whether there is an action to take back."""
        return bool(self._mine.done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an action to do again."""
        return bool(self._mine.undone)

    def _again(self, stack: list[_Building], name: str) -> Action | None:
        if not stack:
            return None
        found = stack[-1]
        changes = tuple((review, old.opinion, new.opinion) for review, (old, new) in found.changes.items())
        states = [(review, old if name == "undo" else new) for review, old, new in changes]
        self._append(states, **{name: found.group})
        return Action(found.group, changes)

    def _append(self, changes: Iterable[tuple[str, Opinion]], **extra: str) -> None:
        group = uuid.uuid4().hex[:12]
        moment = round(time.time(), 3)
        lines = []
        for review, opinion in changes:
            record = {
                "v": VERSION,
                "ts": moment,
                "split": self.split,
                "id": review,
                "verdict": opinion.verdict,
                "new_label": opinion.new_label,
                "tags": list(opinion.tags),
                "note": opinion.note,
                "by": self.by,
                "group": group,
                **extra,
            }
            lines.append(encode(record))
        try:
            append_synced(self.path, "".join(lines).encode())
        except OSError as error:
            raise _not_kept(self.path, error) from error
        finally:
            # Whatever the file holds is what counts, also after a write that failed half way.
            self._refresh()


def opinion_of(record: dict[str, Any]) -> Opinion:
    """The opinion in a record of the file; what it does not know is left out."""
    verdict, label, tags, ts = (record.get(name) for name in ("verdict", "new_label", "tags", "ts"))
    return Opinion(
        verdict=verdict if isinstance(verdict, str) and verdict else None,
        new_label=label if label in (0, 1) and not isinstance(label, bool) else None,
        tags=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
        note=str(record.get("note") or ""),
        by=str(record.get("by") or ""),
        ts=float(ts) if isinstance(ts, int | float) and not isinstance(ts, bool) else 0.0,
    )


def append_synced(path: Path, data: bytes) -> None:
    """Append whole lines in a single write and force them to the disk. Raises OSError when not all of it is there."""
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            # Someone died in the middle of a line: it is closed off.
            data = b"\n" + data
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _not_kept(path: Path, error: OSError) -> RunError | DiskFullError:
    reason = error.strerror or str(error)
    message = _("not kept: {path} cannot be written: {reason}").format(path=path, reason=reason)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFullError(message, _("Make room there and press the key again; what was kept before is safe."))
    return RunError(message, _("You need write access to {path}.").format(path=path.parent))


def verdict_name(verdict: str | None, new_label: int | None = None) -> str:
    """A verdict as people say it, with the new label: `label wrong → positive`."""
    if verdict is None:
        return _("no verdict")
    name = _(VERDICTS[verdict]) if verdict in VERDICTS else verdict
    if new_label is None:
        return name
    return f"{name} → {(_('negative'), _('positive'))[new_label]}"
