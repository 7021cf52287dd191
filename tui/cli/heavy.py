"""Asking a process that may import torch: one JSON request in, one JSON document out."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from core.errors import NsmcTuiError
from core.i18n import environment
from core.i18n import gettext as _


class HeavyWorkError(NsmcTuiError):
    """What a heavy process reported."""


def call(module: str, request: dict[str, Any]) -> dict[str, Any]:
    """Run `python -m module REQUEST` and return its document; its stderr goes to ours.

    Raises HeavyWorkError with the error it reported, or with its exit code when it said nothing.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", module, json.dumps(request)],
        stdout=subprocess.PIPE,
        check=False,
        env=environment(),
    )
    if done.returncode != 0 or not done.stdout.strip():
        raise HeavyWorkError(
            _("{module} ended with code {code}").format(module=module, code=done.returncode),
            _("The lines above tell why; `nsmc-tui doctor` checks the installation."),
        )
    document: dict[str, Any] = json.loads(done.stdout)
    if "error" in document:
        failure = HeavyWorkError(document["message"], document["hint"])
        failure.exit_code = document.get("exit_code", 1)
        raise failure
    return document
