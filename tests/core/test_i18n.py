"""Both languages are whole: nothing untranslated, the compiled catalogue is what the text file says."""

from __future__ import annotations

import re

import pytest

from core.i18n import catalogue, detect_language, gettext, language, ngettext, set_language


def test_korean_is_complete() -> None:
    known = {str(message.id): message for message in catalogue.read("ko") if message.id}
    missing = [text for message in catalogue.collect() if (text := str(message.id)) and text not in known]
    assert not missing, f"run `make i18n`: {missing[:5]}"
    empty = [text for text, message in known.items() if not catalogue.whole(message) or message.fuzzy]
    assert not empty, empty[:5]


def test_compiled_catalogue_is_current() -> None:
    assert catalogue.po_path("ko").with_suffix(".mo").read_bytes() == catalogue.compiled("ko")


def test_translations_keep_their_placeholders() -> None:
    fields = re.compile(r"\{[^{}]*\}")
    for message in catalogue.read("ko"):
        if message.id:
            texts = [
                text for form in (message.id, message.string) for text in ([form] if isinstance(form, str) else form)
            ]
            names = [sorted(re.sub(r"[:!].*", "}", field) for field in fields.findall(text)) for text in texts]
            assert all(found == names[0] for found in names), message.id


def test_one_of_something_is_told_as_one() -> None:
    texts = ("{n} run", "{n} runs")
    assert [ngettext(*texts, n).format(n=n) for n in (0, 1, 2, 1.5)] == ["0 runs", "1 run", "2 runs", "1.5 runs"]
    set_language("ko")
    assert [ngettext(*texts, n).format(n=n) for n in (1, 2)] == ["실행 1개", "실행 2개"]


def test_language_follows_option_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    assert detect_language() == "ko"
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert detect_language() == "en"
    monkeypatch.setenv("NSMC_TUI_LANG", "ko")
    assert detect_language() == "ko"
    set_language("ko")
    assert language() == "ko"
    assert gettext("accuracy") == "정확도"
    set_language("xx")
    assert gettext("accuracy") == "accuracy"
