"""The overview of layers × heads: its drawing, its numbers, the way into Review and back."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion
from textual.app import App, ComposeResult

from core import inspector_questions as questions
from core.i18n import set_language
from tests.tui.picture import picture
from tests.tui.review_helpers import QuickInspector, app_on, inspection_of, make_run, screen_text, until
from tui import colour_depth
from tui.attention_maps import AttentionMaps
from tui.screens.head_grid import HeadGridScreen
from tui.screens.review import ReviewScreen
from tui.themes import DARK
from tui.widgets.head_grid import HeadGrid, number_text, side_for
from tui.widgets.heatmap import HeatMap
from tui.widgets.spread_line import SpreadLine

TEXT = "나쁘진 않지만 아니잖아 돈"


@pytest.fixture(autouse=True)
def dark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTUAL_THEME", "nsmc-dark")


class GridApp(App[None]):
    """One grid and nothing else."""

    CSS = "HeadGrid { height: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.theme = DARK.name

    def compose(self) -> ComposeResult:
        yield HeadGrid()

    @property
    def grid(self) -> HeadGrid:
        return self.query_one(HeadGrid)


def small_maps(layers: int, heads: int, side: int) -> np.ndarray:
    maps = np.random.default_rng(3).random((layers, heads, side, side)).astype(np.float32) ** 3
    return maps / maps.sum(-1, keepdims=True)


@pytest.mark.parametrize("depth", colour_depth.DEPTHS)
async def test_what_it_looks_like_in_each_depth(depth: str, snapshot: SnapshotAssertion) -> None:
    app = GridApp()
    colour_depth.set_depth(app, depth)
    async with app.run_test(size=(24, 10)) as pilot:
        app.grid.show_maps(small_maps(2, 3, 4))
        app.grid.focus()
        app.grid.choose(1, 1)
        await pilot.pause()
        assert picture(app) == snapshot


@pytest.mark.parametrize("depth", colour_depth.DEPTHS)
async def test_numbers_with_a_sign_in_each_depth(depth: str, snapshot: SnapshotAssertion) -> None:
    app = GridApp()
    colour_depth.set_depth(app, depth)
    async with app.run_test(size=(24, 4)) as pilot:
        app.grid.show_numbers(np.array([[-0.31, 0.0, 0.02], [0.3, np.nan, -0.1]]), signed=True)
        app.grid.choose(1, 0)
        app.grid.switch(frozenset({(0, None)}))
        await pilot.pause()
        assert picture(app) == snapshot


async def test_ascii_is_ascii() -> None:
    app = GridApp()
    colour_depth.set_ascii(app, True)
    async with app.run_test(size=(40, 12)) as pilot:
        app.grid.show_maps(small_maps(2, 2, 6))
        app.grid.switch(frozenset({(0, 1)}))
        await pilot.pause()
        assert picture(app, colours=False).isascii()
        assert "+------+" in picture(app, colours=False)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_a_large_model_scrolls_with_its_numbers_in_place(size: tuple[int, int]) -> None:
    app = GridApp()
    async with app.run_test(size=size) as pilot:
        grid = app.grid
        side = side_for(*grid.room, 24, 16)
        grid.show_maps(small_maps(24, 16, side))
        grid.focus()
        await pilot.press("end")
        assert grid.cursor == (23, 15)
        await pilot.pause()
        lines = picture(app, colours=False).split("\n")
        assert lines[0].split()[-1] == "15"
        assert any(line.startswith(" 23 ") for line in lines)
        assert "┘" in "".join(lines)
        for row in range(size[1]):
            assert cell_len("".join(s.text for s in grid.render_line(row))) == grid.scrollable_content_region.width
        await pilot.press("k", "h", "home")
        assert grid.cursor == (0, 0)
        await pilot.pause()
        assert picture(app, colours=False).startswith("     0")


def test_maps_fill_the_room_there_is() -> None:
    assert side_for(160, 44, 2, 2) == 24
    assert side_for(80, 20, 12, 12) == 4
    assert side_for(160, 44, 12, 12) == 4
    assert side_for(200, 90, 12, 12) == 12
    for text, value, signed in (
        ("0.31", 0.31, False),
        ("+0.31", 0.31, True),
        ("−0.00", -0.001, True),
        ("-", np.nan, 0),
    ):
        assert number_text(value, bool(signed)) == text
    assert number_text(-12.345, True) == "−12"


def test_small_maps_take_the_highest_of_each_patch() -> None:
    inspection = inspection_of("가나다라마바사아자차 " * 4, layers=3, heads=2)
    maps = AttentionMaps(inspection)
    inner = inspection.attention[:, :, 1:-1, 1:-1]
    count = inner.shape[-1]
    small = maps.small(4, special=False)
    assert small.shape == (3, 2, 4, 4)
    np.testing.assert_array_equal(small.max(axis=(2, 3)), inner.max(axis=(2, 3)))
    bounds = np.linspace(0, count, 5).astype(int)
    np.testing.assert_array_equal(small[2, 1, 1, 3], inner[2, 1, bounds[1] : bounds[2], bounds[3] :].max())
    assert maps.small(4, special=True)[0, 0].max() == inspection.attention[0, 0].max()
    # Short texts are not blown up here.
    assert maps.small(400, special=False).shape[-1] == count
    assert AttentionMaps(inspection_of("")).small(4, special=False).shape == (2, 3, 1, 1)


@pytest.mark.parametrize("large", [False, True])
def test_kept_maps_are_those_of_core(monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    from core import attention

    if large:
        monkeypatch.setattr("tui.attention_maps.LARGE", 0)
    inspection = inspection_of(TEXT, layers=4)
    maps = AttentionMaps(inspection)
    assert maps.large == large
    maps.warm()
    for layer in (None, 0, 3):
        np.testing.assert_allclose(maps.matrix("rollout", layer, None), attention.rollout(inspection.attention, layer))
        for head in (None, 0, 2):
            expected = attention.select(inspection.attention, layer, head)
            np.testing.assert_allclose(maps.matrix("attention", layer, head), expected, atol=1e-6)


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_from_review_to_a_head_and_back(tmp_path: Path, size: tuple[int, int], lang: str) -> None:
    set_language(lang)
    app = app_on(make_run(tmp_path), QuickInspector())
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None)
        review = app.screen
        await pilot.press("enter", "o")
        await until(
            pilot, lambda: isinstance(app.screen, HeadGridScreen) and app.screen.query_one(HeadGrid).maps is not None
        )
        grid = app.screen.query_one(HeadGrid)
        # The layer in view is where one begins.
        assert grid.cursor == (1, 0)
        assert all(cell_len(line) == size[0] for line in screen_text(app).split("\n"))
        await pilot.press("up", "right", "right")
        assert grid.cursor == (0, 2)
        if size[0] == 160:
            # The head where one began may have been drawn before the keys came.
            await until(pilot, lambda: app.screen.query_one("#preview-title", SpreadLine).plain.endswith("2"))
            matrix = app.screen.query_one(HeatMap).matrix
        with_special = grid.maps.shape[-1]
        await pilot.press("Z")
        await until(pilot, lambda: grid.maps.shape[-1] != with_special)
        await pilot.press("Z", "v")
        await until(pilot, lambda: grid.top is not None)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is review)
        choice = review.attention.choice
        assert (choice.method, choice.layer, choice.head, choice.special) == ("attention", 0, 2, "hidden")
        if size[0] == 160:
            np.testing.assert_array_equal(review.attention.heat.matrix, matrix)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, HeadGridScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is review)
        assert review.attention.choice == choice


async def test_heads_are_switched_off_and_swept_with_the_real_model(run_copy: Path) -> None:
    app = app_on(run_copy)
    async with app.run_test(size=(160, 48)) as pilot:
        await until(
            pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None, seconds=60
        )
        await pilot.press("enter", "o")
        await until(pilot, lambda: isinstance(app.screen, HeadGridScreen) and app.screen.stats is not None)
        screen = app.screen
        assert isinstance(screen, HeadGridScreen)
        given = screen.subject.inspection
        layer, head = screen.query_one(HeadGrid).cursor

        async def probabilities(*off: tuple[int, int | None]) -> tuple[float, ...]:
            real = await app.inspector.ask(
                questions.inspect(given.model, given.text, given.max_length, attention=False, knocked=off)
            )
            return real.probabilities

        def answer() -> str:
            return screen.query_one("#head-answer", SpreadLine).plain

        assert "→" not in answer()
        await pilot.press("x")
        assert screen.off == {(layer, head)}
        await until(pilot, lambda: screen.without is not None)
        one_off = await probabilities((layer, head))
        assert screen.without.probabilities == pytest.approx(one_off)
        assert one_off != given.probabilities
        assert f"{one_off[given.pred]:.3f}" in answer()
        # The layer as a whole beside the head, and the head on again.
        await pilot.press("X", "x")
        assert screen.off == {(layer, None)}
        await until(pilot, lambda: screen.without is not None)
        assert screen.without.probabilities == pytest.approx(await probabilities((layer, None)))
        await pilot.press("U")
        assert screen.off == frozenset()
        assert screen.without is None
        assert "→" not in answer()
        # Backwards from the maps the last face is the sweep: each head off in turn.
        await pilot.press("O")
        assert screen.face == "knock_out"
        await until(pilot, lambda: screen.knocked is not None)
        change = screen._numbers("knock_out")
        assert change.shape == (screen.n_layers, screen.n_heads)
        assert change[layer, head] == pytest.approx(one_off[given.pred] - given.probabilities[given.pred], abs=1e-5)


async def test_leaving_takes_back_what_is_being_computed(run_copy: Path) -> None:
    app = app_on(run_copy)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(
            pilot, lambda: isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None, seconds=60
        )
        review = app.screen
        await pilot.press("enter", "o")
        await until(pilot, lambda: isinstance(app.screen, HeadGridScreen) and app.screen.stats is not None)
        model = app.screen.subject.inspection.model
        await until(pilot, lambda: app.inspector._process.idle)
        # A process that stands still has not answered yet, however quick the model.
        os.kill(app.inspector.pid, signal.SIGSTOP)
        try:
            await pilot.press("O")
            await until(pilot, lambda: not app.inspector._process.idle)
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is review)
            await until(pilot, lambda: app.inspector._process.idle)
        finally:
            os.kill(app.inspector.pid, signal.SIGCONT)
        # It goes on answering.
        text = f"{review.session.current.document} 정말"
        answer = await app.inspector.ask(questions.inspect(model, text, 64))
        assert answer.text == text
