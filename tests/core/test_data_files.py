"""Reading reviews: every trap of NSMC and of other people's files, each in a small file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.config import DataConfig
from core.data_files import parse, read_bytes
from core.data_rows import Parsed
from core.errors import DataError

HEADER = b"id\tdocument\tlabel\n"
GOOD = b"".join(f"{n}\t리뷰 {n}\t{n % 2}\n".encode() for n in range(100, 200))


def tsv(content: bytes, **settings: str) -> Parsed:
    return parse("x.tsv", "tsv", [content], DataConfig(**settings))  # type: ignore[arg-type]


def csv(content: bytes, **settings: str) -> Parsed:
    return parse("x.csv", "csv", [content], DataConfig(**settings))  # type: ignore[arg-type]


def jsonl(content: bytes, **settings: str) -> Parsed:
    return parse("x.jsonl", "jsonl", [content], DataConfig(**settings))  # type: ignore[arg-type]


def rows(parsed: Parsed) -> list[tuple[str, str, int]]:
    return list(zip(parsed.ids, parsed.documents, parsed.labels, strict=True))


def noted(parsed: Parsed) -> dict[str, int]:
    return {key: count for key, count in parsed.report.counts.items() if count}


def bad(parsed: Parsed) -> dict[str, tuple[int, list[int]]]:
    return {kind: (found.count, found.lines) for kind, found in parsed.report.bad.items()}


def test_tsv_quotes_are_text() -> None:
    parsed = tsv(HEADER + '1\t"""그는 ""왕"" 이다"\t1\n2\t"열기만\t0\n3\t닫기만"\t1\n'.encode())
    assert rows(parsed) == [("1", '"""그는 ""왕"" 이다"', 1), ("2", '"열기만', 0), ("3", '닫기만"', 1)]
    assert noted(parsed) == {"quotes": 3}
    assert parsed.report.warnings() == []


def test_null_words_are_text() -> None:
    parsed = tsv(HEADER + b"1\tNA\t1\n2\tnull\t0\n3\tNone\t1\n4\tnan\t0\n5\tN/A\t0\n6\tnano\t0\n")
    assert parsed.documents == ["NA", "null", "None", "nan", "N/A", "nano"]
    assert noted(parsed) == {"null_words": 5}


def test_empty_documents_are_kept() -> None:
    parsed = tsv(HEADER + b"1\t\t1\n2\t\t0\n3\t \t0\n")
    assert rows(parsed) == [("1", "", 1), ("2", "", 0), ("3", " ", 0)]
    assert noted(parsed) == {"empty_documents": 2, "repeated_texts": 1}


def test_duplicates_and_contradictions_are_kept_and_counted() -> None:
    parsed = tsv(HEADER + "1\t좋다\t1\n1\t나쁘다\t0\n1\t좋다\t0\n2\t좋다\t1\n".encode())
    assert len(parsed.ids) == 4
    assert noted(parsed) == {"duplicate_ids": 2, "repeated_texts": 2, "texts_with_both_labels": 1}


def test_bad_labels_are_left_out_with_line_numbers() -> None:
    parsed = tsv(HEADER + GOOD + b"1\ta\t2\n2\tb\t\n3\tc\t 1 \n4\td\tpositive\n")
    assert bad(parsed) == {"bad_label": (3, [102, 103, 105])}
    assert (parsed.report.rows, parsed.report.kept) == (104, 101)
    assert parsed.report.other_labels == ["2", "", "positive"]
    assert parsed.report.problem() is None
    assert "102, 103, 105" in parsed.report.warnings()[0]


def test_extra_tabs_belong_to_the_document() -> None:
    parsed = tsv(HEADER + b"1\ta\tb\t\tc\t1\n2\t\t\t0\n")
    assert rows(parsed) == [("1", "a\tb\t\tc", 1), ("2", "\t", 0)]
    assert noted(parsed) == {"tabs_in_document": 2}


def test_extra_tabs_when_the_document_is_last() -> None:
    parsed = tsv(b"label\tid\tdocument\n1\t7\ta\tb\n")
    assert rows(parsed) == [("7", "a\tb", 1)]


def test_too_few_columns() -> None:
    parsed = tsv(HEADER + GOOD + b"1\tonly\n\n2\tok\t1\n")
    assert bad(parsed) == {"too_few_columns": (2, [102, 103])}
    assert parsed.ids[-1] == "2"


def test_bom_crlf_and_blank_end() -> None:
    parsed = tsv(b"\xef\xbb\xbf" + b"id\tdocument\tlabel\r\n1\ta\r\t1\r\n2\tb\t0\n\r\n\n  \n")
    assert rows(parsed) == [("1", "a\r", 1), ("2", "b", 0)]
    assert noted(parsed) == {"bom": 1, "crlf": 2, "control_characters": 1}


def test_last_line_without_newline() -> None:
    assert rows(tsv(HEADER + b"1\ta\t1")) == [("1", "a", 1)]


def test_only_newlines_end_a_line() -> None:
    text = "가\u2028나\u2029다\x85라\x0b마\x0c바\x1c사"
    parsed = tsv(HEADER + f"1\t{text}\t1\n".encode())
    assert parsed.documents == [text]
    assert noted(parsed) == {"control_characters": 1}


def test_control_characters_are_kept() -> None:
    parsed = tsv(HEADER + b"1\ta\x00b\t1\n2\t\x1b]0;pwned\x07\t0\n3\tplain\t0\n")
    assert parsed.documents[:2] == ["a\x00b", "\x1b]0;pwned\x07"]
    assert noted(parsed) == {"control_characters": 2}


def test_nfd_is_kept_and_counted() -> None:
    import unicodedata

    text = unicodedata.normalize("NFD", "영화")
    parsed = tsv(HEADER + f"1\t{text}\t1\n2\t영화\t1\n".encode())
    assert parsed.documents == [text, "영화"]
    assert noted(parsed) == {"not_nfc": 1}


def test_undecodable_lines_are_left_out() -> None:
    parsed = tsv(HEADER + GOOD + b"1\t\xff\xfe\t1\n2\tok\t1\n3\xb0\tx\t0\n\xb0\xa1\n")
    assert bad(parsed) == {"not_decodable": (3, [102, 104, 105])}
    assert parsed.ids[-1] == "2"


def test_cp949_is_recognised() -> None:
    content = HEADER + "".join(f"{n}\t정말 좋은 영화\t1\n" for n in range(40)).encode("cp949")
    problem = tsv(content).report.problem()
    assert problem is not None
    assert "x.tsv" in problem.message
    assert "2, 3, 4" in problem.message
    assert 'data.encoding = "cp949"' in problem.hint
    parsed = tsv(content, encoding="cp949")
    assert parsed.documents == ["정말 좋은 영화"] * 40


def test_undecodable_header_names_the_encoding() -> None:
    content = "번호\t리뷰\tlabel\n1\t좋다\t1\n".encode("cp949")
    with pytest.raises(DataError) as caught:
        tsv(content)
    assert "cp949" in caught.value.hint
    caught.value.message.encode()
    assert rows(tsv(content, encoding="cp949", id_column="번호", document_column="리뷰")) == [("1", "좋다", 1)]


def test_utf16() -> None:
    content = "id\tdocument\tlabel\n1\t좋다\t1\n".encode("utf-16")
    parsed = tsv(content, encoding="utf-16")
    assert rows(parsed) == [("1", "좋다", 1)]
    assert noted(parsed) == {"bom": 1}
    with pytest.raises(DataError) as caught:
        tsv(content)
    assert "utf-16" in caught.value.hint


def test_unknown_encoding() -> None:
    with pytest.raises(DataError, match="klingon"):
        tsv(HEADER, encoding="klingon")


def test_five_percent_is_the_limit() -> None:
    good = b"".join(b"%d\ta%d\t1\n" % (n, n) for n in range(95))
    five = b"1\ta\tx\n" * 5
    assert tsv(HEADER + good + five).report.problem() is None
    problem = tsv(HEADER + good + five + b"1\ta\tx\n").report.problem()
    assert isinstance(problem, DataError)
    assert "6" in problem.message
    assert '"x"' in problem.hint


def test_only_twenty_lines_are_listed() -> None:
    report = tsv(HEADER + b"1\ta\tx\n" * 30).report
    assert report.bad["bad_label"].count == 30
    assert report.bad["bad_label"].lines == list(range(2, 22))
    assert "21, …" in report.describe_bad()[0]


def test_no_header() -> None:
    with pytest.raises(DataError, match="no header") as caught:
        tsv("9976970\t아 더빙.. 목소리\t0\n3819312\t좋다\t1\n".encode())
    assert "id, document, label" in caught.value.hint


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        (b"id\tDocument\tlabel\n", 'data.document_column = "Document"'),
        (b"id\tdocuments\tlabel\n", 'data.document_column = "documents"'),
        (b"id\tdocument\tlabels\n", 'data.label_column = "labels"'),
        (b"id,document,label\n", ".csv"),
        (b"a\tb\tc\n", "set data.document_column"),
        (b"id;document;label\n", "semicolons"),
    ],
)
def test_missing_columns(header: bytes, hint: str) -> None:
    with pytest.raises(DataError) as caught:
        tsv(header + b"1\tx\t1\n")
    assert hint in caught.value.hint
    assert "x.tsv" in caught.value.message


def test_empty_file_and_header_alone() -> None:
    for content in (b"", b"\n\n", HEADER):
        problem = tsv(content).report.problem()
        assert problem is not None
        assert "no reviews" in problem.message


def test_missing_ids_are_row_numbers() -> None:
    assert tsv(b"document\tlabel\na\t1\nb\tx\nc\t0\n").ids == ["1", "3"]
    parsed = tsv(HEADER + b"\ta\t1\n7\tb\t0\n")
    assert parsed.ids == ["1", "7"]
    assert noted(parsed) == {"missing_ids": 1}


def test_own_columns_and_labels() -> None:
    parsed = tsv(
        "리뷰\tx\t감성\n좋다\t.\t긍정\n나쁘다\t.\t부정\n".encode(),
        document_column="리뷰",
        label_column="감성",
        negative_label="부정",
        positive_label="긍정",
    )
    assert rows(parsed) == [("1", "좋다", 1), ("2", "나쁘다", 0)]


def test_csv_quoting() -> None:
    content = 'id,document,label\r\n1,"쉼표, 그리고 ""따옴표""",1\r\n2,"두\n줄",0\r\n3,그냥,1\r\n4,NA,0\r\n'.encode()
    parsed = csv(content)
    assert rows(parsed) == [("1", '쉼표, 그리고 "따옴표"', 1), ("2", "두\n줄", 0), ("3", "그냥", 1), ("4", "NA", 0)]
    assert noted(parsed) == {"crlf": 5, "control_characters": 1, "quotes": 1, "null_words": 1}


def test_csv_takes_reviews_of_any_length() -> None:
    """Python's csv stops at 131,072 characters a field."""
    long = "정말 길다 " * 30_000
    assert csv(f"id,document,label\n1,{long},1\n".encode()).documents == [long]


def test_csv_bad_rows_have_physical_line_numbers() -> None:
    good = b"".join(b"%d,text %d,1\n" % (n, n) for n in range(100))
    content = b'id,document,label\n1,"a\nb\nc",1\n2,x\n3,y,z,1\n4,"q"r,1\n5,\xff,1\n6,ok,0\n' + good
    parsed = csv(content)
    assert bad(parsed) == {
        "too_few_columns": (1, [5]),
        "too_many_columns": (1, [6]),
        "malformed": (1, [7]),
        "not_decodable": (1, [8]),
    }
    assert rows(parsed)[:2] == [("1", "a\nb\nc", 1), ("6", "ok", 0)]
    assert parsed.report.rows == 106


def test_csv_unclosed_quote_is_refused() -> None:
    with pytest.raises(DataError, match="line 3"):
        csv(b'id,document,label\n1,a,1\n2,"never closed,1\n' + b"3,b,0\n" * 50)


def test_csv_unicode_line_separators_are_text() -> None:
    parsed = csv("id,document,label\n1,가\u2028나\x0b,1\n".encode())
    assert parsed.documents == ["가\u2028나\x0b"]


def test_csv_without_header() -> None:
    with pytest.raises(DataError, match="no header"):
        csv("1,좋다,1\n2,나쁘다,0\n".encode())


def test_jsonl_values() -> None:
    lines = [
        {"id": 1, "document": "정수 라벨", "label": 1},
        {"id": "b", "document": "글자 라벨", "label": " 0"},
        {"id": 3, "document": "참", "label": True},
        {"id": 4, "document": None, "label": False},
        {"id": 5, "label": 1.0},
        {"document": 2012, "label": 0},
        {"id": 7, "document": "\u2028 그대로\n", "label": 1},
    ]
    content = "\r\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
    parsed = jsonl(b"\xef\xbb\xbf" + content)
    assert rows(parsed) == [
        ("1", "정수 라벨", 1),
        ("b", "글자 라벨", 0),
        ("3", "참", 1),
        ("4", "", 0),
        ("5", "", 1),
        ("6", "2012", 0),
        ("7", "\u2028 그대로\n", 1),
    ]
    found = noted(parsed)
    assert found.pop("bom") == 1
    assert found.pop("crlf") == 6
    assert found == {
        "missing_documents": 2,
        "empty_documents": 2,
        "numbers_as_text": 1,
        "missing_ids": 1,
        "repeated_texts": 1,
        "control_characters": 1,
    }


def test_jsonl_bad_rows() -> None:
    good = b"".join(b'{"id": %d, "document": "d%d", "label": 0}\n' % (n, n) for n in range(100))
    content = good + b'{"id": 1,\n[1]\n{"id":1,"document":["x"],"label":1}\n{"id":2,"document":"\\ud800","label":1}\n'
    parsed = jsonl(content + b'{"id":3,"document":"x","label":null}\n')
    assert bad(parsed) == {"malformed": (3, [101, 102, 103]), "not_decodable": (1, [104]), "bad_label": (1, [105])}


def test_jsonl_missing_column() -> None:
    with pytest.raises(DataError) as caught:
        jsonl(b'{"id":1,"text":"a","label":1}\n')
    assert '"text"' in caught.value.message


def test_jsonl_boolean_words() -> None:
    content = b'{"document":"a","label":true}\n{"document":"b","label":false}\n{"document":"c","label":"true"}\n'
    assert jsonl(content, negative_label="false", positive_label="true").labels == [1, 0, 1]


def parquet(path: Path, table: object) -> list[bytes]:
    import pyarrow.parquet as pq

    pq.write_table(table, path)
    return read_bytes([path])


def test_parquet(tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.table(
        {"id": [1, 2, None], "document": ['"따옴표"', None, "NA"], "label": pa.array([1, 0, 1], pa.int8())}
    )
    parsed = parse("x.parquet", "parquet", parquet(tmp_path / "x.parquet", table), DataConfig())
    assert rows(parsed) == [("1", '"따옴표"', 1), ("2", "", 0), ("3", "NA", 1)]
    assert noted(parsed) == {
        "missing_documents": 1,
        "empty_documents": 1,
        "null_words": 1,
        "quotes": 1,
        "missing_ids": 1,
    }


def test_parquet_shards_continue_each_other_and_bad_rows_are_numbered(tmp_path: Path) -> None:
    import pyarrow as pa

    def shard(name: str, start: int, labels: list[int]) -> list[bytes]:
        ids = list(range(start, start + len(labels)))
        table = pa.table({"id": ids, "document": [f"d{i}" for i in ids], "label": labels})
        return parquet(tmp_path / name, table)

    contents = shard("a", 0, [0, 1] * 20) + shard("b", 40, [0, -1])
    parsed = parse("x", "parquet", contents, DataConfig())
    assert parsed.ids == [str(i) for i in range(41)]
    assert bad(parsed) == {"bad_label": (1, [42])}
    assert "(row 42)" in parsed.report.describe_bad()[0]


def test_class_label_names(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "y": datasets.ClassLabel(names=["negative", "positive"])}
    )
    dataset = datasets.Dataset.from_dict({"text": ["가", "나"], "y": [1, 0]}, features=features)
    dataset.to_parquet(str(tmp_path / "x.parquet"))
    contents = read_bytes([tmp_path / "x.parquet"])
    columns = {"document_column": "text", "label_column": "y"}
    by_number = parse("x", "parquet", contents, DataConfig(**columns))  # type: ignore[arg-type]
    names = {"negative_label": "negative", "positive_label": "positive"}
    by_name = parse("x", "parquet", contents, DataConfig(**columns, **names))  # type: ignore[arg-type]
    assert by_number.labels == by_name.labels == [1, 0]


def test_broken_parquet(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a readable parquet"):
        parse("x", "parquet", [b"PAR1 nonsense"], DataConfig())


def test_report_survives_json() -> None:
    report = tsv(HEADER + GOOD + b"1\ta\t2\n").report
    assert type(report).from_dict(json.loads(json.dumps(report.to_dict()))) == report
