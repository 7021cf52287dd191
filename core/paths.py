"""Where things live: the runs directory, the cache, the user's settings (XDG directories)."""

from __future__ import annotations

import os
from pathlib import Path

APP = "nsmc-tui"


def runs_dir(option: str | os.PathLike[str] | None = None) -> Path:
    """The runs directory: `option` (`--runs`), else `NSMC_TUI_RUNS`, else `./runs`."""
    return Path(option or os.environ.get("NSMC_TUI_RUNS") or "runs").expanduser().resolve()


def cache_dir() -> Path:
    """Where derived data is kept that can be made again: `NSMC_TUI_CACHE`, else the user's cache directory."""
    configured = os.environ.get("NSMC_TUI_CACHE")
    if configured:
        return Path(configured).expanduser().resolve()
    import platformdirs

    return Path(platformdirs.user_cache_dir(APP, appauthor=False))


def settings_file() -> Path:
    """The user's settings: `NSMC_TUI_SETTINGS`, else `settings.toml` in the user's config directory."""
    configured = os.environ.get("NSMC_TUI_SETTINGS")
    if configured:
        return Path(configured).expanduser()
    import platformdirs

    return Path(platformdirs.user_config_dir(APP, appauthor=False)) / "settings.toml"


def write_atomically(path: Path, data: str | bytes, *, durable: bool = True) -> None:
    """Replace `path` with `data` so that a reader sees the old content or the new, never a part.

    `durable`: it is on the disk when this returns, where a machine that loses power leaves the old content or the new.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    raw = data.encode() if isinstance(data, str) else data
    try:
        with temporary.open("wb") as file:
            file.write(raw)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        # There is one only after a failure, an interrupt among them.
        temporary.unlink(missing_ok=True)
