"""The train reviews nearest to a text as the model sees them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from core import neighbours
from core.embedding import embed, last_layer
from core.errors import InspectorError
from core.inspector_client import InspectorSession, inspector_session
from core.inspector_loading import load
from core.neighbour_ops import order
from core.train_index import build
from core.train_reviews import TrainReviews
from core.vector_index import VectorIndex, unit
from tests.conftest import run_cli
from tests.core.tiny_models import MODELS, SENTENCES, save_model, wordpiece


@pytest.mark.parametrize("kind", MODELS)
def test_the_vector_is_all_that_the_answer_depends_on(tmp_path: Path, kind: str) -> None:
    loaded = load(str(save_model(tmp_path, kind)), "cpu")
    texts = [SENTENCES[0], "", SENTENCES[1] * 3, "ㅋㅋ \ud800"]
    vectors = embed(loaded, texts, 24)
    layer = last_layer(loaded.model)
    alone = np.concatenate([embed(loaded, [text], 24) for text in texts])
    assert np.allclose(vectors, alone, atol=1e-4)
    for text, vector in zip(texts, vectors, strict=True):
        subject = loaded.subject(text, 24)
        with torch.inference_mode():
            logits = loaded.run([subject.encoded.inputs]).logits[0]
            assert torch.allclose(layer(torch.from_numpy(vector)), logits, atol=1e-4)


def test_a_left_to_right_model_is_read_at_its_last_token(tmp_path: Path) -> None:
    tokenizer = wordpiece()
    path = save_model(tmp_path, "gpt2", tokenizer, n_embd=32, n_layer=2, n_head=4, n_positions=128)
    loaded = load(str(path), "cpu")
    vectors = embed(loaded, [SENTENCES[2], SENTENCES[3] * 2], None)
    assert np.allclose(vectors[0], embed(loaded, [SENTENCES[2]], None)[0], atol=1e-4)
    with torch.inference_mode():
        logits = loaded.run([loaded.subject(SENTENCES[2], None).encoded.inputs]).logits[0]
        assert torch.allclose(loaded.model.score(torch.from_numpy(vectors[0])), logits, atol=1e-4)


def filled(directory: Path, vectors: np.ndarray, finish: bool) -> VectorIndex:
    index = VectorIndex.create(directory, np.arange(len(vectors), dtype=np.int32)[::-1] * 2, vectors.shape[1])
    for start in range(0, len(vectors), 700):
        index.add(vectors[start : start + 700])
    index.keep()
    if finish:
        for _step in index.finish():
            pass
    return VectorIndex(directory)


@pytest.mark.parametrize("shape", ["clusters", "no structure at all"])
@pytest.mark.parametrize("finish", [False, True], ids=["on the way", "with its sketch"])
def test_what_is_found_is_what_comparing_all_finds(tmp_path: Path, finish: bool, shape: str) -> None:
    dice = np.random.default_rng(4)
    vectors = dice.normal(size=(9000, 96)).astype(np.float32)
    if shape == "clusters":
        vectors = dice.normal(size=(40, 96))[dice.integers(0, 40, 9000)] + 0.2 * vectors
    index = filled(tmp_path / "index", vectors, finish)
    assert index.finished == finish
    stored = index.vectors[:].astype(np.float32)
    for _try in range(5):
        query = vectors[dice.integers(9000)] + dice.normal(size=96) * 0.1
        cosines = stored @ unit(query[None])[0]
        rows, values = index.nearest(query, 10)
        assert values.tolist() == pytest.approx(np.sort(cosines)[::-1][:10].tolist(), abs=1e-5)
        assert [cosines[(len(vectors) - 1) - row // 2] for row in rows] == pytest.approx(values.tolist(), abs=1e-5)
        without, _values = index.nearest(query, 10, exclude=rows[:3].tolist())
        assert without.tolist()[:7] == rows.tolist()[3:]
    assert len(index.nearest(query, 0)[0]) == 0


def test_an_index_that_is_begun_is_gone_on_with(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)
    index = VectorIndex.create(tmp_path, np.arange(50, dtype=np.int32), 8)
    index.add(vectors[:20])
    index.keep()
    index.add(vectors[20:30])
    # The process ends here: the ten that were not noted are made again.
    again = VectorIndex(tmp_path)
    assert (again.done, again.total, again.finished) == (20, 50, False)
    again.add(vectors[20:])
    for _step in again.finish():
        pass
    rows, values = VectorIndex(tmp_path).nearest(vectors[33], 1)
    assert rows.tolist() == [33]
    assert values[0] == pytest.approx(1, abs=1e-3)


def make(session: InspectorSession, model: Path, index: Path, max_length: int | None) -> int:
    for step in range(10_000):
        if session.ask(neighbours.build(model, index, max_length)).finished:
            return step + 1
    raise AssertionError("never finished")


def test_neighbours_of_a_run_are_those_of_the_vectors(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Screens that showed the run may have begun its vectors.
    monkeypatch.setenv("NSMC_TUI_CACHE", str(tmp_path))
    index = build(finished_run)
    model = finished_run / "model"
    train = TrainReviews(index)
    text = train.review(7).document
    with inspector_session() as session:
        early = session.ask(neighbours.nearest(model, text, index, 64))
        assert (early.reviews, early.done) == ((), 0)
        first = session.ask(neighbours.build(model, index, 64))
        assert 0 < first.done < first.total == len(train)
        # Another question has its turn between two steps.
        assert session.inspect(model, text, 64).probabilities
        sample = session.ask(neighbours.nearest(model, text, index, 64, seen=first.done))
        assert sample.done == first.done
        assert len(sample.reviews) == min(10, first.done)
        make(session, model, index, 64)
        found = session.ask(neighbours.nearest(model, text, index, 64))
        other = session.ask(neighbours.nearest(model, text, index, 64, k=3, exclude=[found.reviews[0].id]))
    loaded = load(str(model), "cpu")
    vectors = unit(embed_all(loaded, train))
    cosines = vectors @ unit(embed(loaded, [text], 64))[0]
    assert [review.similarity for review in found.reviews] == pytest.approx(
        np.sort(cosines)[::-1][:10].tolist(), abs=1e-3
    )
    for review in found.reviews:
        assert review == train.review(review.row, review.similarity)
        assert cosines[review.row] == pytest.approx(review.similarity, abs=1e-3)
    assert [review.id for review in other.reviews] == [review.id for review in found.reviews[1:4]]
    assert sum(found.counts) == 10
    # A second inspector finds them made.
    with inspector_session() as session:
        assert make(session, model, index, 64) == 1


def embed_all(loaded: object, train: TrainReviews) -> np.ndarray:
    rows = order(train)
    assert sorted(rows.tolist()) == list(range(len(train)))
    made = np.empty((len(train), 128), np.float32)
    for start in range(0, len(rows), 128):
        part = rows[start : start + 128]
        made[part] = embed(loaded, train.documents(part), 64)  # type: ignore[arg-type]
    return made


def test_an_index_that_is_not_there_is_an_error(finished_run: Path, tmp_path: Path) -> None:
    with inspector_session() as session, pytest.raises(InspectorError, match="cannot be read"):
        session.ask(neighbours.build(finished_run / "model", tmp_path, 64))


def test_from_the_command_line(finished_run: Path) -> None:
    review = "neither"
    done = run_cli("neighbours", str(finished_run), "--text", "정말 재미있어요", "--k", "4", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert len(document["neighbours"]) == 4
    assert sum(document["counts"]) == 4
    assert document["history"] is None
    train = TrainReviews(build(finished_run)).review(3)
    same = run_cli("neighbours", str(finished_run), "--text", train.document, "--k", "1")
    assert same.returncode == 0, same.stderr
    assert train.id in same.stdout
    wrong = run_cli("neighbours", str(finished_run), "--id", review, "--text", "x")
    assert wrong.returncode == 2
