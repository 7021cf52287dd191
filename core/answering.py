"""The other end of a headless command that needs heavy packages: a request in, one JSON document out."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from core.errors import NsmcTuiError
from core.events import jsonable
from core.failures import explain
from core.i18n import gettext as _

DEBUG = "NSMC_TUI_DEBUG"
"""Set where the asker wants to see tracebacks (`--debug`)."""


def answer(work: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
    """Give the request in the first argument to `work` and print its document, or its error, to stdout.

    Whatever libraries print meanwhile goes to stderr, and so does a traceback where `DEBUG` is set. Returns the
    process's exit code.
    """
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.loads(sys.argv[1])
    try:
        document = work(request)
    except NsmcTuiError as error:
        document = _failure(error)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - whatever a library raises has to reach the asker as an answer
        if os.environ.get(DEBUG):
            traceback.print_exception(error, file=sys.stderr)
        document = _failure(explain(error, request.get("batch_size"), way_to_more()))
    print(json.dumps(jsonable(document), ensure_ascii=False), file=out, flush=True)
    return 0


def way_to_more() -> str:
    """The hint for an error that nothing is known of where there is no run whose log could tell more."""
    return _("`nsmc-tui --debug` before the same command shows the whole traceback.")


def tell(name: str, done: int, total: int) -> None:
    """A line of progress for whoever started this process, on stderr."""
    print(json.dumps({"phase": name, "done": done, "total": total}), file=sys.stderr, flush=True)


def _failure(error: NsmcTuiError) -> dict[str, Any]:
    return {"error": error.code, "message": error.message, "hint": error.hint, "exit_code": error.exit_code}
