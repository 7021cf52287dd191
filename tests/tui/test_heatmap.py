"""The map of weights: its numbers, its cursor, its drawing without and with colours."""

from __future__ import annotations

import numpy as np
import pytest
from rich.cells import cell_len
from rich.color import ColorSystem
from syrupy.assertion import SnapshotAssertion
from textual.app import App, ComposeResult
from textual.color import Color
from textual.theme import Theme

from core import attention
from tests.tui.picture import picture
from tests.tui.review_helpers import inspection_of, until
from tui import colour_depth
from tui.colour_depth import DEPTHS
from tui.heat_scale import HeatScale, Hues
from tui.heat_view import SPECIAL, HeatChoice, heat_of, unit_tokens
from tui.themes import DARK, THEMES, contrast, heat_ramp
from tui.widgets.heatmap import HeatMap, syllables

TEXT = "나쁘진 않지만 아니잖아 돈"


class MapApp(App[None]):
    """One map and nothing else."""

    def compose(self) -> ComposeResult:
        yield HeatMap()

    def shown(self) -> list[str]:
        heat_map = self.query_one(HeatMap)
        return [
            "".join(s.text for s in heat_map.render_line(y)) for y in range(heat_map.scrollable_content_region.height)
        ]


def labelled(count: int) -> tuple[str, ...]:
    return tuple(f"어절{n}" for n in range(count))


async def test_the_cursor_reads_the_matrix() -> None:
    app = MapApp()
    async with app.run_test(size=(60, 20)) as pilot:
        heat_map = app.query_one(HeatMap)
        heat = heat_of(inspection_of(TEXT), HeatChoice(layer=1, head=2))
        assert heat is not None
        labels = tuple(unit.label for unit in heat.units)
        assert labels == ("나쁘진", "않지만", "아니잖아", "돈")
        heat_map.show(heat.matrix, labels)
        heat_map.focus()
        await pilot.press("down", "down", "right")
        assert heat_map.cursor == (2, 1)
        assert heat_map.readout == f"아니잖아 → 않지만  {heat.matrix[2, 1]:.3f}"
        await pilot.press("end", "down")
        assert heat_map.cursor == (3, 3)
        await pilot.press("home", "left")
        assert heat_map.cursor == (0, 0)
        for line in app.shown():
            assert cell_len(line) == heat_map.scrollable_content_region.width


def test_words_are_the_mean_over_asking_and_the_sum_over_answering_tokens() -> None:
    inspection = inspection_of(TEXT)
    heat = heat_of(inspection, HeatChoice(layer=0, head=1, special="shown"))
    assert heat is not None
    assert inspection.attention is not None
    tokens = inspection.attention[0, 1]
    groups = [[0], *[[n for n, t in enumerate(inspection.tokens) if t.word == w] for w in range(4)]]
    groups.append([len(tokens) - 1])
    expected = [[tokens[np.ix_(a, b)].sum(axis=1).mean() for b in groups] for a in groups]
    np.testing.assert_allclose(heat.matrix, expected, atol=1e-6)
    np.testing.assert_allclose(heat.matrix.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(heat.row, expected[0], atol=1e-6)
    assert heat.special == pytest.approx(tokens[0, 0] + tokens[0, -1], abs=1e-6)
    assert [unit.label for unit in heat.units] == ["[CLS]", "나쁘진", "않지만", "아니잖아", "돈", "[SEP]"]


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("special", SPECIAL)
def test_special_tokens(words: bool, special: str) -> None:
    inspection = inspection_of(TEXT)
    heat = heat_of(inspection, HeatChoice(layer=None, special=special, words=words))
    assert heat is not None
    assert inspection.attention is not None
    row = inspection.attention.mean(axis=(0, 1))[0]
    left = {"hidden": row[1:-1].sum(), "renormalised": 1.0, "shown": 1.0}[special]
    assert heat.row.sum() == pytest.approx(left, abs=1e-5)
    assert any(unit.special for unit in heat.units) == (special == "shown")
    assert heat.matrix.shape == (len(heat.units), len(heat.units))


def test_rollout_and_layers_go_round() -> None:
    inspection = inspection_of(TEXT)
    assert inspection.attention is not None
    choice = HeatChoice().next_method()
    heat = heat_of(inspection, HeatChoice(method="rollout", layer=0, special="shown", words=False))
    assert heat is not None
    np.testing.assert_allclose(heat.matrix, attention.rollout(inspection.attention, 0), atol=1e-6)
    assert [choice.fitted(2, 3).layer, choice.next_layer(1, 2, 3).layer] == [1, 0]
    seen = []
    choice = HeatChoice()
    for _step in range(4):
        choice = choice.next_head(1, 2, 3)
        seen.append(choice.head)
    assert seen == [0, 1, 2, None]
    assert HeatChoice().next_layer(1, 2, 3).layer is None
    assert HeatChoice(layer=None).next_layer(1, 2, 3).layer == 0
    assert HeatChoice(layer=0).next_layer(-1, 2, 3).layer is None


def test_no_attention_no_heat() -> None:
    inspection = inspection_of(TEXT)
    object.__setattr__(inspection, "attention", None)
    assert heat_of(inspection, HeatChoice()) is None


def test_empty_text() -> None:
    heat = heat_of(inspection_of(""), HeatChoice())
    assert heat is not None
    assert heat.units == ()
    assert heat.top == 0.0
    assert heat.hottest == ()


def test_column_titles_are_one_cell_wide() -> None:
    for label in ("한국", "a", "👨\u200d👩\u200d👧", "", "\u200b", "ｗ"):
        for part in syllables(label, 3):
            assert cell_len(part) == 2
    assert syllables("영화", 3) == ("영", "화", "  ")


HUES = Hues("#14181b", "#2fa7b5")
PAIR = Hues("#14181b", "#56b4e9", "#e69f00")


def test_the_scale() -> None:
    ramp = HeatScale(HUES)
    assert ramp.steps([0.0, 0.5, 1.0], 1.0).tolist() == [0, 16, 31]
    assert ramp.steps([0.0, float("nan")], 0.0).tolist() == [0, 0]
    shaded = HeatScale(HUES, "none")
    assert [shaded.shade(step) for step in shaded.steps([0.0, 0.3, 0.5, 0.8, 1.0], 1.0)] == ["·", "░", "▒", "▓", "█"]
    assert shaded.legend(0.31).plain == "0.00 ·░▒▓█ 0.31"
    assert ramp.legend(0.31).plain.split() == ["0.00", "0.31"]
    assert HeatScale(HUES, "16", ascii_only=True).legend(0.31, pinned=True).plain == "0.00  .:-=+*#%@ 0.31 fixed"


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_sign_needs_no_colour_where_there_are_few(depth: str, ascii_only: bool) -> None:
    scale = HeatScale(PAIR, depth, ascii_only)
    steps = scale.steps([-0.4, -0.2, 0.0, 0.2, 0.4], 0.4).tolist()
    assert steps == sorted(set(steps))
    assert (steps[0], steps[2], steps[-1]) == (0, scale.zero, len(scale.styles) - 1)
    shades = [scale.shade(step) for step in steps]
    if depth in ("16", "none"):
        assert len(set(shades)) == 5
        assert not ascii_only or "".join(shades).isascii()
    else:
        assert set(shades) == {" "}
    assert scale.legend(0.4).plain.startswith("−0.40 ")
    assert scale.legend(0.4).plain.endswith(" +0.40")


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize("hue", ["heat", "negative", "positive"])
@pytest.mark.parametrize("depth", ["truecolor", "256"])
def test_letters_can_be_read_on_every_ground(theme: Theme, hue: str, depth: str) -> None:
    pairs = heat_ramp(str(theme.background), theme.variables[hue], 32, depth)
    assert len(pairs) == (32 if depth == "truecolor" else len(set(pairs)))
    assert len(pairs) >= 7
    grounds = [Color.parse(ground) for ground, _letter in pairs]
    # WCAG 2.2, level AA for text.
    assert min(contrast(ground, Color.parse(letter)) for ground, (_g, letter) in zip(grounds, pairs, strict=True)) > 4.5
    away = [contrast(ground, grounds[0]) for ground in grounds]
    assert away == sorted(away)
    if depth == "256":
        # What rich writes for a ground is that ground: two of them never look alike.
        written = [ground.rich_color.downgrade(ColorSystem.EIGHT_BIT) for ground in grounds]
        assert [Color.from_rich_color(colour).hex for colour in written] == [ground.hex for ground in grounds]


async def test_without_colours_the_map_is_drawn_in_shades(monkeypatch: pytest.MonkeyPatch) -> None:
    app = MapApp()
    async with app.run_test(size=(40, 10)):
        monkeypatch.setattr(app.console, "_color_system", None)
        heat_map = app.query_one(HeatMap)
        heat_map.show(np.array([[1.0, 0.0], [0.5, 0.25]]), ("가", "나"))
        heat_map.move_to(1, 1)
        lines = app.shown()
        assert lines[1].rstrip() == "가 ██·"
        assert lines[2].rstrip() == "나 ▒▒[]"


async def test_a_large_map_scrolls_with_its_titles_in_place() -> None:
    app = MapApp()
    count = 128
    async with app.run_test(size=(60, 24)) as pilot:
        heat_map = app.query_one(HeatMap)
        matrix = np.random.default_rng(1).random((count, count)).astype(np.float32)
        heat_map.show(matrix, labelled(count))
        heat_map.focus()
        heat_map.move_to(70, 90)
        await until(pilot, lambda: "[]" in "".join(app.shown()))
        lines = app.shown()
        assert any(line.startswith("어절70 ") and "[]" in line for line in lines)
        row = next(line for line in lines if line.startswith("어절70 "))
        # The bracket stands in the cell of column 90.
        column = (cell_len(row[: row.index("[]")]) - heat_map._title_width) // 2 + heat_map._first_column
        assert column == 90
        heat_map.move_to(count - 1, count - 1)
        await pilot.pause()
        assert "[]" in app.shown()[-1]


async def test_a_click_chooses_a_cell_and_a_message_takes_the_place_of_a_map() -> None:
    app = MapApp()
    async with app.run_test(size=(60, 20)) as pilot:
        heat_map = app.query_one(HeatMap)
        heat_map.show(np.eye(5), labelled(5))
        await pilot.pause()
        head = heat_map._head
        await pilot.click(HeatMap, offset=(heat_map._title_width + 2 * 3, head + 2))
        assert heat_map.cursor == (2, 3)
        heat_map.show_message("loading the model…")
        await pilot.pause()
        assert "loading the model…" in "\n".join(app.shown())
        assert heat_map.value is None
        assert heat_map.readout == ""
        await pilot.press("down")


@pytest.mark.parametrize("depth", DEPTHS)
async def test_what_it_looks_like_in_each_depth(depth: str, snapshot: SnapshotAssertion) -> None:
    app = MapApp()
    app.register_theme(DARK)
    app.theme = DARK.name
    colour_depth.set_depth(app, depth)
    async with app.run_test(size=(24, 8)) as pilot:
        heat_map = app.query_one(HeatMap)
        matrix = np.array([[0.0, 0.1, 0.9], [0.3, 0.3, 0.4], [0.6, 0.02, 0.38]])
        heat_map.show(matrix, ("ㅋㅋㅋ", "재밌다", "ㅠㅠ"), asking=(2,))
        heat_map.focus()
        heat_map.move_to(1, 2)
        await pilot.pause()
        assert picture(app) == snapshot


async def test_several_rows_can_be_marked_and_cells_have_digits() -> None:
    app = MapApp()
    async with app.run_test(size=(40, 10)) as pilot:
        heat_map = app.query_one(HeatMap)
        heat_map.show(np.array([[0.004, 0.07], [1.0, 0.25]]), ("가", "나"), asking=(1,))
        heat_map.focus()
        await pilot.press("D")
        lines = app.shown()
        assert lines[1].rstrip() == "가 [] 7"
        assert lines[2].rstrip() == "나●1.25"
        colour_depth.set_ascii(app, True)
        heat_map.show(heat_map.matrix, ("a", "b"), asking=(0,))
        await pilot.pause()
        assert "".join(app.shown()).isascii()


@pytest.mark.parametrize("special", SPECIAL)
def test_maps_between_words_are_those_of_core(special: str) -> None:
    inspection = inspection_of(TEXT, layers=3, heads=2)
    heat = heat_of(inspection, HeatChoice(layer=2, head=1, special=special))
    assert heat is not None
    assert inspection.attention is not None
    matrix = inspection.attention[2, 1]
    if special != "shown":
        matrix = attention.drop_special(matrix, inspection.special_mask, special == "renormalised")
    expected = attention.word_matrix(matrix, inspection.token_words, len(inspection.words))
    inner = [n for n, unit in enumerate(heat.units) if not unit.special]
    np.testing.assert_allclose(heat.matrix[np.ix_(inner, inner)], expected, atol=1e-6)


def test_asking_tokens_are_summed() -> None:
    inspection = inspection_of(TEXT)
    assert inspection.attention is not None
    tokens = inspection.attention[1].mean(axis=0)
    choice = HeatChoice(special="shown", words=False)
    heat = heat_of(inspection, choice, asking={1, 3})
    assert heat is not None
    np.testing.assert_allclose(heat.row, tokens[1] + tokens[3], atol=1e-6)
    assert heat.asking == (1, 3)
    assert heat.query == f"from {heat.units[1].label} + {heat.units[3].label}"
    # By word: the rows of the words that the tokens belong to, as the map has them.
    by_word = heat_of(inspection, HeatChoice(), asking={1, 2, 3})
    assert by_word is not None
    assert [unit.label for unit in (by_word.units[place] for place in by_word.asking)] == ["나쁘진", "않지만"]
    np.testing.assert_allclose(by_word.row, by_word.matrix[0] + by_word.matrix[1], atol=1e-6)
    assert unit_tokens(inspection, HeatChoice(), 0) == (1, 2)


def test_attributions_lie_on_their_words() -> None:
    inspection = inspection_of(TEXT)
    weights = np.linspace(-1, 1, len(inspection.tokens))
    choice = HeatChoice(method="gradient_x_input")
    heat = heat_of(inspection, choice, attribution=weights, target=0)
    assert heat is not None
    for unit, weight in zip(heat.units, heat.row, strict=True):
        own = [
            n
            for n, token in enumerate(inspection.tokens)
            if not token.special and token.start in range(unit.start, unit.end)
        ]
        assert weight == pytest.approx(weights[own].sum())
    assert heat.special == pytest.approx(2 / np.abs(weights).sum())
    assert heat.target == 0
    assert heat.characters.min() < 0 < heat.characters.max()
    assert heat.top == pytest.approx(np.abs(heat.row).max())
    occlusion = heat_of(inspection, HeatChoice(method="occlusion", words=False), attribution=[0.1, -0.2, 0.3, 0.0])
    assert occlusion is not None
    np.testing.assert_allclose(occlusion.row, [0.1, -0.2, 0.3, 0.0])
    pending = heat_of(inspection, choice)
    assert pending is not None
    assert pending.pending
    object.__setattr__(inspection, "attention", None)
    alone = heat_of(inspection, choice, attribution=weights)
    assert alone is not None
    assert alone.matrix.size == 0
    np.testing.assert_allclose(alone.row, heat.row)
