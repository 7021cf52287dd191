"""Tiny random classifiers and tokenizers of each kind, made in a second, for tests of what reads models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SENTENCES = [
    "이 영화 정말 재미있어요 ㅋㅋㅋ 최고!!",
    "배우들의 연기가 아쉬웠다... 시간이 아까운 영화",
    "그냥 그래요 ㅠㅠ 스토리가 너무 뻔하다",
    "감동적인 결말, 두 번 봤습니다. 추천해요",
    "지루해서 중간에 나왔다 돈 아깝다",
    "음악도 좋고 영상미도 뛰어나다",
    "why so serious? 10점 만점에 1점",
    "명작은 시간이 지나도 명작이네요 강추합니다",
]
"""What the tokenizers learn from: enough Korean for pieces of several characters, and many characters left unknown."""

NASTY = [
    "",
    "   ",
    "\t\n ",
    "ㅋㅋㅋ ㅠㅠ 최고ㅋㅋ",
    "ㅎㅎㅠㅠ",
    "가족 👨‍👩‍👧‍👦 영화 굳👍🏽",
    "🇰🇷🇯🇵 대결",
    "\u1112\u1161\u11ab\u1100\u116e\u11a8 \u110b\u1167\u11bc\u1112\u116a",
    "감자 5㎏ 먹고 ㈜영화사",
    "탭\t과 줄\n바꿈\r\n과 전각\u3000공백\u00a0끝",
    "\x1b]0;pwned\x07 \x1b[31m빨강\x1b[0m",
    "[bold]굵게[/bold] [/x] [CLS] [SEP]",
    "영화\u200b가 \u200d좋 \u0301a 다\ufe0f",
    "최고!!재미있어요... ㅇㅈ?",
    "\u3164\uffa0 채움 \u2028 줄",
    "깨진 \ud800 글자",
    "정말 " * 250,
]
"""Texts that break naive alignment."""


def wordpiece() -> Any:
    """A WordPiece tokenizer as BERT's, but cased and NFC: it must be kept as it is, or Hangul becomes [UNK]."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.BertNormalizer(lowercase=False, strip_accents=False, handle_chinese_chars=True),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
    )


def metaspace() -> Any:
    """A Unigram tokenizer as XLM-R's: NFKC, split at whitespace, pieces with `▁`."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=180, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=128,
    )


def byte_level() -> Any:
    """A byte-level BPE tokenizer as RoBERTa's: a syllable is up to three pieces, nothing is unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), True, False)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=128,
    )


TOKENIZERS = {"wordpiece": wordpiece, "metaspace": metaspace, "byte_level": byte_level}

MODELS = {
    "bert": "wordpiece",
    "electra": "wordpiece",
    "distilbert": "wordpiece",
    "xlm-roberta": "metaspace",
    "deberta-v2": "metaspace",
    "roberta": "byte_level",
    "albert": "metaspace",
    "modernbert": "byte_level",
}
"""The kinds of model that `save_model` makes and that give attention, each with the tokenizer that fits it."""


def save_model(directory: Path, kind: str, tokenizer: Any = None, **overrides: Any) -> Path:
    """Save a random two-layer classifier of `kind` with its tokenizer in `directory`, as `from_pretrained` reads it.

    `overrides` go into the config.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    tokenizer = tokenizer if tokenizer is not None else TOKENIZERS[MODELS.get(kind, "wordpiece")]()
    offset = 2 if kind in {"roberta", "xlm-roberta"} else 0
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 128 + offset,
        "pad_token_id": tokenizer.pad_token_id,
        # Random weights this large make attention uneven, so that a wrong map does not pass for the right one.
        "initializer_range": 0.5,
        "id2label": {0: "부정", 1: "긍정"},
        "label2id": {"부정": 0, "긍정": 1},
    }
    if kind == "distilbert":
        sizes |= {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
            del sizes[name]
    if kind == "funnel":
        # Two blocks: the second works on pooled tokens, so that its maps are smaller than those of the first.
        sizes |= {"block_sizes": [1, 1], "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 64}
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
            del sizes[name]
    if kind == "longformer":
        # Pads every text to whole windows before it embeds.
        sizes["attention_window"] = 16
    if kind == "xlnet":
        sizes |= {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64}
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
            del sizes[name]
        del sizes["max_position_embeddings"], sizes["initializer_range"]
    if kind == "modernbert":
        sizes |= {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
        sizes |= {"bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
        # The second layer looks at four tokens on each side.
        sizes |= {"global_attn_every_n_layers": 2, "local_attention": 8}
    if kind == "albert":
        sizes["embedding_size"] = 16
    if kind == "electra":
        sizes["embedding_size"] = 32
    if kind == "deberta-v2":
        sizes |= {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
            "type_vocab_size": 0,
        }
    torch.manual_seed(7)
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(kind, **{**sizes, **overrides}))
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
