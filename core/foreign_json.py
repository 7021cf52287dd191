"""Reading JSON and TOML that anyone may have written."""

from __future__ import annotations

import json
from typing import Any


def parse(text: bytes | str) -> Any:
    """What JSON `text` says. Raises ValueError for everything that is none, however deep its brackets are nested.

    Python's reader raises RecursionError for that, which would end whoever reads a log with one such line in it.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def parse_toml(text: str) -> dict[str, Any]:
    """The same for TOML. Raises ValueError (`tomllib.TOMLDecodeError` is one)."""
    # Not every start of the program reads TOML.
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error
