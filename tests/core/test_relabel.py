"""Corrected data: only the labels that were called wrong differ, byte for byte."""

from __future__ import annotations

import codecs
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from core import config_file, data_files, predictions
from core.config import DataConfig
from core.data_rows import Parsed
from core.errors import RunError, UsageError
from core.relabel import corrected_tsv, relabel
from core.review_log import Opinion, ReviewLog
from tests.conftest import NSMC, needs_nsmc

ODD = (
    b"\xef\xbb\xbfid\tdocument\tlabel\r\n"
    b'1\t"quoted ""text"\t0\r\n'
    b"2\ta\ttab inside\t 1 \r\n"
    b"short\r\n"
    b"3\tbroken \xff\xfe bytes\t1\n"
    b"4\t\xec\x9e\xac\xeb\xaf\xb8\xe2\x80\xa8\xec\x97\x86\xeb\x8b\xa4\t1\n"
    b"4\tsame id\t1\n"
    b"\n"
    b"5\tlast without an end\t0"
)


def parsed(content: bytes, data: DataConfig) -> Parsed:
    return data_files.parse("odd.txt", "tsv", [content], data)


def changed_lines(before: bytes, after: bytes, newline: bytes = b"\n") -> dict[int, tuple[bytes, bytes]]:
    old, new = before.split(newline), after.split(newline)
    assert len(old) == len(new)
    return {n: (a, b) for n, (a, b) in enumerate(zip(old, new, strict=True)) if a != b}


def test_only_labels_change_and_everything_odd_stays() -> None:
    data = DataConfig(source="x")
    wanted = {
        ("1", '"quoted ""text"'): 1,
        ("2", "a\ttab inside"): 0,
        ("4", "재미\u2028없다"): 0,
        ("5", "last without an end"): 1,
    }
    after, count = corrected_tsv(ODD, parsed(ODD, data), wanted, data)
    assert count == 4
    assert changed_lines(ODD, after) == {
        1: (b'1\t"quoted ""text"\t0\r', b'1\t"quoted ""text"\t1\r'),
        2: (b"2\ta\ttab inside\t 1 \r", b"2\ta\ttab inside\t 0 \r"),
        5: ("4\t재미\u2028없다\t1".encode(), "4\t재미\u2028없다\t0".encode()),
        8: (b"5\tlast without an end\t0", b"5\tlast without an end\t1"),
    }
    assert corrected_tsv(ODD, parsed(ODD, data), {}, data) == (ODD, 0)
    # A label that is the new one already stays as it is.
    assert corrected_tsv(ODD, parsed(ODD, data), {("4", "same id"): 1}, data) == (ODD, 0)


@pytest.mark.parametrize("encoding", ["cp949", "utf-16", "utf-16-le", "utf-8"])
def test_other_encodings_columns_and_labels(encoding: str) -> None:
    data = DataConfig(
        source="x",
        id_column="번호",
        document_column="글",
        label_column="감정",
        negative_label="부정",
        positive_label="긍정",
        encoding=encoding,
    )
    text = "감정\t번호\t글\n긍정\t1\t좋다 가나다\n부정\t2\t별로\t였다\n"
    content = text.encode(encoding)
    after, count = corrected_tsv(
        content, parsed(content, data), {("2", "별로\t였다"): 1, ("1", "좋다 가나다"): 0}, data
    )
    assert count == 2
    assert after == text.replace("긍정\t1", "X").replace("부정\t2", "긍정\t2").replace("X", "부정\t1").encode(encoding)
    assert after.startswith(codecs.BOM_UTF16) == (encoding == "utf-16")


def made_run(tmp_path: Path, source: str, dev: list[tuple[str, str, int]], **data: object) -> Path:
    run_dir = tmp_path / "20260102-030405-run"
    run_dir.mkdir(parents=True)
    config = config_file.validate({"data": {"source": source, **data}, "model": {"preset": "tiny"}})
    (run_dir / "config.toml").write_text(config_file.dumps(config))
    (run_dir / "status.json").write_text(json.dumps({"state": "finished"}))
    ids, texts, labels = zip(*dev, strict=True)
    logits = np.array([[0.0, 1.0]] * len(dev))
    for split in ("dev", "test"):
        predictions.write(
            run_dir, split, predictions.table(ids, texts, np.array(labels), logits, np.ones(len(dev), dtype=np.int64))
        )
    return run_dir


@needs_nsmc
def test_the_real_files(tmp_path: Path) -> None:
    train, test = ((NSMC / f"ratings_{split}.txt").read_bytes() for split in ("train", "test"))
    rows = [line.split("\t") for line in train.decode().split("\n")[1:6]]
    run_dir = made_run(tmp_path, str(NSMC), [(row[0], row[1], int(row[2])) for row in rows])
    log = ReviewLog(run_dir, "dev", "kim")
    log.keep([(rows[n][0], Opinion("label_wrong", 1 - int(rows[n][2]))) for n in (0, 3)])
    log.keep([(rows[1][0], Opinion("sarcasm")), ("none", Opinion("label_wrong", 1))])
    ReviewLog(run_dir, "test", "kim").keep([(rows[2][0], Opinion("label_wrong", 1 - int(rows[2][2])))])
    done = relabel(run_dir, tmp_path / "out")
    assert done.changed == {"train": 2, "test": 0}
    assert done.test_verdicts == 1
    after = (tmp_path / "out" / "ratings_train.txt").read_bytes()
    assert sorted(changed_lines(train, after)) == [1, 4]
    assert (tmp_path / "out" / "ratings_test.txt").read_bytes() == test
    section = tomllib.loads(done.data_section())["data"]
    assert section == {"source": str(tmp_path / "out")}
    loaded = parsed(after, DataConfig.model_validate(section))
    assert loaded.labels[0] == 1 - int(rows[0][2])
    with pytest.raises(UsageError, match="exists already"):
        relabel(run_dir, tmp_path / "out")


def test_other_kinds_of_files_become_tsv(tmp_path: Path) -> None:
    rows = [("1", "좋다, 정말", 1), ("2", "두 줄\n이다", 0), ("3", "그냥", 1)]
    for split in ("train", "test"):
        with (tmp_path / f"{split}.jsonl").open("w") as file:
            for row in rows:
                print(json.dumps(dict(zip(("n", "text", "y"), row, strict=True))), file=file)
    names = {"id_column": "n", "document_column": "text", "label_column": "y", "dev_size": 0.2}
    run_dir = made_run(tmp_path, str(tmp_path), rows, **names)
    with pytest.raises(RunError, match="nothing to correct"):
        relabel(run_dir, tmp_path / "out")
    ReviewLog(run_dir, "test", "kim").keep([("1", Opinion("label_wrong", 0)), ("3", Opinion("label_wrong"))])
    with pytest.raises(RunError) as caught:
        relabel(run_dir, tmp_path / "out")
    assert "--test" in caught.value.hint
    done = relabel(run_dir, tmp_path / "out", test=True)
    assert done.changed == {"train": 0, "test": 2}
    assert "line breaks" in done.notes[0]
    expected = "id\tdocument\tlabel\n1\t좋다, 정말\t0\n2\t두 줄 이다\t0\n3\t그냥\t0\n"
    assert (tmp_path / "out" / "ratings_test.txt").read_text() == expected
    assert tomllib.loads(done.data_section())["data"] == {"source": str(tmp_path / "out"), "dev_size": 0.2}
