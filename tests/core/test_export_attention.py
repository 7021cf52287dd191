"""The weights of a review as NPZ, CSV, SVG, PNG and HTML, read back by what reads such files."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest

from core import attention
from core.errors import UsageError
from core.export_attention import ReviewExport, TokenWeights, bertviz_script, npz, readable, weights_csv
from core.export_files import ExportError, safe_name, write
from core.export_html import page
from core.export_png import BROWSER_OPTIONS, BROWSERS, converter, png
from core.export_review import EXTRA, render, save
from core.export_svg import LARGEST_MAP, View, cells, svg
from core.i18n import set_language
from core.predictions import Predictions
from tests.conftest import run_cli
from tests.tui.review_helpers import NASTY, inspection_of

EVIL = "</script><script>document.title = 'pwned'</script><img src=x onerror=\"document.title = 'pwned'\">"
TEXT = f"뭐야 이 평점들은.... 나쁘진 않지만 ㅋㅋㅋ {EVIL} {NASTY}"
CHROMIUM = next((found for name in BROWSERS if (found := shutil.which(name))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to open the page in")


def review(text: str = TEXT, **changes: object) -> ReviewExport:
    inspection = inspection_of(text)
    dice = np.random.default_rng(1)
    methods = (TokenWeights("integrated_gradients", dice.normal(size=len(inspection.tokens)), True, "gap 0.001"),)
    made = ReviewExport(inspection, "10-1", 0, 3.87, "test", "1431 <b>xlmr</b>", methods)
    return replace(made, **changes)  # type: ignore[arg-type]


# -- data ----------------------------------------------------------------------------------------------------------


def test_npz_has_everything_and_no_pickle() -> None:
    made = review()
    inspection = made.inspection
    assert inspection.attention is not None
    with np.load(io.BytesIO(npz(made)), allow_pickle=False) as found:
        assert np.array_equal(found["attention"], inspection.attention)
        assert found["attention"].dtype == np.float32
        assert found["tokens"].tolist() == [readable(token) for token in inspection.tokens]
        assert found["pieces"].tolist() == [token.piece for token in inspection.tokens]
        text = str(found["text"])
        assert text == TEXT
        for token, start, end in zip(inspection.tokens, found["starts"], found["ends"], strict=True):
            assert token.special or text[start:end] == token.text
        assert found["special"].tolist() == list(inspection.special_mask)
        assert found["words"].max() == len(inspection.words) - 1
        assert found["probabilities"].tolist() == list(inspection.probabilities)
        assert np.array_equal(found["method_integrated_gradients"], made.methods[0].weights)


def test_npz_of_a_text_that_numpy_could_not_store() -> None:
    with np.load(io.BytesIO(npz(review("깨진 \ud800 글자"))), allow_pickle=False) as found:
        assert str(found["text"]) == "깨진 ? 글자"


def test_csv_reads_back_as_the_same_numbers() -> None:
    made = review('나쁘진 않지만, "10점"\n=SUM(A1)')
    assert made.inspection.attention is not None
    n_layers, n_heads, size, _ = made.inspection.attention.shape
    rows = list(csv.DictReader(io.StringIO(weights_csv(made))))
    assert len(rows) == n_layers * n_heads * size * size
    found = np.zeros((n_layers, n_heads, size, size))
    for row in rows:
        found[int(row["layer"]), int(row["head"]), int(row["query"]), int(row["key"])] = float(row["weight"])
    assert np.allclose(found, made.inspection.attention, rtol=1e-7, atol=0)
    names = [readable(token) for token in made.inspection.tokens]
    assert [row["key_token"] for row in rows[:size]] == names
    assert "=S" in names
    one = list(csv.DictReader(io.StringIO(weights_csv(made, layer=1))))
    assert {(row["layer"], row["head"]) for row in one} == {("1", "mean")}
    mean = attention.select(made.inspection.attention, 1)
    assert [float(row["weight"]) for row in one] == pytest.approx(mean.ravel().tolist(), rel=1e-6)
    rolled = list(csv.DictReader(io.StringIO(weights_csv(made, "rollout"))))
    assert len(rolled) == size * size
    given = list(csv.DictReader(io.StringIO(weights_csv(made, "integrated_gradients"))))
    assert [float(row["weight"]) for row in given] == pytest.approx(made.methods[0].weights.tolist())
    with pytest.raises(UsageError):
        weights_csv(made, layer=9)


def test_bertviz_gets_what_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`head_view` takes a list of one (1, heads, T, T) tensor a layer, and T tokens; bertviz itself is not needed."""
    made = review()
    (tmp_path / "a.npz").write_bytes(npz(made))
    script = bertviz_script("a.npz")
    assert script.count("\n") == 5
    seen = {}
    monkeypatch.chdir(tmp_path)
    code = "\n".join(line for line in script.splitlines() if not line.startswith("from bertviz"))
    exec(code, {"head_view": lambda weights, tokens: seen.update(weights=weights, tokens=tokens)})
    size = len(made.inspection.tokens)
    assert [tuple(layer.shape) for layer in seen["weights"]] == [(1, 3, size, size)] * 2
    assert all(isinstance(token, str) for token in seen["tokens"])
    assert len(seen["tokens"]) == size


def test_a_model_without_attention_says_why() -> None:
    bare = replace(review().inspection, attention=None, note="Funnel gives none.")
    made = ReviewExport(bare, "1")
    for make in (npz, weights_csv, svg):
        with pytest.raises(ExportError) as caught:
            make(made)
        assert caught.value.hint == "Funnel gives none."
    assert "Funnel gives none." in page([made])


# -- pictures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", [View(), View("rollout", words=False), View(special="shown", head=1)])
def test_svg_is_xml_and_holds_the_text_and_nothing_of_its_own(view: View, theme: str) -> None:
    made = review()
    root = ElementTree.fromstring(svg(made, replace(view, theme=theme)))
    names = {element.tag.rsplit("}", 1)[1] for element in root.iter()}
    assert names <= {"svg", "title", "rect", "text"}
    letters = "".join("".join(element.itertext()) for element in root if element.tag.endswith("text"))
    for word in ("평점들은....", "나쁘진", "않지만", "pwned"):
        assert word in letters
    assert "\x1b" not in letters
    assert float(root.attrib["width"]) > 100


def test_svg_heat_is_the_row_of_the_classification_token() -> None:
    made = review("나쁘진 않지만 아니잖아")
    assert made.inspection.attention is not None
    matrix = attention.select(made.inspection.attention, 1, 2)
    words = attention.word_weights(matrix[0], made.inspection.token_words, 3)
    root = ElementTree.fromstring(svg(made, View(layer=1, head=2)))
    titles = [element.text or "" for element in root.iter() if element.tag.endswith("title")]
    assert [title for title in titles if "→" not in title][1:] == [
        f"{word.text} {weight:.4f}" for word, weight in zip(made.inspection.words, words, strict=True)
    ]
    between = attention.word_matrix(
        attention.drop_special(matrix, made.inspection.special_mask), made.inspection.token_words, 3
    )
    assert f"나쁘진 → 아니잖아 {between[0, 2]:.4f}" in titles


def test_svg_of_signed_weights_and_of_a_long_review() -> None:
    made = review()
    assert "#0072b2" in svg(made, View("integrated_gradients"))
    long = svg(review("아주 긴 리뷰입니다 " * 60))
    assert f"the first {LARGEST_MAP} of" in long


def test_a_cell_is_what_a_terminal_takes() -> None:
    assert [cells(text) for text in ("a", "한", "ㅋㅋ", "\u1112\u1161\u11ab", "é", "👨\u200d👩\u200d👧", "")] == [
        1,
        2,
        4,
        2,
        1,
        2,
        0,
    ]


def test_png_by_what_is_installed() -> None:
    if converter() is None:
        pytest.skip("nothing that makes PNG is installed")
    made = png(svg(review()))
    assert made.startswith(b"\x89PNG\r\n\x1a\n")


def test_png_without_a_converter_names_what_would_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError) as caught:
        png("<svg/>")
    assert "rsvg-convert" in caught.value.hint


# -- the page ------------------------------------------------------------------------------------------------------


def test_the_page_loads_nothing_and_runs_nothing_of_the_review() -> None:
    made = page([review(id=EVIL), review("두 번째")])
    assert re.findall(r'(?:src|href)="', made) == []
    assert "default-src 'none'" in made
    assert "http://" not in made
    assert "https://" not in made
    # The only scripts are ours: the texts, the data, the code.
    assert made.count("<script") == made.count("</script>") == 3
    data = re.search(r'id="data">(.*?)</script>', made, re.S)
    assert data is not None
    assert [one["title"] for one in json.loads(data[1])] == [f"#{EVIL}", "#10-1"]


def dumped(path: Path, profile: Path, **state: object) -> str:
    """The page as Chromium has drawn it, opened offline at a state that its address tells."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM,
            *BROWSER_OPTIONS,
            "--proxy-server=127.0.0.1:9",
            f"--user-data-dir={profile}",
            "--dump-dom",
            f"{path.as_uri()}#{urlencode(state)}",
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def text_of(dom: str, name: str) -> str:
    found = re.search(rf'<(\w+) id="{name}"[^>]*>(.*?)</\1>', dom, re.S)
    assert found is not None, name
    return html.unescape(re.sub(r"<[^>]*>", "", found[2]))


@needs_chromium
def test_chromium_draws_the_page_with_the_same_numbers(tmp_path: Path) -> None:
    made = review()
    inspection = made.inspection
    assert inspection.attention is not None
    path = tmp_path / "review.html"
    path.write_text(page([review("첫 번째"), made]), encoding="utf-8")
    dom = dumped(path, tmp_path / "profile", review=1, layer=1, head=2, row=3, column=4)
    matrix = attention.select(inspection.attention, 1, 2)
    words = attention.word_weights(attention.token_row(matrix, "cls", 0), inspection.token_words, len(inspection.words))
    drawn = [float(value) for value in re.findall(r'data-weight="([^"]*)"', dom)]
    assert drawn == pytest.approx(words.tolist(), abs=2e-4)
    assert "<title>pwned" not in dom
    shown = text_of(dom, "text")
    assert len(shown) == len(inspection.text)
    assert shown.startswith(f"뭐야 이 평점들은.... 나쁘진 않지만 ㅋㅋㅋ {EVIL} [bold] [/x] ␛]0;pwned␇ 탭␉과 ")
    between = attention.word_matrix(
        attention.drop_special(matrix, inspection.special_mask), inspection.token_words, len(inspection.words)
    )
    assert text_of(dom, "readout").split()[:2] == ["나쁘진", "→"]
    assert float(text_of(dom, "readout").split()[-1]) == pytest.approx(between[3, 4], abs=2e-4)
    assert "head 2" in text_of(dom, "caption")
    assert "true negative" in text_of(dom, "facts")


@needs_chromium
def test_chromium_draws_rollout_and_signed_weights_in_korean(tmp_path: Path) -> None:
    set_language("ko")
    made = review("나쁘진 않지만 아니잖아")
    inspection = made.inspection
    assert inspection.attention is not None
    path = tmp_path / "review.html"
    path.write_text(page([made]), encoding="utf-8")
    dom = dumped(path, tmp_path / "profile", method="rollout", units="tokens", special="renormalised")
    row = attention.drop_special(attention.rollout(inspection.attention)[0], inspection.special_mask, True)
    drawn = [float(value) for value in re.findall(r'data-weight="([^"]*)"', dom)]
    assert drawn == pytest.approx([value for value in row if value], abs=2e-4)
    assert '<html lang="ko"' in dom
    assert "정답 부정" in text_of(dom, "facts")
    dom = dumped(path, tmp_path / "profile2", method="integrated_gradients", special="shown")
    weights = attention.word_weights(made.methods[0].weights, inspection.token_words, 3)
    drawn = [float(value) for value in re.findall(r'data-weight="([^"]*)"', dom)]
    assert drawn == pytest.approx(weights.tolist(), abs=1e-4)
    assert "gap 0.001" in text_of(dom, "note")
    assert "[CLS]" in text_of(dom, "added")


# -- files ---------------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    target = tmp_path / "a.svg"
    write(target, "one")
    with pytest.raises(ExportError, match="exists"):
        write(target, "two")
    assert target.read_text() == "one"
    write(target, "two", force=True)
    assert target.read_text() == "two"
    with pytest.raises(ExportError, match="is a directory"):
        write(tmp_path, "x")
    with pytest.raises(ExportError, match="no directory"):
        write(tmp_path / "nowhere" / "a.svg", "x")


def test_an_id_becomes_a_file_name_of_its_own() -> None:
    assert safe_name("8544678") == "8544678"
    assert safe_name("../../etc/passwd") != safe_name("../../etc_passwd")
    for name in ("../x", "a/b", "", ".", "\x00", "a" * 500, "con|aux"):
        made = safe_name(name)
        assert made
        assert "/" not in made
        assert not made.startswith(".")
        assert len(made) < 100


# -- from the command line -----------------------------------------------------------------------------------------


def test_attention_writes_files(finished_run: Path, tmp_path: Path) -> None:
    predictions = Predictions(finished_run)
    row = predictions.row(int(predictions.select("all")[0]))
    kinds = ("html", "svg", "csv", "npz")
    options = [part for kind in kinds for part in (f"--{kind}", str(tmp_path / f"a.{kind}"))]
    arguments = ("attention", str(finished_run), "--id", row.id, "--method", "integrated_gradients")
    done = run_cli(*arguments, *options, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"files": [str(tmp_path / f"a.{kind}") for kind in kinds]}
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        methods = {name for name in found.files if name.startswith("method_")}
        assert methods == {f"method_{name}" for name in EXTRA}
        assert found["attention"].shape[-1] == len(found["tokens"])
        # Positive speaks for 긍정, whatever the answer was.
        gradients = found["method_integrated_gradients"]
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(one["weight"]) for one in rows] == pytest.approx(gradients.tolist(), rel=1e-6)
    explained = run_cli(*arguments, "--target", "1", "--json")
    assert json.loads(explained.stdout)["weights"] == pytest.approx(gradients.tolist(), abs=1e-6)
    page_text = (tmp_path / "a.html").read_text(encoding="utf-8")
    data = re.search(r'id="data">(.*?)</script>', page_text, re.S)
    assert data is not None
    (shown,) = json.loads(data[1])
    assert [method["method"] for method in shown["methods"]] == list(EXTRA)
    assert shown["text"] == row.document
    assert "integrated gradients" in (tmp_path / "a.svg").read_text(encoding="utf-8")
    again = run_cli(*arguments, "--svg", str(tmp_path / "a.svg"))
    assert again.returncode == 1
    assert "exists" in again.stderr


def test_a_picture_holds_one_review() -> None:
    with pytest.raises(UsageError):
        render("svg", [review(), review()], View())
    assert render("html", [review(), review()], View()).startswith(b"<!DOCTYPE html>")


def test_bertviz_brings_its_script_along(tmp_path: Path) -> None:
    written = save("bertviz", tmp_path / "a.npz", [review()], View())
    assert [path.name for path in written] == ["a.npz", "a-bertviz.py"]
    (tmp_path / "a.npz").unlink()
    with pytest.raises(ExportError, match=r"a-bertviz\.py exists"):
        save("bertviz", tmp_path / "a.npz", [review()], View())
    assert not (tmp_path / "a.npz").exists()
