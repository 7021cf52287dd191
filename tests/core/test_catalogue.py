"""The catalogue of Korean encoders: facts with a source, the same in the docs, and what the cache holds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.catalogue import CATALOGUE, SOURCES, find, markdown_table
from tests.conftest import ROOT
from tests.core.tiny_models import save_model

HEAVY = {"torch", "transformers", "datasets", "sklearn", "pandas"}


def cli(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HOME": str(cache), "NSMC_TUI_LANG": "en"}
    environment.pop("HF_HUB_CACHE", None)
    return subprocess.run(
        [sys.executable, "-P", "-m", "tui", *arguments], capture_output=True, text=True, check=False, env=environment
    )


def put_into_cache(cache: Path, name: str, files: tuple[str, ...]) -> None:
    """A snapshot as huggingface_hub lays it out."""
    folder = cache / "hub" / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("a" * 40)
    for file in files:
        (snapshot / file).write_text("{}")


def test_entries_are_models_on_the_hub_with_a_source_for_each_figure() -> None:
    names = [encoder.name for encoder in CATALOGUE]
    assert len(set(names)) == len(names) >= 20
    for encoder in CATALOGUE:
        assert re.fullmatch(r"([\w.-]+/)?[\w.-]+", encoder.name)
        assert (encoder.parameters is None) == (encoder.parameters_from is None)
        assert encoder.parameters_from is None or encoder.parameters_from in SOURCES
        assert [item.accuracy for item in encoder.published] == sorted(item.accuracy for item in encoder.published)
        for item in encoder.published:
            assert item.source in SOURCES
            assert 80 < item.accuracy < 95


def test_names_are_found_whatever_their_case() -> None:
    encoder = find("KLUE/RoBERTa-base")
    assert encoder is not None
    assert encoder.name == "klue/roberta-base"
    assert find("nobody/nothing") is None


SHAPES = {
    "xlm-roberta-base": ("xlm-roberta", {"vocab_size": 250002, "max_position_embeddings": 514, "type_vocab_size": 1}),
    "bert-base-multilingual-cased": ("bert", {"vocab_size": 119547}),
    "klue/bert-base": ("bert", {"vocab_size": 32000}),
    "klue/roberta-base": ("roberta", {"vocab_size": 32000, "max_position_embeddings": 514, "type_vocab_size": 1}),
    "beomi/kcbert-base": ("bert", {"vocab_size": 30000, "max_position_embeddings": 300}),
    "beomi/kcbert-large": (
        "bert",
        {
            "vocab_size": 30000,
            "max_position_embeddings": 300,
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
        },
    ),
    "snunlp/KR-ELECTRA-discriminator": (
        "electra",
        {
            "vocab_size": 30000,
            "embedding_size": 768,
            "hidden_size": 768,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
        },
    ),
}


def test_parameters_said_to_be_counted_were() -> None:
    from transformers import AutoConfig

    from core.model_info import count_parameters

    assert set(SHAPES) == {encoder.name for encoder in CATALOGUE if encoder.parameters_from == "config"}
    for name, (kind, sizes) in SHAPES.items():
        encoder = find(name)
        assert encoder is not None
        assert encoder.parameters == count_parameters(AutoConfig.for_model(kind, **sizes))


def test_the_docs_hold_the_same_table() -> None:
    assert markdown_table() in (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


def test_list_as_json_marks_what_the_cache_holds(tmp_path: Path) -> None:
    put_into_cache(tmp_path, "klue/roberta-base", ("config.json", "model.safetensors"))
    put_into_cache(tmp_path, "beomi/kcbert-base", ("config.json", "pytorch_model.bin"))
    put_into_cache(tmp_path, "klue/bert-base", ("config.json",))
    done = cli("model", "list", "--json", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    document = json.loads(done.stdout)
    assert [model["name"] for model in document["models"]] == [encoder.name for encoder in CATALOGUE]
    assert {model["name"] for model in document["models"] if model["cached"]} == {
        "klue/roberta-base",
        "beomi/kcbert-base",
    }
    assert document["sources"] == SOURCES


def test_list_for_people_and_in_korean(tmp_path: Path) -> None:
    put_into_cache(tmp_path, "klue/roberta-base", ("config.json", "model.safetensors"))
    done = cli("model", "list", cache=tmp_path)
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("klue/roberta-base")]
    assert "yes" in row
    assert "111 M" in row
    assert "91.17 (chunwoolee0)" in row
    assert len(done.stdout.splitlines()) == len(CATALOGUE) + 1
    assert cli("--lang", "ko", "model", "list", cache=tmp_path).returncode == 0


def test_listing_imports_nothing_heavy() -> None:
    script = (
        "import sys, json\nsys.argv = ['nsmc-tui', 'model', 'list', '--json']\n"
        "from tui.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert not set(json.loads(done.stdout.splitlines()[-1])) & HEAVY


@pytest.mark.parametrize(("kind", "most"), [("roberta", 0.0), ("bert", 1.0)])
def test_show_measures_unknown_tokens(tmp_path: Path, kind: str, most: float) -> None:
    directory = save_model(tmp_path / kind, kind)
    document = json.loads(cli("model", "show", str(directory), "--json", cache=tmp_path).stdout)
    share = document["tokenizer"]["unknown_share"]
    # The tiny WordPiece learned from eight sentences; byte-level BPE knows every byte.
    assert (share == 0) if most == 0 else (0.1 < share <= most)
    told = cli("tokenize", str(directory), "이 龘", cache=tmp_path).stderr
    assert ("unknown to the tokenizer" in told) is (kind == "bert")
