"""Encoders that read Korean: what is known of them before one is downloaded. Light.

Only what somebody published stands here; None means that no figure was found. Accuracies are of NSMC's 50,000 test
reviews after training on its 150,000; protocols differ (most of the sources chose the checkpoint on the test split),
so that only gaps well above half a point mean anything.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from core.i18n import N_

# Where figures come from, by the short name that stands beside them.
SOURCES = {
    "KoELECTRA": "https://github.com/monologg/KoELECTRA",
    "KcBERT": "https://github.com/Beomi/KcBERT",
    "KcELECTRA": "https://github.com/Beomi/KcELECTRA",
    "KoBERT": "https://github.com/SKTBrain/KoBERT",
    "KR-BERT": "https://github.com/snunlp/KR-BERT",
    "KR-ELECTRA": "https://github.com/snunlp/KR-ELECTRA",
    "TUNiB-Electra": "https://github.com/tunib-ai/tunib-electra",
    "KoBigBird": "https://github.com/monologg/KoBigBird",
    "KF-DeBERTa": "https://huggingface.co/kakaobank/kf-deberta-base",
    "team-lucid": "https://huggingface.co/team-lucid/deberta-v3-base-korean",
    "metamath": "https://huggingface.co/metamath/kcbert-large-finetuned-nsmc",
    "Woonn": "https://huggingface.co/Woonn/klue_bert_base",
    "chunwoolee0": "https://huggingface.co/chunwoolee0/nsmc_roberta_base_model",
    "config": "counted by transformers from the architecture's published config, with a head for two classes",
}

SENTENCEPIECE, WORDPIECE = "SentencePiece", "WordPiece"
OWN_CODE = N_("its tokenizer needs code of its own: give a directory with a tokenizer.json")
UNPUBLISHED = N_("no NSMC accuracy has been published")


@dataclass(frozen=True)
class Published:
    """One published NSMC test accuracy in percent, and the key of its source in `SOURCES`."""

    accuracy: float
    source: str


@dataclass(frozen=True)
class Encoder:
    """One encoder on the Hub.

    parameters: their number, `parameters_from` says whose count; tokenizer: its algorithm; published: accuracies,
    the lowest first; note: what to know before choosing it (an English text to be translated).
    """

    name: str
    architecture: str
    parameters: float | None
    parameters_from: str | None
    tokenizer: str | None
    published: tuple[Published, ...] = ()
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "published": [asdict(item) for item in self.published]}


def _found(*pairs: tuple[float, str]) -> tuple[Published, ...]:
    return tuple(Published(accuracy, source) for accuracy, source in sorted(pairs))


CATALOGUE = (
    Encoder(
        "xlm-roberta-base",
        "XLM-RoBERTa",
        278_045_186,
        "config",
        SENTENCEPIECE,
        _found((89.03, "KoELECTRA"), (89.49, "KcBERT")),
        N_("multilingual; the guide's model"),
    ),
    Encoder(
        "bert-base-multilingual-cased",
        "BERT",
        177_854_978,
        "config",
        WORDPIECE,
        _found((87.5, "KoBERT"), (87.08, "KR-BERT")),
        N_("multilingual"),
    ),
    Encoder("klue/bert-base", "BERT", 110_618_882, "config", WORDPIECE, _found((90.56, "Woonn"))),
    Encoder(
        "klue/roberta-base",
        "RoBERTa",
        110_619_650,
        "config",
        WORDPIECE,
        _found((90.47, "KF-DeBERTa"), (91.16, "KoBigBird"), (91.17, "chunwoolee0")),
    ),
    Encoder("klue/roberta-small", "RoBERTa", None, None, WORDPIECE, (), UNPUBLISHED),
    Encoder("klue/roberta-large", "RoBERTa", None, None, WORDPIECE, (), UNPUBLISHED),
    Encoder(
        "beomi/kcbert-base",
        "BERT",
        108_920_066,
        "config",
        WORDPIECE,
        _found((89.62, "KcBERT")),
        N_("of news comments; at most 300 tokens"),
    ),
    Encoder(
        "beomi/kcbert-large",
        "BERT",
        334_392_322,
        "config",
        WORDPIECE,
        _found((90.68, "KcBERT"), (91.37, "metamath")),
        N_("of news comments; at most 300 tokens"),
    ),
    Encoder(
        "beomi/KcELECTRA-base",
        "ELECTRA",
        124e6,
        "TUNiB-Electra",
        WORDPIECE,
        _found((91.71, "KcELECTRA")),
        N_("of news comments; the accuracy is that of its release of 2021"),
    ),
    Encoder(
        "beomi/KcELECTRA-base-v2022",
        "ELECTRA",
        None,
        None,
        WORDPIECE,
        _found((91.97, "KcELECTRA")),
        N_("of news comments"),
    ),
    Encoder(
        "monologg/koelectra-base-v3-discriminator",
        "ELECTRA",
        110e6,
        "TUNiB-Electra",
        WORDPIECE,
        _found((90.63, "KoELECTRA"), (91.13, "KoBigBird")),
    ),
    Encoder(
        "monologg/koelectra-small-v3-discriminator",
        "ELECTRA",
        14e6,
        "TUNiB-Electra",
        WORDPIECE,
        _found((89.36, "KoELECTRA")),
    ),
    Encoder(
        "monologg/distilkobert",
        "DistilBERT",
        None,
        None,
        SENTENCEPIECE,
        _found((88.41, "KcBERT"), (88.60, "KoELECTRA")),
        OWN_CODE,
    ),
    Encoder(
        "skt/kobert-base-v1",
        "BERT",
        90e6,
        "TUNiB-Electra",
        SENTENCEPIECE,
        _found((89.01, "KR-BERT"), (89.59, "KoELECTRA"), (89.63, "KcBERT"), (90.1, "KoBERT")),
        OWN_CODE,
    ),
    Encoder("snunlp/KR-BERT-char16424", "BERT", None, None, WORDPIECE, _found((89.38, "KR-BERT"), (90.10, "KR-BERT"))),
    Encoder(
        "snunlp/KR-ELECTRA-discriminator",
        "ELECTRA",
        109_082_882,
        "config",
        WORDPIECE,
        _found((91.168, "KR-ELECTRA")),
    ),
    Encoder("tunib/electra-ko-small", "ELECTRA", 14e6, "TUNiB-Electra", WORDPIECE, _found((89.56, "TUNiB-Electra"))),
    Encoder("tunib/electra-ko-base", "ELECTRA", 110e6, "TUNiB-Electra", WORDPIECE, _found((90.95, "TUNiB-Electra"))),
    Encoder(
        "tunib/electra-ko-en-base",
        "ELECTRA",
        133e6,
        "TUNiB-Electra",
        WORDPIECE,
        _found((90.15, "TUNiB-Electra")),
        N_("Korean and English"),
    ),
    Encoder("monologg/kobigbird-bert-base", "BigBird", None, None, WORDPIECE, _found((91.18, "KoBigBird"))),
    Encoder("kakaobank/kf-deberta-base", "DeBERTa-v2", None, None, None, _found((91.36, "KF-DeBERTa"))),
    Encoder("team-lucid/deberta-v3-base-korean", "DeBERTa-v2", None, None, None, _found((91.22, "team-lucid"))),
    Encoder("microsoft/mdeberta-v3-base", "DeBERTa-v2", None, None, SENTENCEPIECE, (), UNPUBLISHED),
    Encoder("skt/A.X-Encoder-base", "ModernBERT", None, None, None, (), UNPUBLISHED),
)


def is_cached(name: str) -> bool:
    """Whether a model's config and weights are in the local Hugging Face cache, so that it loads without network."""
    from huggingface_hub import try_to_load_from_cache

    def has(file: str) -> bool:
        return isinstance(try_to_load_from_cache(name, file), str)

    return has("config.json") and any(has(file) for file in ("model.safetensors", "pytorch_model.bin"))


def find(name: str) -> Encoder | None:
    """The catalogue's entry for a model's name on the Hub, whatever the case; None for another model."""
    return next((encoder for encoder in CATALOGUE if encoder.name.lower() == name.lower()), None)


def markdown_table() -> str:
    """The catalogue as docs/models.md shows it."""
    rows = ["| name | architecture | parameters | tokenizer | NSMC accuracy, % (source) |", "|---|---|---|---|---|"]
    for encoder in CATALOGUE:
        published = " · ".join(f"{item.accuracy:.2f} ({item.source})" for item in encoder.published)
        size = f"{encoder.parameters / 1e6:.0f} M" if encoder.parameters else "–"
        cells = (f"`{encoder.name}`", encoder.architecture, size, encoder.tokenizer or "–", published or "–")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)
