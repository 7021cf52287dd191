"""The user's own settings (`settings.toml`): language, theme, colours, ASCII drawing, columns. All optional."""

from __future__ import annotations

from typing import Any

from core import foreign_json
from core.paths import settings_file

DEFAULTS: dict[str, Any] = {"lang": None, "theme": None, "colours": None, "ascii": False, "runs_columns": None}


def load_settings() -> dict[str, Any]:
    """The settings, defaults filled in. A missing or unreadable file means defaults: settings never stop the app."""
    try:
        text = settings_file().read_text(encoding="utf-8")
    except (OSError, ValueError):
        return dict(DEFAULTS)
    try:
        values = foreign_json.parse_toml(text)
    except ValueError:
        values = {}
    return {**DEFAULTS, **values}


def save_setting(key: str, value: Any) -> None:
    """Write one setting, keeping the file's comments. Raises OSError when the file cannot be written."""
    import tomlkit

    from core.paths import write_atomically

    path = settings_file()
    document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.is_file() else tomlkit.document()
    if value is None:
        document.pop(key, None)
    else:
        document[key] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, tomlkit.dumps(document))
