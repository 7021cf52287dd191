"""The interface's language: one gettext domain for the terminal, the command line and the worker's messages.

The language is, in this order, the one set with `set_language` (`--lang`), `NSMC_TUI_LANG`, the user's
setting, and the locale (`LC_ALL`, `LC_MESSAGES`, `LANG`). English is the source language of all messages.
"""

from __future__ import annotations

import gettext as _gettext
import os
from pathlib import Path

DOMAIN = "nsmc_tui"
LANGUAGES = ("en", "ko")
LOCALE_DIR = Path(__file__).parent

_translations: _gettext.NullTranslations | None = None
_language = "en"


def detect_language(setting: str | None = None) -> str:
    """The language to speak when none was asked for: `setting`, else the environment's, else English."""
    chosen = os.environ.get("NSMC_TUI_LANG") or setting
    if chosen in LANGUAGES:
        return chosen
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable)
        if value:
            return "ko" if value.lower().startswith("ko") else "en"
    return "en"


def set_language(language: str) -> None:
    """Speak `language` (one of `LANGUAGES`) from now on; an unknown one means English."""
    global _translations, _language
    _language = language if language in LANGUAGES else "en"
    _translations = _gettext.translation(DOMAIN, LOCALE_DIR, [_language], fallback=True)


def language() -> str:
    """The language in use."""
    if _translations is None:
        set_language(detect_language())
    return _language


def environment() -> dict[str, str]:
    """The environment for a process that is to speak the language in use, too."""
    return {**os.environ, "NSMC_TUI_LANG": language()}


def gettext(message: str) -> str:
    """`message` in the language in use."""
    if _translations is None:
        set_language(detect_language())
    assert _translations is not None
    return _translations.gettext(message)


def ngettext(singular: str, plural: str, count: float) -> str:
    """The text for `count` things in the language in use: `singular` is for exactly one, as English has it."""
    if _translations is None:
        set_language(detect_language())
    assert _translations is not None
    return _translations.ngettext(singular, plural, 1 if count == 1 else 2)


def N_(message: str) -> str:
    """Mark `message` for the catalogue without translating it yet (for tables built at import)."""
    return message
