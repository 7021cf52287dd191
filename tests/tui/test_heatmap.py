"""The map of weights: its numbers, its cursor, its drawing without and with colours."""

from __future__ import annotations

import time

import numpy as np
import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from core import attention
from tests.tui.review_helpers import inspection_of, until
from tui.heat_scale import HeatScale
from tui.heat_view import SPECIAL, HeatChoice, heat_of
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
    assert syllables("영화", 3) == ["영", "화", "  "]


def test_the_scale() -> None:
    ramp = HeatScale("#14181b", "#2fa7b5", shaded=False)
    assert ramp.steps([0.0, 0.5, 1.0], 1.0).tolist() == [0, 16, 31]
    assert ramp.steps([0.0, float("nan")], 0.0).tolist() == [0, 0]
    shaded = HeatScale("#14181b", "#2fa7b5", shaded=True)
    assert [shaded.shade(step) for step in shaded.steps([0.0, 0.3, 0.5, 0.8, 1.0], 1.0)] == ["·", "░", "▒", "▓", "█"]
    assert shaded.legend(0.31).plain == "0.00 ·░▒▓█ 0.31"
    assert ramp.legend(0.31).plain.split() == ["0.00", "0.31"]


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
        began = time.perf_counter()
        for _step in range(20):
            heat_map.action_move(-1, -1)
            app.shown()
        assert (time.perf_counter() - began) / 20 < 0.1


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
