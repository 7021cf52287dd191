"""The commands as scripts use them: one JSON document, exit codes, a hint with every error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from core import __version__
from core.runs import load_run
from tests.conftest import run_cli


def one_json(text: str) -> dict:
    assert text.count("\n") == 1
    return json.loads(text)


def test_help_and_version() -> None:
    done = run_cli("--help")
    assert done.returncode == 0
    for command in ("demo", "train", "control", "runs", "show", "watch", "evaluate", "errors", "attention", "doctor"):
        assert command in done.stdout
    assert __version__ in run_cli("--version").stdout
    assert "검토" in run_cli("--lang", "ko", "demo", "--help").stdout


def test_help_is_quick() -> None:
    """The help imports click and what names the commands, nothing that takes long."""
    command = [sys.executable, "-X", "importtime", "-m", "tui", "--help"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    imported = {line.rsplit("|", 1)[1].strip().partition(".")[0] for line in ran.stderr.splitlines() if "|" in line}
    assert "click" in imported
    slow = {"textual", "rich", "numpy", "pyarrow", "plotext", "torch", "transformers", "datasets", "sklearn"}
    assert not imported & slow


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("show", "nothing"), 1),
        (("train", "none.toml"), 2),
        (("train", "--set", "train.learning_rte=1", "--data", "sample"), 2),
        (("train", "--preset", "huge"), 2),
        (("control", "latest", "explode"), 2),
        (("attention", "latest"), 2),
        (("evaluate", "/nowhere"), 1),
        (("nonsense",), 2),
        ((), 2),
    ],
)
def test_errors_have_a_code_a_reason_and_no_traceback(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    done = run_cli(*arguments, runs=tmp_path)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_failure_that_nothing_is_known_of_names_no_log_of_a_run(debug: str) -> None:
    """A command that asks a process of its own has no run and no worker.log."""
    script = "import sys; from core.answering import answer; sys.exit(answer(lambda request: {}['gone']))"
    done = subprocess.run(
        [sys.executable, "-c", script, "{}"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NSMC_TUI_DEBUG": debug},
    )
    failure = json.loads(done.stdout)
    assert failure["message"] == "KeyError: 'gone'"
    assert "--debug" in failure["hint"]
    assert ("Traceback" in done.stderr) is bool(debug)


def test_runs_and_show(run_copy: Path) -> None:
    runs = run_copy.parent
    listed = one_json(run_cli("runs", "--json", runs=runs).stdout)
    assert [run["run_id"] for run in listed] == [run_copy.name]
    shown = one_json(run_cli("show", "latest", "--json", runs=runs).stdout)
    assert shown["state"] == "finished"
    assert shown["results"]["test_accuracy"] == shown["metrics"]["test_accuracy"]
    assert run_copy.name in run_cli("runs", runs=runs).stdout
    assert "test_accuracy" in run_cli("show", run_copy.name[:15], runs=runs).stdout


def test_watch_of_a_finished_run_ends(run_copy: Path) -> None:
    done = run_cli("watch", "latest", runs=run_copy.parent)
    assert done.returncode == 0
    assert "finished" in done.stdout
    lines = run_cli("watch", "latest", "--json", runs=run_copy.parent).stdout.splitlines()
    assert json.loads(lines[0])["type"] == "run_started"
    assert json.loads(lines[-1])["type"] == "run_finished"


def test_evaluate_gives_the_reported_scores(run_copy: Path) -> None:
    reported = json.loads((run_copy / "test_results.json").read_text())
    before = (run_copy / "predictions-test.parquet").stat().st_mtime_ns
    document = one_json(run_cli("evaluate", "latest", "--json", runs=run_copy.parent).stdout)
    assert document["metrics"]["accuracy"] == reported["test_accuracy"]
    assert document["metrics"]["f1"] == reported["test_f1"]
    assert (document["run_id"], document["split"], document["n"]) == (run_copy.name, "test", 1000)
    (tn, fp), (fn, tp) = document["confusion"]
    assert (tn + tp) / (tn + fp + fn + tp) == document["metrics"]["accuracy"]
    low, high = document["intervals"]["accuracy"]
    assert low < document["metrics"]["accuracy"] < high
    assert 0 < document["calibration"]["ece"] < 0.5
    assert sum(part["negatives"] + part["positives"] for part in document["calibration"]["bins"]) == 1000
    assert {"name", "n", "errors", "accuracy", "rest", "p"} == set(document["slices"][0])
    assert (run_copy / "predictions-test.parquet").stat().st_mtime_ns > before


def test_evaluate_a_model_directory_on_other_data(run_copy: Path, tmp_path: Path) -> None:
    data = tmp_path / "mine"
    data.mkdir()
    rows = "id\tdocument\tlabel\n1\t정말 재밌다\t1\n2\t지루하다\t0\n3\t최고\t1\n4\t별로\t0\n"
    for name in ("ratings_train.txt", "ratings_test.txt"):
        (data / name).write_text(rows)
    model = run_copy / "model"
    assert run_cli("evaluate", str(model)).returncode == 2
    done = run_cli("evaluate", str(model), "--data", str(data), "--json")
    assert done.returncode == 0, done.stderr
    assert one_json(done.stdout)["n"] == 4


def test_evaluate_one_file_with_columns_of_its_own(run_copy: Path, tmp_path: Path) -> None:
    """All of it is scored; one class, no train file and no test file beside it are no hindrance."""
    file = tmp_path / "complaints.csv"
    file.write_text("text,mood\n정말 지루하다,bad\n별로,bad\n돈 아깝다,bad\n", encoding="utf-8")
    options = ("--set", "data.document_column=text", "--set", "data.label_column=mood")
    labels = ("--set", "data.negative_label=bad", "--set", "data.positive_label=good")
    target = ("evaluate", "latest", "--data", str(file))
    done = run_cli(*target, *options, *labels, "--json", runs=run_copy.parent)
    assert done.returncode == 0, done.stderr
    document = one_json(done.stdout)
    assert (document["n"], sum(document["confusion"][1])) == (3, 0)
    assert document["predictions"].endswith("predictions-test@complaints.csv.parquet")
    missing = run_cli(*target, runs=run_copy.parent)
    assert missing.returncode == 1
    assert "data.document_column" in missing.stderr
    assert run_cli("evaluate", "latest", *options, runs=run_copy.parent).returncode == 2
    assert run_cli(*target, "--set", "train.seed=1", runs=run_copy.parent).returncode == 2


def test_errors_are_the_mispredicted_reviews(run_copy: Path) -> None:
    from core.predictions import Predictions

    runs = run_copy.parent
    predictions = Predictions(run_copy)
    document = one_json(run_cli("errors", "latest", "--json", runs=runs).stdout)
    wrong = predictions.column("label") != predictions.column("pred")
    assert document["total"] == int(wrong.sum()) == len(document["items"])
    losses = [item["loss"] for item in document["items"]]
    assert losses == sorted(losses, reverse=True)
    assert {"id", "document", "label", "pred", "prob_0", "prob_1", "loss"} <= set(document["items"][0])
    only = one_json(run_cli("errors", "latest", "--kind", "fp", "--limit", "3", "--json", runs=runs).stdout)
    assert only["total"] > 3 == len(only["items"])
    assert all((item["label"], item["pred"]) == (0, 1) for item in only["items"])
    assert document["items"][0]["id"] in run_cli("errors", "latest", runs=runs).stdout


def test_attention_equals_eager(run_copy: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    text = "이 영화 [bold] 정말 \x1b[31m재밌다 ㅋㅋㅋ"
    done = run_cli("attention", "latest", "--text", text, "--layer", "1", "--head", "0", "--json", runs=run_copy.parent)
    document = one_json(done.stdout)
    model = AutoModelForSequenceClassification.from_pretrained(run_copy / "model", attn_implementation="eager")
    inputs = AutoTokenizer.from_pretrained(run_copy / "model")(text, return_tensors="pt")
    with torch.inference_mode():
        output = model(**inputs, output_attentions=True)
    np.testing.assert_allclose(document["weights"], output.attentions[1][0, 0].numpy(), atol=1e-5)
    np.testing.assert_allclose(document["probabilities"], output.logits.softmax(-1)[0].numpy(), atol=1e-5)
    assert document["text"] == text
    assert (document["layer"], document["head"], document["method"]) == (1, 0, "attention")
    for word in document["words"]:
        assert text[word["start"] : word["end"]] == word["text"]
    printed = run_cli("attention", "latest", "--text", text, runs=run_copy.parent).stdout
    assert "␛[31m" in printed
    assert "\x1b" not in printed


def test_attention_of_a_review_by_id(run_copy: Path) -> None:
    runs = run_copy.parent
    item = one_json(run_cli("errors", "latest", "--limit", "1", "--json", runs=runs).stdout)["items"][0]
    document = one_json(run_cli("attention", "latest", "--id", item["id"], "--json", runs=runs).stdout)
    assert document["text"] == item["document"]
    assert document["probabilities"][1] == pytest.approx(item["prob_1"], abs=1e-4)
    assert run_cli("attention", "latest", "--id", "none", runs=runs).returncode == 1
    assert run_cli("attention", "latest", "--text", "x", "--layer", "99", runs=runs).returncode == 2


def test_config_commands(tmp_path: Path) -> None:
    shown = run_cli("config", "show")
    (tmp_path / "c.toml").write_text(shown.stdout)
    assert (
        run_cli("config", "check", str(tmp_path / "c.toml"), "--json").stdout.strip() == '{"ok": true, "changed": {}}'
    )
    assert "float" in run_cli("config", "describe", "learning_rate").stdout
    keys = {item["key"] for item in json.loads(run_cli("config", "describe", "--json").stdout)}
    assert {"train.learning_rate", "train.bf16", "data.source", "model.preset"} <= keys


def test_data_check_of_the_sample() -> None:
    document = one_json(run_cli("data", "check", "sample", "--json").stdout)
    assert document["ok"] is True
    shown = run_cli("data", "check", "sample").stdout
    assert "4,000" in shown
    assert "A run can start with this data." in shown


def test_data_check_tells_people_what_is_wrong_in_their_language(tmp_path: Path) -> None:
    """What a process of its own finds, too."""
    rows = "".join(f"{number}\t영화 {number}\t{number % 3}\n" for number in range(30))
    for name in ("train", "test"):
        (tmp_path / f"{name}.tsv").write_text(f"id\tdocument\tlabel\n{rows}", encoding="utf-8")
    done = run_cli("--lang", "ko", "data", "check", str(tmp_path / "train.tsv"))
    assert done.returncode == 0
    assert "실행은 두 클래스만 다루는데" in done.stdout
    assert "[{" not in done.stdout


def test_doctor(tmp_path: Path) -> None:
    document = one_json(run_cli("doctor", "--json", runs=tmp_path).stdout)
    assert document["torch"]["torch"]
    assert document["disk"]["runs_free"] > 0
    assert document["offline"]["HF_HUB_OFFLINE"] is True
    assert "torch" in run_cli("doctor", runs=tmp_path).stdout


def test_train_detached_then_control_then_watch(tmp_path: Path) -> None:
    done = run_cli(
        "train", "--data", "sample", "--preset", "tiny", "--set", "train.num_train_epochs=60", "--detach", "--json",
        "--name", "실험 [1]", runs=tmp_path,
    )  # fmt: skip
    document = one_json(done.stdout)
    assert set(document) == {"run_id", "path"}
    run_dir = Path(document["path"])
    deadline = time.monotonic() + 240
    while load_run(run_dir).state != "running" and time.monotonic() < deadline:
        time.sleep(0.1)
    taken = one_json(run_cli("control", document["run_id"], "stop", "--json", runs=tmp_path).stdout)
    assert taken["action"] == "stop"
    watched = run_cli("watch", document["run_id"], runs=tmp_path)
    assert watched.returncode == 0
    assert load_run(run_dir).state == "stopped"


def test_leaving_the_follower_leaves_the_run(tmp_path: Path) -> None:
    import signal

    follower = subprocess.Popen(
        [sys.executable, "-P", "-m", "tui", "--runs", str(tmp_path), "train", "--data", "sample", "--preset", "tiny",
         "--set", "train.max_steps=40", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert follower.stdout is not None
    assert json.loads(follower.stdout.readline())["type"] == "run_started"
    follower.send_signal(signal.SIGINT)
    _out, err = follower.communicate(timeout=240)
    assert follower.returncode == 130
    assert "the run goes on" in err
    run_dir = next(tmp_path.iterdir())
    deadline = time.monotonic() + 240
    while load_run(run_dir).live and time.monotonic() < deadline:
        time.sleep(0.2)
    assert load_run(run_dir).state == "finished"


def test_demo_as_text_ends_with_an_error_and_its_attention(tmp_path: Path) -> None:
    done = run_cli("demo", runs=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "mispredicted reviews" in done.stdout
    assert "from the classification token" in done.stdout
    assert "█" in done.stdout
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path)


def test_model_show_and_tokenize(run_copy: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = run_copy / "model"
    shown = one_json(run_cli("model", "show", str(model), "--json").stdout)
    loaded = AutoModelForSequenceClassification.from_pretrained(model)
    assert shown["parameters"] == loaded.num_parameters()
    assert shown["config"]["num_hidden_layers"] == 2
    text = "정말 [x] 재밌다\x1b[31m"
    document = one_json(run_cli("tokenize", "latest", text, "--json", runs=run_copy.parent).stdout)
    assert [token["id"] for token in document["tokens"]] == AutoTokenizer.from_pretrained(model)(text)["input_ids"]
    assert "\x1b" not in run_cli("tokenize", str(model), text).stdout
    assert run_cli("model", "show", "./nowhere").returncode == 1


def test_data_check_takes_columns(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text('key,review,mood\n1,"좋다, 정말",pos\n2,별로,neg\n')
    document = one_json(
        run_cli(
            "data", "check", str(tmp_path / "train.csv"), "--set", "data.document_column=review", "--set",
            "data.label_column=mood", "--set", "data.id_column=key", "--set", "data.negative_label=neg", "--set",
            "data.positive_label=pos", "--json",
        ).stdout
    )  # fmt: skip
    assert document["ok"] is True
    assert document["files"]["train"]["kept"] == 2


@pytest.mark.parametrize("encoding", ["ascii", "cp949"])
def test_terminals_that_are_not_utf8_show_what_they_can(run_copy: Path, encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "POSIX"}
    for arguments in (("--lang", "ko", "runs"), ("errors", "latest"), ("errors", "latest", "--json"), ("doctor",)):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "tui", "--runs", str(run_copy.parent), *arguments],
            capture_output=True, env=environment, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout
    document = subprocess.run(
        [sys.executable, "-P", "-m", "tui", "--runs", str(run_copy.parent), "errors", "latest", "--json"],
        capture_output=True, env=environment, check=True, stdin=subprocess.DEVNULL,
    ).stdout  # fmt: skip
    from core.predictions import Predictions

    predictions = Predictions(run_copy)
    first = predictions.row(int(predictions.select("all", "loss")[0]))
    assert json.loads(document)["items"][0]["document"] == first.document


def test_a_tokenizer_of_another_model_is_told(run_copy: Path, tmp_path: Path) -> None:
    import shutil

    from transformers import BertConfig, BertForSequenceClassification

    bad = tmp_path / "bad"
    shutil.copytree(run_copy / "model", bad)
    config = BertConfig(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertForSequenceClassification(config).save_pretrained(bad)
    for arguments in (
        ("evaluate", str(bad), "--data", "sample", "--json"),
        ("attention", str(bad), "--text", "정말 재밌다"),
    ):
        done = run_cli(*arguments)
        assert done.returncode == 1
        assert "embeddings" in done.stderr
        assert "hint:" in done.stderr
        assert "Traceback" not in done.stderr
