"""Models and tokenizers of a run: what is loaded, what is refused, how long their input may be. Real small ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from core import config_file, models, tokenization
from core.config import ModelConfig
from core.errors import DataError, ModelError, OfflineError
from core.failures import explain
from core.preparation import Preparation
from tests.core.tiny_models import byte_level, save_model


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT with its tokenizer. Read only: copy it to change it."""
    return save_model(tmp_path_factory.mktemp("models") / "bert", "bert")


@pytest.fixture
def copy(bert: Path, tmp_path: Path) -> Path:
    """One to be changed."""
    return Path(shutil.copytree(bert, tmp_path / "model"))


@pytest.mark.parametrize(
    ("kind", "padding"),
    [("roberta", 0), ("roberta", 1), ("xlm-roberta", 3), *((kind, 1) for kind in ("bert", "camembert", "ibert"))]
    + [(kind, 1) for kind in ("data2vec-text", "mpnet")]
    + [("mpnet", 0)],
)
def test_the_window_is_the_models_own_positions(kind: str, padding: int) -> None:
    """One token more, and there is no place for it."""
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    config = AutoConfig.for_model(kind, vocab_size=20, max_position_embeddings=40, pad_token_id=padding, **sizes)
    model = AutoModelForSequenceClassification.from_config(config)
    tokenizer = byte_level()
    window = models.window(tokenizer, config, 1000)
    assert tokenization.window(tokenizer, model) == window
    model(input_ids=torch.full((1, window), 9))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, window + 1), 9))


@pytest.mark.parametrize("left", ["nothing", "tokenizer_config.json"])
def test_a_model_without_its_tokenizer_is_refused(copy: Path, left: str) -> None:
    """transformers makes one that knows nothing but special tokens, and says nothing."""
    for file in copy.glob("*token*"):
        if file.name != left:
            file.unlink()
    if left != "nothing":
        settings = json.loads((copy / left).read_text()) | {"tokenizer_class": "BertTokenizer"}
        (copy / left).write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="has no tokenizer") as caught:
        models.load_tokenizer(ModelConfig(name=str(copy)))
    assert "tokenizer.json" in caught.value.hint


def test_weights_of_another_model_are_refused(copy: Path, tmp_path: Path) -> None:
    other = save_model(tmp_path / "other", "distilbert")
    shutil.copy(other / "model.safetensors", copy)
    model = ModelConfig(name=str(copy))
    with pytest.raises(ModelError, match="not those of a bert model"):
        models.build_model(model, models.load_config(model))


def prepare(model: dict[str, Any], tmp_path: Path, **data: Any) -> list[tuple[Any, ...]]:
    """What the preparation of a run says of it."""
    told: list[tuple[Any, ...]] = []
    values = {"model": model, "data": {"source": "sample", "max_length": 32, "train_limit": 40, **data}}
    config = config_file.validate({**values, "launch": {"device": "cpu"}})
    Preparation(config, tmp_path / "run", alert=lambda *alert: told.append(alert)).run()
    return told


def test_embeddings_that_do_not_fit_are_told(home: Path, copy: Path, tmp_path: Path) -> None:
    settings = json.loads((copy / "config.json").read_text())
    size = settings["vocab_size"]
    (copy / "config.json").write_text(json.dumps({**settings, "vocab_size": size + 5}))
    told = prepare({"name": str(copy), "max_unknown": 1}, tmp_path)
    assert next(alert[2] for alert in told if alert[1] == "weights").endswith("bert.embeddings.word_embeddings.weight")
    (copy / "config.json").write_text(json.dumps({**settings, "vocab_size": 10}))
    with pytest.raises(ModelError, match="only 10 embeddings"):
        prepare({"name": str(copy), "from_config": True}, tmp_path)


def test_too_few_reviews_for_a_dev_split_are_told_before_training(home: Path, tmp_path: Path) -> None:
    lines = ["id\tdocument\tlabel", *(f"{number}\t영화 {number}\t{number % 2}" for number in range(4))]
    for split in ("train", "test"):
        (tmp_path / f"ratings_{split}.txt").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        prepare({"preset": "tiny"}, tmp_path, source=str(tmp_path))
    assert "data.dev_size" in caught.value.hint
    prepare({"preset": "tiny"}, tmp_path, source=str(tmp_path), dev_size=0)


def test_a_window_of_hardly_a_word_is_refused(home: Path, copy: Path, tmp_path: Path) -> None:
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 3}))
    with pytest.raises(ModelError, match="takes only 3 tokens") as caught:
        prepare({"name": str(copy)}, tmp_path)
    assert "model_max_length" in caught.value.hint


def test_a_review_that_spells_the_end_mark_is_told_as_the_cause() -> None:
    from transformers import BartConfig, BartForSequenceClassification

    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    model = BartForSequenceClassification(BartConfig(vocab_size=9, d_model=8, num_labels=2, **sizes, **heads))
    end = model.config.eos_token_id
    with pytest.raises(ValueError, match="eos") as caught:
        model(torch.tensor([[0, 4, end], [0, end, end]]))
    assert "end mark" in explain(caught.value).message


def test_models_that_are_not_there_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OfflineError) as caught:
        models.load_config(ModelConfig(name="klue/roberta-base"))
    assert "hf download klue/roberta-base" in caught.value.hint
    with pytest.raises(ModelError, match="no such directory"):
        models.load_tokenizer(ModelConfig(name="./nowhere"))
    with pytest.raises(ModelError, match=r"no config\.json"):
        models.load_config(ModelConfig(name=str(tmp_path)))


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
def test_another_task_of_a_model_is_not_taken_over(copy: Path, problem: str) -> None:
    """`pipeline` would give the run's model a sigmoid, or nothing, where its two classes share one."""
    settings = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**settings, "problem_type": problem}))
    config = models.load_config(ModelConfig(name=str(copy)))
    assert config.problem_type is None
    assert config.num_labels == 2


def test_code_that_comes_with_a_model_is_never_run(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers asks the user at the terminal, and runs it for a yes."""
    settings = json.loads((copy / "config.json").read_text())
    own = {"model_type": "another", "auto_map": {"AutoConfig": "code.Config"}}
    (copy / "config.json").write_text(json.dumps({**settings, **own}))
    (copy / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.setattr("builtins.input", lambda *_args: "y")
    with pytest.raises(ModelError, match="code of its own") as caught:
        models.load_config(ModelConfig(name=str(copy)))
    assert "never run" in caught.value.hint
    assert not (tmp_path / "ran").exists()


def test_a_pickle_with_more_in_it_than_weights_is_refused(copy: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return open, (str(tmp_path / "ran"), "w")

    (copy / "model.safetensors").unlink()
    torch.save({"weight": Evil()}, copy / "pytorch_model.bin")
    named = ModelConfig(name=str(copy))
    with pytest.raises(ModelError, match="pickle") as caught:
        models.build_model(named, models.load_config(named))
    assert "safetensors" in caught.value.hint
    assert not (tmp_path / "ran").exists()


def test_config_overrides_of_a_model_directory(bert: Path) -> None:
    config = models.load_config(ModelConfig(name=str(bert), config={"hidden_dropout_prob": 0.2}))
    assert config.hidden_dropout_prob == 0.2
    assert config.num_labels == 2
    with pytest.raises(ModelError) as caught:
        models.load_config(ModelConfig(name=str(bert), config={"hidden_dropout": 0.2}))
    assert "hidden_dropout_prob" in caught.value.hint


def test_window_knows_robertas_positions() -> None:
    from transformers import BertConfig, XLMRobertaConfig

    class Tokenizer:
        model_max_length = 10**30

    assert models.window(Tokenizer(), XLMRobertaConfig(max_position_embeddings=514), 1000) == 512
    assert models.window(Tokenizer(), BertConfig(max_position_embeddings=512), 1000) == 512
    assert models.window(Tokenizer(), BertConfig(), 64) == 64
