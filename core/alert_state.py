"""What the user has acknowledged, and what this user's apps have sent: one small file shared by all of them."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core import foreign_json
from core.paths import settings_file, write_atomically

FORGET_AFTER = 30 * 24 * 3600.0


def state_file() -> Path:
    """Where it is kept: beside the settings."""
    return settings_file().with_name("alerts.json")


class AlertState:
    """Keys of alerts with the moment when they were acknowledged or sent; forgotten after 30 days."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or state_file()
        self._acknowledged: dict[str, float] = self._read().get("acknowledged", {})

    def acknowledged(self, key: str) -> bool:
        """Whether the user has seen this alert."""
        return key in self._acknowledged

    def acknowledge(self, keys: list[str]) -> None:
        """Keep that these have been seen. Raises OSError when the file cannot be written; it holds until then."""
        now = time.time()
        self._acknowledged.update(dict.fromkeys(keys, now))
        with self._changing() as content:
            content.setdefault("acknowledged", {}).update(dict.fromkeys(keys, now))
            self._acknowledged = {**self._acknowledged, **content["acknowledged"]}

    def claim(self, key: str) -> bool:
        """Whether this app is the first to send `key`: of several apps of one user exactly one is told so.

        Raises OSError when that cannot be kept.
        """
        with self._changing() as content:
            sent = content.setdefault("sent", {})
            if key in sent:
                return False
            sent[key] = time.time()
            return True

    def _read(self) -> dict[str, dict[str, float]]:
        try:
            content = foreign_json.parse(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        if not isinstance(content, dict):
            return {}
        young = time.time() - FORGET_AFTER
        return {
            part: {
                str(key): float(moment)
                for key, moment in content[part].items()
                if isinstance(moment, int | float) and moment > young
            }
            for part in ("acknowledged", "sent")
            if isinstance(content.get(part), dict)
        }

    @contextmanager
    def _changing(self) -> Iterator[dict[str, dict[str, float]]]:
        """The file's content, written back when the block ends, while no other app can."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            content = self._read()
            yield content
            write_atomically(self._path, json.dumps(content, ensure_ascii=False))
