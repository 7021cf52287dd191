"""The query language: what it finds, what it says about a query that it cannot read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.i18n import set_language
from core.run_query import All, Comparison, Either, Node, Not, QueryError, Word, check_names, parse
from core.run_values import Facts, sort_runs
from core.runs import Run

NOW = 1_000_000.0
SETTINGS: dict[str, dict[str, Any]] = {
    "a": {"train.learning_rate": 2e-5, "model.name": "klue/bert-base", "train.bf16": True, "data.seed": 1},
    "b": {"train.learning_rate": 5e-6, "model.name": "xlm-roberta-base", "train.seed": 2, "data.seed": 1},
}
FACTS = Facts(lambda run: SETTINGS.get(run.name, {}), frozenset({Path("/runs/a")}), Path("/runs/b"), NOW)


def run(name: str, state: str = "finished", **fields: Any) -> Run:
    values: dict[str, Any] = {"created": NOW - 3600, "updated": NOW - 60, "model": "tiny", "data": "nsmc", **fields}
    return Run(id=f"20260101-000000-{name}", path=Path("/runs") / name, name=name, state=state, **values)


RUNS = [
    run("a", metrics={"test_accuracy": 0.9, "test_f1": 0.8, "eval_loss": 0.3}, tags=("best", "한글"), step=100,
        max_steps=100),
    run("b", "running", model="klue/roberta-base", metrics={"eval_accuracy": 0.87}, step=50, max_steps=100, eta=90.0),
    run("c", "crashed", created=NOW - 3 * 86400, host="node7", note="lost [x] to the night", step=3),
    run("d", "running", silent=True, host="node7", data="hub:owner/name"),
    run("e", "foreign", source="tensorboard", metrics={}),
    run("g", archived=True),
]  # fmt: skip


def found(text: str) -> str:
    return "".join(run.name for run in parse(text, RUNS).keep(RUNS, FACTS))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "abcde"),
        ("state:running", "bd"),
        ("state=crashed", "c"),
        ("state:silent", "d"),
        ("state:live", "bd"),
        ("state!=running", "ace"),
        ("acc>0.88", "a"),
        ("accuracy>=87%", "ab"),
        ("acc > 0.5 f1 < 1", "a"),
        ("-acc>0.88", "bcde"),
        ("eval_loss<0.5", "a"),
        ("test_accuracy=.9", "a"),
        ("tag:best", "a"),
        ("tag:bes", ""),
        ("tag:be*", "a"),
        ("tag:한글", "a"),
        ("model:tiny", "acde"),
        ("-model:tiny", "b"),
        ("not model:tiny", "b"),
        ("model:*roberta*", "b"),
        ("model=tiny model:TINY", "acde"),
        ("data:hub:owner/name", "d"),
        ("note:night", "c"),
        ('note:"lost [x]"', "c"),
        ("note:*[x]*", "c"),
        ("host:node7", "cd"),
        ("age>2d", "c"),
        ("age<1h30m", "abde"),
        ("eta<2m", "b"),
        ("step>=100", "a"),
        ("step>=1,000", ""),
        ("progress<100%", "b"),
        ("state:finished or state:crashed", "ac"),
        ("state:finished | state:crashed host:node7", "ac"),
        ("(state:finished or state:crashed) host:node7", "c"),
        ("-(state:finished or state:crashed)", "bde"),
        ("klue", "b"),
        ("20260101", "abcde"),
        ("cfg.train.learning_rate>=1e-5", "a"),
        ("cfg.learning_rate<1e-5", "b"),
        ("lr>=1e-5", "a"),
        ("cfg.model.name:klue", "a"),
        ("cfg.bf16:true", "a"),
        ("has:f1", "a"),
        ("has:tag or has:note", "ac"),
        ("has!=accuracy", "cde"),
        ("is:marked", "a"),
        ("is:pinned", "b"),
        ("is:archived", "g"),
        ("is:foreign", "e"),
        ("is:elsewhere state:silent", "d"),
        ("and", ""),
        ("- - klue", "b"),
    ],
)
def test_what_is_found(query: str, names: str) -> None:
    assert found(query) == names


def test_state_words_of_the_language_on_screen_work_too() -> None:
    set_language("ko")
    assert found("state:완료") == "a"
    assert found("state:finished") == "a"


@pytest.mark.parametrize(
    ("query", "position", "said", "hint"),
    [
        ("state:runing", 6, "did you mean running?", "finished"),
        ("model:x lerning_rate>1", 8, "there is no field lerning_rate — did you mean cfg.train.learning_rate?", "cfg."),
        ("acuracy>1", 0, "did you mean accuracy?", "Fields are"),
        ("acc>", 4, "a value is missing", "accuracy>0.88"),
        ("acc>high", 4, "high is no number", "accuracy>0.88"),
        ("age<2", 4, "2 is no span of time", "2d"),
        ("name>3", 4, "is a text", ":"),
        ("is:archve", 3, "did you mean archived?", "marked"),
        ("(a or b", 0, "is not closed", ")"),
        ("a) b", 1, "nothing is open", "Take"),
        ('name:"a b', 5, "a quote is not closed", '"'),
        ("a or", 4, "something is missing", "state:running"),
        (">3", 0, "nothing at its left", "acc>0.88"),
        ("-", 1, "something is missing", "word"),
        ("cfg.lerning_rate>1", 4, "did you mean cfg.train.learning_rate?", "config describe"),
        ("cfg.seed>1", 4, "data.seed or train.seed", "whole name"),
        ("(" * 60 + "a" + ")" * 60, 50, "too many parentheses", "50"),
    ],
)
def test_what_is_said_about_a_query_that_cannot_be_read(query: str, position: int, said: str, hint: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(query, RUNS).keep(RUNS, FACTS)
    assert caught.value.position == position
    assert said in caught.value.message
    assert f"(character {position + 1})" in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


@given(
    st.text(alphabet=st.sampled_from(list("ab-()|:=<>!\"' *.,%15dcfgor한\u3000\x1b")) | st.characters(), max_size=40)
)
def test_any_text_is_read_or_refused_with_a_place_in_it(text: str) -> None:
    refused: QueryError | None = None
    try:
        parse(text, RUNS).keep(RUNS, FACTS)
    except QueryError as error:
        refused = error
    assert refused is None or (0 <= refused.position <= len(text) and refused.hint)


words = st.text(alphabet="abcxyz가나/_", min_size=1, max_size=6).filter(
    lambda word: word.lower() not in ("or", "and", "not")
)
leaves = st.one_of(
    words.map(Word),
    st.builds(lambda text: Comparison("model", ":", text), st.text(alphabet="ab (|)<>-or가", min_size=1, max_size=8)),
    st.builds(
        lambda op, number: Comparison("accuracy", op, repr(number), number),
        st.sampled_from(["<", "<=", ">", ">=", "=", "!="]),
        st.floats(0, 1).map(lambda number: round(number, 6)),
    ),
)
trees: st.SearchStrategy[Node] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: All(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Either(tuple(parts))),
    ),
    max_leaves=8,
)


def written(node: Node) -> str:
    """A tree as somebody would type it, every part in parentheses."""
    match node:
        case Word(text):
            return text
        case Comparison(name, op, text, number):
            return f"{name}{op}{text}" if number is not None else f'{name}{op}"{text}"'
        case Not(part):
            return f"-({written(part)})"
        case All(parts):
            return " ".join(f"({written(part)})" for part in parts)
        case Either(parts):
            return " or ".join(f"({written(part)})" for part in parts)


@given(trees)
def test_what_is_written_is_what_is_read(tree: Node) -> None:
    assert parse(written(tree)).node == tree


@given(trees, trees)
def test_the_words_of_logic_mean_what_they_say(one: Node, other: Node) -> None:
    def names(text: str) -> set[str]:
        return {run.name for run in parse(text).keep(RUNS, FACTS)}

    left, right, all_names = names(written(one)), names(written(other)), names("")
    assert names(f"({written(one)}) ({written(other)})") == left & right
    assert names(f"({written(one)}) or ({written(other)})") == left | right
    assert names(f"-({written(one)})") == all_names - left


@pytest.mark.parametrize(
    ("key", "reverse", "names"),
    [
        ("accuracy", False, "abcdeg"),
        ("acc", True, "bacdeg"),
        ("eval_loss", False, "abcdeg"),
        ("age", False, "abdegc"),
        ("name", True, "gedcba"),
        ("step", False, "abcdeg"),
        ("cfg.learning_rate", False, "bacdeg"),
        ("cfg.train.bf16", False, "abcdeg"),
        ("tag", False, "abcdeg"),
    ],
)
def test_sorting_puts_the_best_first_and_what_has_nothing_last(key: str, reverse: bool, names: str) -> None:
    assert "".join(run.name for run in sort_runs(RUNS, key, reverse, FACTS)) == names


def test_settings_of_two_kinds_sort_as_words() -> None:
    facts = Facts(lambda run: {"x.y": {"a": 3, "b": "auto", "c": 10}.get(run.name)}, now=time.time())
    assert "".join(run.name for run in sort_runs(RUNS[:4], "cfg.x.y", False, facts)) == "cabd"


def test_unknown_names_of_columns_are_refused() -> None:
    check_names(["state", "eval_loss", "cfg.learning_rate", "id"], RUNS, FACTS)
    with pytest.raises(QueryError, match="did you mean accuracy"):
        check_names(["acuracy"], RUNS, FACTS)
    with pytest.raises(QueryError, match="no run has a setting"):
        check_names(["cfg.nothing"], RUNS, FACTS)
