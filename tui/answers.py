"""What a screen asks of a process of its own (`core.answering`), whose progress is told meanwhile."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from core.i18n import environment
from core.i18n import gettext as _

# Of what libraries write in between, no more than this is looked through for the end of a line.
LONGEST = 1 << 16

Progress = Callable[[str, int, int], None]


async def ask(module: str, request: dict[str, Any], on_progress: Progress | None = None) -> dict[str, Any]:
    """The document with which `python -m MODULE` answers, or one with `error`, `message` and `hint`.

    `on_progress` gets phase, done and total of each line of JSON that tells them on its stderr. Cancelled, it ends the
    process.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        module,
        json.dumps(request),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        output, last = await asyncio.gather(process.stdout.read(), _follow(process.stderr, on_progress))
        await process.wait()
    except asyncio.CancelledError:
        # It may have ended just now.
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if output.strip():
        document: dict[str, Any] = json.loads(output)
        return document
    failed = _("{module} ended with code {code}").format(module=module, code=process.returncode)
    return {"error": "process", "message": failed, "hint": last}


async def _follow(stream: asyncio.StreamReader, on_progress: Progress | None) -> str:
    """Take lines until the end; the last one that says something."""
    rest, last = b"", ""
    while more := await stream.read(LONGEST):
        *lines, rest = (rest + more).split(b"\n")
        rest = rest[-LONGEST:]
        for line in lines:
            last = line.decode("utf-8", "replace").strip() or last
            told = _figures(line)
            if told is not None and on_progress is not None:
                on_progress(*told)
    return rest.decode("utf-8", "replace").strip() or last


def _figures(line: bytes) -> tuple[str, int, int] | None:
    """The progress in a line; None for what a library printed."""
    try:
        told = json.loads(line)
        return str(told["phase"]), int(told["done"]), int(told["total"])
    except (ValueError, KeyError, TypeError):
        return None
