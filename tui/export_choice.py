"""What a screen can write to a file, without widgets: where it would go, and the command that does the same."""

from __future__ import annotations

import os
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from core.export_files import ExportError, check_free

Progress = Callable[[int, int], None]
"""Called with what is done and all of it, from any thread; raises `StoppedError` once the user wants no more of it."""

Write = Callable[[Path, bool, Progress], Awaitable[list[Path]]]
"""Writes to a path, over what is there where the second argument says so; gives the paths that were written."""


class StoppedError(Exception):
    """The user has ended an export that was under way; nothing stands under its name."""


@dataclass(frozen=True, eq=False)
class ExportChoice:
    """One kind of file.

    name: for a list. about: what is in it, counted. file: the name that is proposed. command: the words of the command
    that writes the same, `{path}` standing for the path; empty where there is none.
    check: raises ExportError when a path may not be written to (over what is there, where the second argument says so).
    """

    name: str
    about: str
    file: str
    write: Write
    command: tuple[str, ...] = ()
    check: Callable[[Path, bool], None] = check_free

    def command_line(self, path: Path) -> str:
        """The command for a terminal."""
        return shlex.join(str(path) if word == "{path}" else word for word in self.command)


def resolve(typed: str, choice: ExportChoice) -> Path:
    """The whole path that `typed` means: `~` and the working directory put in, in a directory the proposed name."""
    path = Path(os.path.normpath(Path(typed.strip() or choice.file).expanduser().absolute()))
    ends = typed.rstrip().endswith(os.sep)
    return path / choice.file if choice.check is check_free and (ends or path.is_dir()) else path


def moved(typed: str, before: ExportChoice, after: ExportChoice) -> str:
    """`typed` for another kind of file: a name that was only proposed becomes the other one's."""
    head, name = os.path.split(typed)
    return os.path.join(head, after.file) if name in ("", before.file) else typed


def obstacle(path: Path, choice: ExportChoice) -> tuple[ExportError | None, bool]:
    """What is in the way of writing to `path`, None where nothing is; and whether it may be replaced."""
    try:
        choice.check(path, False)
    except ExportError as error:
        try:
            choice.check(path, True)
        except ExportError:
            return error, False
        return error, True
    return None, False


def completed(typed: str) -> str | None:
    """`typed` with the rest of the first name that begins so, a directory's with a slash; None where none does."""
    head, begun = os.path.split(typed)
    if not typed or (not begun and not head):
        return None
    try:
        with os.scandir(Path(head or ".").expanduser()) as entries:
            names = sorted(
                (entry.name + (os.sep if entry.is_dir() else ""))
                for entry in entries
                if entry.name.startswith(begun) and (begun or not entry.name.startswith("."))
            )
    except (OSError, RuntimeError):
        return None
    return next((os.path.join(head, name) for name in names if name != begun), None)
