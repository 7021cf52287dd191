"""Upkeep of the message catalogues: `python -m core.i18n.catalogue` collects, merges and compiles.

Needs Babel (in the dev extra). Every text marked with `_()`, `ngettext()` or `N_()` in core and tui is collected;
translations that exist are kept, texts that are gone are dropped.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from core.i18n import DOMAIN, LANGUAGES, LOCALE_DIR

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog, Message

ROOT = Path(__file__).resolve().parents[2]
KEYWORDS = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)}


def collect() -> Catalog:
    """All marked texts of the sources, as a template without translations."""
    from babel.messages.catalog import Catalog
    from babel.messages.extract import extract_from_file

    template = Catalog(domain=DOMAIN, project="nsmc-tui", charset="utf-8")
    for package in ("core", "tui"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            # Without line numbers: the catalogue changes when texts change, not when code moves.
            for _line, message, _comments, _context in extract_from_file("python", path, KEYWORDS, ()):
                if message:
                    template.add(message, locations=[(name, 0)])
    for text in setting_descriptions():
        template.add(text, locations=[("core/config.py", 0)])
    return template


def setting_descriptions() -> list[str]:
    """What the config's fields say about themselves, on one line each: shown in the form, translated like `_()`."""
    from core.config_file import one_line, section_models

    return [
        one_line(field.description)
        for model in section_models().values()
        for field in model.model_fields.values()
        if field.description
    ]


def po_path(language: str) -> Path:
    """The catalogue that translators edit."""
    return LOCALE_DIR / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(language: str) -> Catalog:
    """The translations there are for `language`; an empty catalogue when there are none yet."""
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import read_po

    path = po_path(language)
    if not path.is_file():
        return Catalog(locale=language, domain=DOMAIN)
    with path.open("rb") as file:
        return read_po(file, locale=language, domain=DOMAIN)


def compiled(language: str) -> bytes:
    """The binary catalogue of what the .po file says now."""
    from babel.messages.mofile import write_mo

    buffer = io.BytesIO()
    write_mo(buffer, read(language))
    return buffer.getvalue()


def update(language: str) -> list[str]:
    """Merge the sources' texts into the catalogue of `language`, compile it, and return what is untranslated."""
    from babel.messages.pofile import write_po

    catalogue = read(language)
    catalogue.update(collect(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    path = po_path(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalogue, width=110, sort_output=True, include_lineno=False, ignore_obsolete=True)
    path.with_suffix(".mo").write_bytes(compiled(language))
    return [str(message.id) for message in catalogue if message.id and not whole(message)]


def whole(message: Message) -> bool:
    """Whether a message has its translation, and each of its plural forms one."""
    if message.pluralizable:
        return isinstance(message.string, tuple | list) and bool(message.string) and all(message.string)
    return bool(message.string)


def main() -> int:
    """Update all catalogues; exit code 1 while texts are untranslated."""
    missing = {language: update(language) for language in LANGUAGES if language != "en"}
    for language, texts in missing.items():
        for text in texts:
            print(f"{language}: {text!r}", file=sys.stderr)
    return 1 if any(missing.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
