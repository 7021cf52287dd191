"""The text under heat: wrapping by cells, offsets of the raw text, nothing that a terminal would obey."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.color import ColorSystem
from syrupy.assertion import SnapshotAssertion
from textual.app import App, ComposeResult
from textual.strip import Strip

from core.inspector_client import inspector_session
from core.inspector_protocol import Inspection
from core.text import visible
from tests.core.tiny_models import save_model
from tests.tui.picture import picture
from tests.tui.review_helpers import NASTY, inspection_of
from tui import colour_depth
from tui.colour_depth import DEPTHS
from tui.heat_view import HeatChoice, heat_of
from tui.themes import DARK, LIGHT
from tui.widgets.token_strip import TokenStrip, cells_of, wrap


class StripApp(App[None]):
    """One strip and nothing else."""

    CSS = "TokenStrip { height: 6; }"

    def __init__(self, theme: str = "nsmc-dark") -> None:
        super().__init__()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = theme

    def compose(self) -> ComposeResult:
        yield TokenStrip()

    @property
    def strip(self) -> TokenStrip:
        return self.query_one(TokenStrip)

    def drawn(self) -> list[Strip]:
        return [self.strip.render_line(y) for y in range(self.strip.scrollable_content_region.height)]


def plain(strip: Strip) -> str:
    return "".join(segment.text for segment in strip)


@pytest.mark.parametrize("width", [2, 3, 7, 10, 33])
def test_lines_fit_and_lose_nothing_but_spaces(width: int) -> None:
    text = "뭐야 이 평점들은.... 나쁘진 않지만 10점 짜리는 더더욱 아니잖아 👨\u200d👩\u200d👧 " + NASTY
    lines = wrap(cells_of(text), width, text)
    for line in lines:
        assert sum(cell.width for cell in line) <= max(width, 2)
    kept = "".join(cell.display for line in lines for cell in line)
    assert kept.replace(" ", "") == visible(text).replace(" ", "")


def test_words_stay_whole_where_they_fit() -> None:
    text = "나쁘진 않지만 10점 짜리는"
    lines = ["".join(cell.display for cell in line).rstrip() for line in wrap(cells_of(text), 14, text)]
    assert lines == ["나쁘진 않지만", "10점 짜리는"]


def test_a_newline_of_the_text_breaks_the_line() -> None:
    text = "한 줄\n두 줄\n"
    assert ["".join(c.display for c in line) for line in wrap(cells_of(text), 40, text)] == ["한 줄␊", "두 줄␊", ""][:2]


def test_offsets_are_those_of_the_raw_text() -> None:
    text = "\u1112\u1161\u11ab글"
    cells = cells_of(text)
    assert [(cell.display, cell.start, cell.end) for cell in cells] == [("한", 0, 3), ("글", 3, 4)]


async def test_heat_stands_behind_its_own_words() -> None:
    app = StripApp()
    async with app.run_test(size=(60, 10)):
        text = "\u1112\u1161\u11ab\u1100\u1173\u11af 영화 최고"
        heat = heat_of(inspection_of(text), HeatChoice())
        assert heat is not None
        app.strip.show(text)
        app.strip.show_heat(heat)
        grounds = {}
        for segment in app.drawn()[0]:
            if segment.text.strip() and segment.style is not None and segment.style.bgcolor is not None:
                grounds[segment.text.strip()] = segment.style
        assert set(grounds) == {"한글", "영화", "최고"}
        weights = dict(zip(["한글", "영화", "최고"], heat.row, strict=True))
        bright = {name: sum(style.bgcolor.triplet) for name, style in grounds.items()}
        assert sorted(bright, key=bright.get) == sorted(weights, key=weights.get)
        # Colour is not alone: the hottest words are underlined.
        assert all(style.underline for style in grounds.values())


async def test_what_the_model_did_not_see_is_grey() -> None:
    app = StripApp()
    async with app.run_test(size=(60, 10)):
        text = "영화 최고 그리고 끝"
        inspection = inspection_of(text, cut=5)
        app.strip.show(text)
        app.strip.show_heat(heat_of(inspection, HeatChoice()), inspection.cut)
        beyond = [segment for segment in app.drawn()[0] if "그리고" in segment.text]
        assert len(beyond) == 1
        assert beyond[0].style is not None
        assert beyond[0].style.dim


@pytest.mark.parametrize("theme", ["nsmc-dark", "nsmc-light"])
@pytest.mark.parametrize("special", ["hidden", "shown"])
async def test_a_nasty_text_is_shown_in_full_and_harmlessly(theme: str, special: str) -> None:
    app = StripApp(theme)
    async with app.run_test(size=(40, 10)):
        app.strip.show(NASTY)
        app.strip.show_heat(heat_of(inspection_of(NASTY), HeatChoice(special=special)))
        strips = app.drawn()
        text = "".join(plain(strip) for strip in strips)
        assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in text)
        for part in ("[bold]", "[/x]", "␛]0;pwned␇", "탭␉과", "👨\u200d👩\u200d👧", "한글", "끝"):
            assert part in text
        assert {cell_len(plain(strip)) for strip in strips} == {40}
        assert ("[CLS]" in text) == (special == "shown")


async def test_without_colours_shades_stand_below_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    app = StripApp()
    async with app.run_test(size=(40, 10)):
        monkeypatch.setattr(app.console, "_color_system", ColorSystem.STANDARD)
        text = "영화 최고"
        heat = heat_of(inspection_of(text), HeatChoice())
        assert heat is not None
        app.strip.show(text)
        app.strip.show_heat(heat)
        lines = [plain(strip).rstrip() for strip in app.drawn()]
        assert lines[0] == "영화 최고"
        assert cell_len(lines[1]) == cell_len(lines[0])
        hottest = lines[1].split()[int(heat.row.argmax())]
        assert hottest == "████"


async def test_a_long_text_scrolls_and_can_be_focused() -> None:
    app = StripApp()
    async with app.run_test(size=(40, 10)):
        app.strip.show("짧다")
        assert not app.strip.can_focus
        app.strip.show("길다 " * 200)
        assert app.strip.can_focus
        assert app.strip.max_scroll_y > 0


TRICKY = "굳ㅋㅋㅋ ㅠㅠ 👍🏽 " + "\u1112\u1161\u11ab\u1100\u1173\u11af 뷁뷁 최고!!"
"""Jamo, an emoji with a skin tone, decomposed Hangul, a word that small vocabularies do not know."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Inspection]:
    """`TRICKY` as models with tokenizers of the three kinds see it, by the real inspector."""
    directory = tmp_path_factory.mktemp("models")
    with inspector_session() as session:
        return {
            kind: session.inspect(save_model(directory / kind, kind), TRICKY)
            for kind in ("bert", "xlm-roberta", "roberta")
        }


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "roberta"])
@pytest.mark.parametrize("by_word", [True, False])
async def test_every_tokenizer_s_weights_are_on_the_right_characters(
    loaded: dict[str, Inspection], kind: str, by_word: bool
) -> None:
    inspection = loaded[kind]
    heat = heat_of(inspection, HeatChoice(words=by_word, special="shown"))
    assert heat is not None
    row = inspection.attention[-1].mean(axis=0)[inspection.cls]
    for cell in cells_of(TRICKY):
        if cell.display.isspace():
            continue
        over = [
            n
            for n, token in enumerate(inspection.tokens)
            if not token.special
            and (
                inspection.words[token.word].start <= cell.start < inspection.words[token.word].end
                if by_word and token.word is not None
                else token.start <= cell.start < token.end
            )
        ]
        # All of a grapheme has one heat: that of what the model read there.
        assert heat.characters[cell.start : cell.end] == pytest.approx([row[over].sum()] * (cell.end - cell.start))
    labels = [unit.label for unit in heat.units if not unit.special]
    # Whatever the pieces are called in the vocabulary, one reads the text.
    assert all("Ġ" not in label and "ì" not in label and "##" not in label for label in labels)
    words = [visible(word) for word in TRICKY.split()]
    assert set("".join(labels)) <= set("".join(words)) | set("▁␣")
    if by_word:
        assert labels == words
    app = StripApp()
    async with app.run_test(size=(80, 10)) as pilot:
        app.strip.show(TRICKY)
        app.strip.show_heat(heat)
        await pilot.pause()
        line = "".join(plain(strip) for strip in app.drawn())
        assert all(word in line for word in words)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("depth", [*DEPTHS, "ascii"])
async def test_what_it_looks_like_in_each_depth(depth: str, signed: bool, snapshot: SnapshotAssertion) -> None:
    app = StripApp()
    if depth == "ascii":
        colour_depth.set_depth(app, "none")
        colour_depth.set_ascii(app, True)
    else:
        colour_depth.set_depth(app, depth)
    async with app.run_test(size=(26, 6)) as pilot:
        text = "아주 나쁘진 않지만 Good ㅋㅋㅋ 끝까지"
        inspection = inspection_of(text, cut=20)
        choice = HeatChoice(method="gradient_x_input" if signed else "attention")
        weights = [0, 0.2, -0.6, 0.5, 1.0, 0.1, 0.3, -1.0, 0.02, 0.4, 0] if signed else None
        heat = heat_of(inspection, choice, attribution=weights)
        app.strip.show(text)
        app.strip.show_heat(heat, inspection.cut)
        await pilot.pause()
        assert picture(app) == snapshot
