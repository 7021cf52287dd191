"""What Evaluation looks like: scores, none yet, while they are read, with a broken file, of a run with long names."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from syrupy.assertion import SnapshotAssertion

from core import predictions
from core.i18n import set_language
from core.runs import write_status
from tests.tui.gallery import QuietApp, hang
from tests.tui.test_screens import until
from tui.screens.evaluation import EvaluationScreen
from tui.widgets.confusion import Confusion

LONG_NAME = "20250615-120000-아주-긴-이름의-실험-xlm-roberta-base-lr2e-5-bs128-warmup500-epoch3-seed42-다시-한-번"

TEXTS = (
    "그냥 그래요",
    "이게 재밌다고?!",
    "안 봤으면 좋았을걸...",
    "ㅋㅋㅋㅋ",
    "평점 10점 드립니다",
    "띄어쓰기없이쓴리뷰입니다",
)


def scored_run(runs: Path, name: str, reviews: int) -> Path:
    """A finished run with predictions of `reviews` reviews, every one of which is known."""
    path = runs / name
    path.mkdir(parents=True)
    write_status(path, {"v": 1, "state": "finished", "name": name, "step": 2, "max_steps": 2, "updated": time.time()})
    numbers = np.arange(reviews)
    labels = numbers % 2
    # Every seventh is taken for the other, with less certainty.
    sure = np.where(numbers % 7 == 0, -0.5, 2.0 + numbers % 3)
    logits = np.stack([np.zeros(reviews), np.where(labels == 1, sure, -sure)], axis=1)
    ids = [str(number) for number in numbers]
    texts = [TEXTS[number * number % len(TEXTS)] for number in range(reviews)]
    predictions.write(path, "test", predictions.table(ids, texts, labels, logits, np.full(reviews, 4)))
    return path


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_how_evaluation_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion, language: str
) -> None:
    set_language(language)
    # Paths on the screen are the same everywhere.
    monkeypatch.chdir(tmp_path)
    runs = Path("runs")
    run = scored_run(runs, "20250615-120000-watched", 1000)
    file = predictions.path_for(run, "test")
    kept = tmp_path / "kept.parquet"
    shutil.move(file, kept)
    # Whoever opens it waits until somebody writes.
    os.mkfifo(file)
    app = QuietApp(runs, run=run, screen="evaluation")
    async with app.run_test(size=(80, 24)) as pilot:
        try:
            await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
            await hang(pilot, "loading", snapshot, lambda text: "…" in text)
        finally:
            # To write and to read: this side waits for nobody. The next look finds a file.
            pipe = os.open(file, os.O_RDWR)
            file.unlink()
            file.write_bytes(b"not a table")
            os.close(pipe)
        await hang(pilot, "failed", snapshot, lambda text: ".parquet" in text and "lseek" not in text)
        # The file is read again when it is another one, not at every look.
        readings: list[str | None] = []
        with monkeypatch.context() as patched:
            patched.setattr(type(app.screen), "_load", lambda _screen, split: readings.append(split))
            app.screen._look_again()  # type: ignore[attr-defined]
            assert readings == []
            file.write_bytes(b"no table either")
            app.screen._look_again()  # type: ignore[attr-defined]
            assert readings == [None]
        file.unlink()
        app.show_run(run, "evaluation")
        await hang(pilot, "empty", snapshot, lambda text: run.name in text and ".parquet" not in text)
        shutil.move(kept, file)
        await until(pilot, lambda: app.screen.query_one(Confusion).matrix is not None)
        screen = app.screen
        assert isinstance(screen, EvaluationScreen)
        await until(pilot, lambda: screen._closer is not None)
        for pane in ("usual", "slices", "probabilities"):
            await hang(pilot, pane, snapshot, lambda text: "1,000" in text)
            await pilot.resize_terminal(80, 24)
            await until(pilot, lambda: screen.paged)
            await pilot.press("tab")
        app.show_run(scored_run(runs, LONG_NAME, 123_456), "evaluation")
        await until(pilot, lambda: getattr(app.screen, "_closer", None) is not None)
        await hang(pilot, "very long", snapshot, lambda text: "123,456" in text)
