"""A run as files for others, each read back by what reads such files."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from core import export_labels, export_rows
from core.confident import pruned_errors
from core.errors import UsageError
from core.export_files import ExportError
from core.export_run import PARTS, USUAL, Request, export_run, parts_of
from core.export_tables import write_rows
from core.predictions import COLUMNS, Predictions
from core.review_log import Opinion, ReviewLog
from core.variants import Variants
from tests.conftest import run_cli
from tests.tui.review_helpers import NASTY, make_run

FORMULA = '=HYPERLINK("http://evil")'
ROWS = [
    ('줄\n바꿈, "따옴표"', 1, -1.0),
    (FORMULA, 0, 2.0),
    (NASTY, 0, 1.0),
    ("옳다", 1, 3.0),
    ("깨진 \x00 글자", 1, -2.0),
]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs", ROWS)


def documents(predictions: Predictions) -> list[str]:
    chosen = predictions.select("all", "loss")
    return [predictions.row(int(row)).document for row in chosen]


def test_all_three_formats_hold_the_same_rows(run_dir: Path, tmp_path: Path) -> None:
    export_run(run_dir, tmp_path / "out", Request(("errors",)))
    predictions = Predictions(run_dir)
    wanted = documents(predictions)
    assert len(wanted) == 4
    table = pq.read_table(tmp_path / "out" / "errors.parquet")
    assert table.column_names == [*COLUMNS, "kind", "verdict", "new_label", "tags", "note"]
    assert table.schema.field("prob_1").type == predictions.table.schema.field("prob_1").type
    assert table.column("document").to_pylist() == wanted
    lines = (tmp_path / "out" / "errors.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == table.to_pylist()
    with (tmp_path / "out" / "errors.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["document"] for row in read] == wanted
    assert [float(row["loss"]) for row in read] == table.column("loss").to_pylist()


def test_csv_for_excel_has_a_mark_and_no_formulas() -> None:
    rows = [{"a": FORMULA, "b": -1.5}, {"a": "한글", "b": None}, {"a": ["+tag"], "b": True}]
    exact = export_rows.to_csv(("a", "b"), rows)
    assert next(csv.DictReader(io.StringIO(exact.decode("utf-8"))))["a"] == FORMULA
    guarded = export_rows.to_csv(("a", "b"), rows, excel=True)
    assert guarded.startswith(b"\xef\xbb\xbf")
    read = list(csv.DictReader(io.StringIO(guarded.decode("utf-8-sig"))))
    assert read[0] == {"a": f"'{FORMULA}", "b": "-1.5"}
    assert read[1] == {"a": "한글", "b": ""}


def test_json_lines_survive_what_utf8_has_no_letter_for() -> None:
    rows = [{"a": "깨진 \ud800 글자 \u2028", "b": float("nan")}]
    made = export_rows.to_jsonl(("a", "b"), rows)
    assert made.count(b"\n") == 1
    assert json.loads(made) == {"a": "깨진 \ud800 글자 \u2028", "b": None}


def test_label_studio_tasks_fit_their_labelling_interface(run_dir: Path, tmp_path: Path) -> None:
    export_run(run_dir, tmp_path / "out", Request(("labelstudio",)))
    folder = tmp_path / "out" / "label-studio"
    interface = ElementTree.fromstring((folder / "labeling-config.xml").read_text(encoding="utf-8"))
    (text,), (choices,) = interface.findall("Text"), interface.findall("Choices")
    values = {choice.attrib["value"] for choice in choices}
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    assert len(tasks) == 4
    for task in tasks:
        assert text.attrib["value"].removeprefix("$") in task["data"]
        (prediction,) = task["predictions"]
        assert 0.5 <= prediction["score"] <= 1
        (result,) = prediction["result"]
        assert result["from_name"] == choices.attrib["name"]
        assert result["to_name"] == choices.attrib["toName"] == text.attrib["name"]
        assert result["type"] == "choices"
        assert set(result["value"]["choices"]) < values
    assert [task["data"]["text"] for task in tasks] == [
        text.replace("\x00", "\ufffd") for text in documents(Predictions(run_dir))
    ]


def test_argilla_records_have_what_its_reader_takes(run_dir: Path, tmp_path: Path) -> None:
    """`Record.from_dict` takes `suggestions` as {question: {value, score, agent}}, `responses` as {question: […]}."""
    export_run(run_dir, tmp_path / "out", Request(("argilla",)))
    records = json.loads((tmp_path / "out" / "argilla" / "argilla.json").read_text(encoding="utf-8"))
    for record in records:
        assert set(record) == {"id", "fields", "metadata", "suggestions", "responses", "vectors"}
        assert set(record["fields"]) == {"text"}
        assert set(record["suggestions"]["sentiment"]) == {"value", "score", "agent"}
        assert record["suggestions"]["sentiment"]["value"] in export_labels.LABELS
        assert record["metadata"]["label"] != record["suggestions"]["sentiment"]["value"]
        assert "\x00" not in record["fields"]["text"]
        assert record["suggestions"]["sentiment"]["agent"].isascii()
    compile(
        (tmp_path / "out" / "argilla" / "argilla_import.py").read_text(encoding="utf-8"), "argilla_import.py", "exec"
    )


def test_verdicts_go_along(run_dir: Path) -> None:
    predictions = Predictions(run_dir)
    reviews = [predictions.row(0)]
    verdicts = {reviews[0].id: {"verdict": "label_wrong", "new_label": 0, "note": "반어\x00"}}
    (task,) = json.loads(export_labels.label_studio(reviews, "run", verdicts))
    assert task["data"]["verdict"] == "label_wrong"
    assert task["data"]["note"] == "반어\ufffd"
    (record,) = json.loads(export_labels.argilla(reviews, "run", verdicts))
    assert record["metadata"]["new_label"] == "부정"


def test_chosen_reviews_in_their_order(run_dir: Path, tmp_path: Path) -> None:
    manifest = export_run(run_dir, tmp_path / "out", Request(("errors",), rows=np.array([3, 0]), chosen="two"))
    table = pq.read_table(tmp_path / "out" / "errors.parquet")
    assert table.column("id").to_pylist() == ["1003", "1000"]
    assert table.column("kind").to_pylist() == ["tp", "fn"]
    assert manifest["reviews"] == 2
    assert "two" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_the_manifest_knows_every_file(finished_run: Path, tmp_path: Path) -> None:
    manifest = export_run(finished_run, tmp_path / "out", Request())
    assert manifest == json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    found = {
        path.relative_to(tmp_path / "out").as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert found == {file["path"]: file["sha256"] for file in manifest["files"]}
    assert {"model/model.safetensors", "config.toml", "tables/scores-test.md", "errors.csv"} <= set(found)
    # Host, user and paths of the machine are nobody's business.
    assert "environment.json" not in found
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "`errors.csv`" in readme
    scores = list(csv.DictReader((tmp_path / "out" / "tables" / "scores-test.csv").open(encoding="utf-8")))
    results = json.loads((finished_run / "test_results.json").read_text())
    assert float(scores[0]["value"]) == pytest.approx(results["test_accuracy"])
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "out" / "model").config.num_labels == 2
    assert AutoTokenizer.from_pretrained(tmp_path / "out" / "model")("좋다")["input_ids"]


def test_only_an_export_is_ever_replaced(run_dir: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    for force in (False, True):
        with pytest.raises(ExportError, match="something else"):
            export_run(run_dir, mine, Request(("errors",), force=force))
    link = tmp_path / "link"
    link.symlink_to(mine)
    with pytest.raises(ExportError, match="exists"):
        export_run(run_dir, link, Request(("errors",), force=True))
    out = tmp_path / "out"
    out.mkdir()
    export_run(run_dir, out, Request(("errors",)))
    with pytest.raises(ExportError, match="exists"):
        export_run(run_dir, out, Request(("errors",)))
    export_run(run_dir, out, Request(("tables",), force=True))
    assert not (out / "errors.csv").exists()
    assert (out / "tables" / "scores-test.csv").exists()
    with pytest.raises(ExportError, match="no directory"):
        export_run(run_dir, tmp_path / "a" / "b", Request(("errors",)))
    assert (mine / "thesis.txt").read_text() == "years of work"
    # Nothing is left lying around.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "mine", "out", "runs"]


def test_what_a_run_has_not_got_is_named(run_dir: Path, tmp_path: Path) -> None:
    manifest = export_run(run_dir, tmp_path / "out", Request(("model", "errors")))
    assert set(manifest["missing"]) == {"model"}
    assert manifest["parts"] == ["errors"]
    with pytest.raises(ExportError, match="nothing to export"):
        export_run(run_dir, tmp_path / "none", Request(("model",)))
    assert not (tmp_path / "none").exists()


def test_parts_are_named() -> None:
    assert parts_of([]) == USUAL
    assert parts_of(["errors,model", "tables"]) == ("model", "tables", "errors")
    assert parts_of(["all"]) == PARTS
    with pytest.raises(UsageError) as caught:
        parts_of(["modle"])
    assert "model" in caught.value.hint


def test_from_the_command_line_with_attention(finished_run: Path, tmp_path: Path) -> None:
    predictions = Predictions(finished_run)
    review = predictions.row(int(predictions.select("all")[2])).id
    target = tmp_path / "out"
    arguments = ("export", str(finished_run), "--to", str(target), "--what", "errors,attention", "--id", review)
    done = run_cli(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["path"] == str(target)
    names = {file["path"] for file in document["files"]}
    assert {f"attention/{review}{ending}" for ending in (".html", ".svg", ".npz", "-bertviz.py")} <= names
    with np.load(target / "attention" / f"{review}.npz", allow_pickle=False) as found:
        assert np.allclose(found["attention"].sum(-1), 1, atol=1e-4)
    again = run_cli(*arguments)
    assert again.returncode == 1
    assert "--force" in again.stderr
    wrong = run_cli("export", str(finished_run), "--to", str(tmp_path / "x"), "--what", "everything")
    assert wrong.returncode == 2
    assert "labelstudio" in wrong.stderr


def test_verdicts_and_cleanlab_columns(run_dir: Path, tmp_path: Path) -> None:
    log = ReviewLog(run_dir, "test", by="kim")
    log.keep([("1001", Opinion("label_wrong", 1, ("광고",), "=반어")), ("1003", Opinion("ambiguous"))])
    manifest = export_run(run_dir, tmp_path / "out", Request(("errors", "verdicts", "cleanlab", "labelstudio")))
    assert manifest["missing"] == {}
    table = pq.read_table(tmp_path / "out" / "verdicts.parquet")
    rows = {row["id"]: row for row in table.to_pylist()}
    assert set(rows) == {"1001", "1003"}
    assert rows["1001"]["new_label"] == 1
    assert rows["1001"]["tags"] == ["광고"]
    assert rows["1001"]["by"] == "kim"
    assert rows["1003"]["document"] == "옳다"
    lines = (tmp_path / "out" / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["id"]: json.loads(line) for line in lines} == rows
    with (tmp_path / "out" / "verdicts.csv").open(encoding="utf-8", newline="") as file:
        assert {row["id"]: row["note"] for row in csv.DictReader(file)} == {"1001": "=반어", "1003": ""}
    errors = {row["id"]: row for row in pq.read_table(tmp_path / "out" / "errors.parquet").to_pylist()}
    assert errors["1001"]["verdict"] == "label_wrong"
    assert errors["1002"]["verdict"] is None
    predictions = Predictions(run_dir)
    probabilities = np.load(tmp_path / "out" / "cleanlab" / "pred_probs.npy", allow_pickle=False)
    assert np.allclose(probabilities.sum(1), 1)
    with (tmp_path / "out" / "cleanlab" / "issues.csv").open(encoding="utf-8", newline="") as file:
        issues = list(csv.DictReader(file))
    assert [row["id"] for row in issues] == predictions.table.column("id").to_pylist()
    for row, review in zip(issues, (predictions.row(n) for n in range(len(predictions))), strict=True):
        assert float(row["label_score"]) == pytest.approx((review.prob_0, review.prob_1)[review.label])
        assert int(row["given_label"]) == review.label
        assert int(row["predicted_label"]) == review.pred
        assert row["is_label_issue"] in ("true", "false")
    flagged = [row["id"] for row in issues if row["is_label_issue"] == "true"]
    chosen = pruned_errors(predictions.column("label"), probabilities)
    assert flagged == [row["id"] for row, issue in zip(issues, chosen, strict=True) if issue]


def test_a_run_without_verdicts_says_so(run_dir: Path, tmp_path: Path) -> None:
    manifest = export_run(run_dir, tmp_path / "out", Request(("errors", "verdicts")))
    assert list(manifest["missing"]) == ["verdicts"]


def test_one_file_of_a_queue(run_dir: Path, tmp_path: Path) -> None:
    predictions = Predictions(run_dir)
    path = write_rows("csv", tmp_path / "queue.csv", predictions, [2, 0], run_dir)
    with path.open(encoding="utf-8", newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["1002", "1000"]
    with pytest.raises(ExportError, match="exists"):
        write_rows("jsonl", path, predictions, [0], run_dir)
    tasks = json.loads(write_rows("labelstudio", tmp_path / "a.json", predictions, [1], run_dir).read_bytes())
    assert tasks[0]["data"]["id"] == "1001"


def test_which_reviews_is_said_as_for_errors(run_dir: Path, tmp_path: Path) -> None:
    done = run_cli(
        "--runs", str(run_dir.parent), "export", "latest", "--to", str(tmp_path / "out"), "--what", "errors",
        "--kind", "any", "--where", "loss<0.5",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert pq.read_table(tmp_path / "out" / "errors.parquet").column("id").to_pylist() == ["1003"]
    wrong = run_cli("export", str(run_dir), "--to", str(tmp_path / "x"), "--where", "lose<0.5")
    assert wrong.returncode == 2


def test_variants_go_along(run_dir: Path, tmp_path: Path) -> None:
    kept = Variants(run_dir)
    first = kept.add("1001", "test", "링크 아니다", (0.8, 0.2), (0.1, 0.9), masked=(1,))
    kept.add("1001", "test", FORMULA, (0.4, 0.6), (0.1, 0.9), parent=first, note="flip")
    kept.add("7", "dev", "다른 것", (0.5, 0.5), (0.5, 0.5))
    manifest = export_run(run_dir, tmp_path / "out", Request(("errors", "variants"), rows=np.array([0])))
    assert manifest["parts"] == ["errors", "variants"]
    rows = pq.read_table(tmp_path / "out" / "variants.parquet").to_pylist()
    assert [row["text"] for row in rows] == ["링크 아니다", FORMULA]
    assert [row["document"] for row in rows] == [FORMULA, FORMULA]
    assert rows[0]["masked"] == [1]
    assert rows[0]["parent"] is None
    assert rows[1]["parent"] == rows[0]["variant"] == first.variant
    assert [row["flipped"] for row in rows] == [True, False]
    assert [row["change"] for row in rows] == pytest.approx([-0.7, -0.3])
    lines = (tmp_path / "out" / "variants.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows
    with (tmp_path / "out" / "variants.csv").open(encoding="utf-8", newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == ["링크 아니다", FORMULA]
    assert "`variants.csv`" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_without_variants_that_is_said(run_dir: Path, tmp_path: Path) -> None:
    manifest = export_run(run_dir, tmp_path / "out", Request(("tables", "variants")))
    assert list(manifest["missing"]) == ["variants"]
    assert not (tmp_path / "out" / "variants.csv").exists()
