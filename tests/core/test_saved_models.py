"""Models as others saved them: what is refused and why, what is said of them, and what their classifiers read."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import inspector_questions as questions
from core import models
from core.attention import answer_json
from core.config import ModelConfig
from core.errors import ModelError
from core.inspector_loading import load
from tests.core.test_attribution import TEXT, Asker, Peer
from tests.core.tiny_models import byte_level, metaspace, save_model, wordpiece


@pytest.fixture(scope="module")
def ask() -> Asker:
    return Asker()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / "bert", "bert")


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(saved, tmp_path / "copy")


def edit(file: Path, **settings: Any) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**document, **settings}), encoding="utf-8")


def refused(path: Path) -> str:
    """What both who load it say: the inspector, and training and scoring."""
    with pytest.raises(ModelError) as seen:
        load(str(path), "cpu")
    with pytest.raises(ModelError) as trained:
        models.load_tokenizer(ModelConfig(name=str(path)))
    assert trained.value.message == seen.value.message
    assert seen.value.hint
    return f"{seen.value.message} {seen.value.hint}"


@pytest.mark.parametrize("kind", ["bert", "roberta", "deberta-v2", "gpt2"])
def test_no_tokenizer_beside_the_weights(tmp_path: Path, kind: str) -> None:
    path = save_model(tmp_path / kind, kind)
    for file in path.iterdir():
        if file.name not in {"config.json", "model.safetensors"}:
            file.unlink()
    assert "tokenizer.json" in refused(path)


def test_tokenizer_that_needs_code_of_its_own(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    edit(copy / "tokenizer_config.json", tokenizer_class="KoBertTokenizer")
    assert "tokenizer.json" in refused(copy)


def test_adapter(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "adapter_model.safetensors")
    (copy / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "klue/roberta-base"}')
    said = refused(copy)
    assert "klue/roberta-base" in said
    assert "merge_and_unload" in said


def test_folder_of_checkpoints(saved: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("checkpoint-200", "checkpoint-1000")):
        shutil.copytree(saved, tmp_path / name)
        os.utime(tmp_path / name / "config.json", (number, number))
    assert "checkpoint-1000" in refused(tmp_path)


def test_pickle_is_not_opened(copy: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps({"bert.embeddings": Trap()}))
    with pytest.raises(ModelError, match="pickle") as caught:
        load(str(copy), "cpu")
    assert "safetensors" in caught.value.hint
    assert not (tmp_path / "sprung").exists()


def test_config_that_names_an_attention_that_is_not_installed(copy: Path, ask: Asker) -> None:
    edit(copy / "config.json", _attn_implementation="flash_attention_2")
    assert ask(questions.inspect(copy, TEXT)).attention is not None


def test_what_is_to_be_known_of_a_model_comes_with_every_answer(copy: Path, ask: Asker) -> None:
    from transformers import AutoModel

    AutoModel.from_pretrained(copy).save_pretrained(copy)
    edit(copy / "config.json", id2label={"0": "Positive", "1": "Negative"}, label2id={"Positive": 0, "Negative": 1})
    got = ask(questions.inspect(copy, TEXT))
    assert got.labels == ("Negative", "Positive")
    assert ["Positive" in note or "classifier" in note for note in got.notes][:2] == [True, True]
    assert answer_json(got)["model_notes"] == list(got.notes)
    assert ask(questions.explain(copy, TEXT, method="occlusion")).inspection.notes == got.notes


def test_tokenizer_that_takes_hangul_apart(saved: Path, copy: Path) -> None:
    vocabulary = {**dict.fromkeys(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")), **dict.fromkeys("영화가재미있다")}
    (copy / "tokenizer.json").unlink()
    (copy / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    (copy / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')
    assert any("do_lower_case" in note for note in load(str(copy), "cpu").notes)


def test_values_of_a_regression_stay_what_they_are(tmp_path: Path, ask: Asker) -> None:
    path = save_model(tmp_path / "m", "bert", num_labels=1, id2label={0: "stars"}, problem_type="regression")
    got = ask(questions.inspect(path, TEXT))
    assert got.probabilities == pytest.approx(got.logits)


# -- what the classifier reads -----------------------------------------------------------------------------------------


def wordpiece_with_cls_behind() -> Any:
    from tokenizers import processors

    tokenizer = wordpiece()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A [SEP] [CLS]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


READS = {
    "bert": (wordpiece_with_cls_behind, 0),
    "xlnet": (metaspace, -1),
    "gpt2": (byte_level, -1),
    "eurobert": (byte_level, None),
    "modernbert-decoder": (byte_level, -1),
}
"""Kinds whose classifier reads another token than the one called `cls`: tokenizer, and its place (None: all)."""


@pytest.mark.parametrize("kind", sorted(READS))
def test_token_that_the_classifier_reads(tmp_path: Path, ask: Asker, kind: str) -> None:
    tokenizer, place = READS[kind]
    path = save_model(tmp_path / kind, kind, tokenizer())
    got = ask(questions.explain(path, TEXT, method="attention"))
    peer = Peer(path)
    last: list[Any] = []
    if kind == "xlnet":
        # What it gives out as hidden states is not what it goes on with.
        peer.model.sequence_summary.register_forward_pre_hook(lambda _module, given: last.append(given[0]))
    outputs = peer.model(**peer.inputs, output_attentions=True, output_hidden_states=True)
    hidden = (last or outputs.hidden_states)[-1]
    hidden.retain_grad()
    outputs.logits[0, 1].backward()
    size = len(got.inspection.tokens)
    read = hidden.grad[0].abs().sum(-1).nonzero().flatten().tolist()
    assert read == (list(range(size)) if place is None else [place % size])
    maps = peer.torch.stack(outputs.attentions)[:, 0].detach().numpy()
    wanted = maps.mean((0, 1, 2)) if place is None else maps.mean((0, 1))[place]
    np.testing.assert_allclose(got.tokens, wanted, atol=1e-5)
    assert got.inspection.mean_pooled == (place is None)


def byte_level_without_added_tokens() -> Any:
    from tokenizers import processors

    tokenizer = byte_level()
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.mask_token = None
    return tokenizer


def test_text_that_gives_no_token(tmp_path: Path, ask: Asker) -> None:
    """Left-to-right models add nothing to a text: an empty one, or one whose words are all taken away, is nothing."""
    path = save_model(tmp_path / "gpt2", "gpt2", byte_level_without_added_tokens())
    peer = Peer(path)
    with peer.torch.no_grad():
        alone = peer.model(peer.torch.tensor([[peer.tokenizer.pad_token_id]])).logits[0].softmax(-1).tolist()
    empty = ask(questions.inspect(path, ""))
    assert [(token.text, token.special) for token in empty.tokens] == [("<pad>", True)]
    assert empty.probabilities == pytest.approx(alone, abs=1e-5)
    assert ask(questions.explain(path, "", method="integrated_gradients")).tokens.tolist() == [0]
    word = ask(questions.explain(path, "최고", method="occlusion", target=1))
    assert word.words[0] == pytest.approx(word.inspection.probabilities[1] - alone[1], abs=1e-5)
    curve = ask(questions.deletion(path, TEXT, methods=["occlusion"], target=1, most=99, draws=2)).curves[0]
    assert len(curve) == len(TEXT.split())
    assert curve[-1] == pytest.approx(alone[1], abs=1e-5)


def test_numbers_that_are_no_attention(tmp_path: Path, ask: Asker) -> None:
    """SqueezeBERT hands out its scores before the softmax; I-BERT's embeddings are a pair."""
    squeezed = ask(questions.inspect(save_model(tmp_path / "s", "squeezebert", embedding_size=32), TEXT))
    assert squeezed.attention is None
    assert "squeezebert" in squeezed.note
    both = ask(questions.agreement(save_model(tmp_path / "i", "ibert"), TEXT, steps=2))
    assert both.methods == ("attention", "rollout", "occlusion")
