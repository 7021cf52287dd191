"""Two models on one review: chosen from the runs or a directory, with tokenizers of different kinds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from textual.widgets import Input, OptionList

from core.attribution_methods import METHODS
from core.i18n import set_language
from core.run_marks import RunMarks
from tests.core.tiny_models import save_model
from tests.tui.review_helpers import app_on, screen_text, until
from tui.app import NsmcTuiApp
from tui.screens.model_picker import ModelPicker, models_of
from tui.screens.review import ReviewScreen
from tui.screens.two_models import TwoModelsScreen
from tui.widgets.spread_line import SpreadLine


def heated(app: NsmcTuiApp) -> bool:
    return isinstance(app.screen, ReviewScreen) and app.screen.attention.heat is not None


def both(app: NsmcTuiApp) -> bool:
    screen = app.screen
    return isinstance(screen, TwoModelsScreen) and all(side.inspection is not None for side in screen.sides)


def test_marked_runs_come_first_and_runs_without_a_model_not_at_all(run_copy: Path) -> None:
    runs = run_copy.parent
    names = ["20260101-000000-older", "20260102-000000-marked", "20260103-000000-baseline", "20260104-000000-empty"]
    for name in names:
        shutil.copytree(run_copy, runs / name, ignore=shutil.ignore_patterns("checkpoints"))
    shutil.rmtree(runs / names[3] / "model")
    marks = RunMarks(runs)
    marks.mark([runs / names[1]])
    marks.pin(runs / names[2])
    found = models_of(runs, marks.marked, marks.baseline, run_copy)
    assert [model.name for model in found] == [names[2], names[1], names[0]]
    assert [model.marks for model in found] == ["baseline", "marked", ""]
    assert found[0].path == runs / names[2] / "model"
    assert found[0].max_length == 64


@pytest.mark.parametrize(("size", "lang"), [((80, 24), "ko"), ((160, 48), "en")])
async def test_the_same_words_under_two_heats(run_copy: Path, tmp_path: Path, size: tuple[int, int], lang: str) -> None:
    set_language(lang)
    # Byte-level pieces of Korean against the run's own word pieces; four layers fewer heads than asked for.
    other = save_model(tmp_path / "other", "roberta", num_hidden_layers=3)
    app = app_on(run_copy)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: heated(app))
        review = app.screen
        await pilot.press("enter", "C")
        await until(pilot, lambda: isinstance(app.screen, ModelPicker) and isinstance(app.focused, Input))
        assert not app.screen.query_one(OptionList).display
        await pilot.press(*"nowhere", "enter")
        await until(pilot, lambda: "nowhere" in screen_text(app))
        assert isinstance(app.screen, ModelPicker)
        app.screen.query_one(Input).value = str(other)
        await pilot.press("enter")
        await until(pilot, lambda: both(app))
        screen = app.screen
        own, there = screen.sides
        assert own.inspection is review.attention.inspection
        assert there.inspection.model == str(other)
        assert [word.text for word in own.inspection.words] == [word.text for word in there.inspection.words]
        assert len(own.inspection.tokens) != len(there.inspection.tokens)
        await until(pilot, lambda: "ρ" in screen.query_one("#alike", SpreadLine).plain)
        text = screen_text(app)
        assert all(cell_len(line) == size[0] for line in text.split("\n"))
        assert f"{there.inspection.probabilities[own.inspection.pred]:.3f}" in text
        # Together, then each for itself: the last layer of either, whatever its number.
        assert (own.pane.heat.choice.layer, there.pane.heat.choice.layer) == (1, 2)
        await pilot.press("l", "l")
        assert (own.pane.heat.choice.layer, there.pane.heat.choice.layer) == (0, 0)
        await pilot.press("tab", "l")
        assert (own.pane.heat.choice.layer, there.pane.heat.choice.layer) == (0, 1)
        await pilot.press("m", "m", "m")
        await until(pilot, lambda: there.pane.attribution is not None)
        assert own.pane.choice.method == "attention"
        await pilot.press("J")
        await until(pilot, lambda: own.pane.attribution is not None)
        assert own.pane.heat.choice.method == "integrated_gradients"
        np.testing.assert_allclose(own.pane.heat.row, own.pane.attribution.words)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is review)
        # It is asked once which model.
        await pilot.press("C")
        await until(pilot, lambda: both(app))


async def test_other_models_of_other_classes(run_copy: Path, tmp_path: Path) -> None:
    """Three classes and one say nothing of the second of two; and what is to be known of the other model is told."""
    from safetensors.torch import load_file, save_file
    from transformers import AutoModel

    names = dict(enumerate(("bad", "fair", "[good]")))
    three = save_model(tmp_path / "three", "bert", id2label=names, label2id={name: n for n, name in names.items()})
    weights = load_file(three / "model.safetensors")
    # It answers with the class that the run's own model does not have.
    weights["classifier.bias"][2] = 99
    save_file(weights, three / "model.safetensors", metadata={"format": "pt"})
    one = save_model(tmp_path / "stars", "bert", id2label={0: "stars"}, label2id={"stars": 0})
    AutoModel.from_pretrained(one).save_pretrained(one)
    app = app_on(run_copy)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: heated(app))
        await pilot.press("enter", "C")
        await until(pilot, lambda: isinstance(app.screen, ModelPicker) and isinstance(app.focused, Input))
        app.screen.query_one(Input).value = str(three)
        await pilot.press("enter")
        await until(pilot, lambda: both(app))
        screen = app.screen
        alike = screen.query_one("#alike", SpreadLine)
        await until(pilot, lambda: "2 and 3 classes" in alike.plain)
        assert "[good]" in screen_text(app)
        for _method in METHODS:
            await pilot.press("m")
            await until(pilot, lambda: all(side.pane.heat and not side.pane.heat.pending for side in screen.sides))
        await pilot.press("C")
        await until(pilot, lambda: isinstance(app.screen, ModelPicker))
        app.screen.query_one(Input).value = str(one)
        app.screen.query_one(Input).focus()
        await pilot.press("enter")
        await until(pilot, lambda: both(app) and app.screen.sides[1].inspection.model == str(one))
        await until(pilot, lambda: "2 and 1 classes" in alike.plain)
        assert any("classifier" in note.message for note in app._notifications)
