"""The last layer of an encoder for the first token alone: all that a classification head reads.

BERT and its kin classify by the last layer's output at the first position (`[CLS]`, `<s>`). What the layer's attention
finds for the other positions, and its feed-forward part over them (two thirds of its arithmetic), is read by nobody.
Leaving them out changes no logit and no gradient; in a model of two layers it is a third of all arithmetic.
Heavy: torch is imported inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Kin:
    """Where a family of models keeps the parts of a layer.

    layers: below the base model. attention: below a layer, with its projections' names for query, key and value, and
    `out` for one behind them that it has itself. total: what takes the residual sum behind the attention, or its two
    terms; from there on each position is on its own.
    """

    layers: str = "encoder.layer"
    attention: str = "attention.self"
    query: str = "query"
    key: str = "key"
    value: str = "value"
    out: str = ""
    total: str = "attention.output"


BERT = Kin()
DISTILBERT = Kin("transformer.layer", "attention", "q_lin", "k_lin", "v_lin", "out_lin", "sa_layer_norm")
KIN = {"distilbert": DISTILBERT}
KIN |= dict.fromkeys(("bert", "camembert", "electra", "roberta", "xlm-roberta"), BERT)
# How far logits may be apart: rounding of single precision, no more.
RELATIVE, ABSOLUTE = 1e-4, 1e-5
# The one whose result for a position does not depend on the others' queries, and that takes fewer queries than keys.
ATTENTION = "sdpa"


def keep_first(model: torch.nn.Module) -> bool:
    """Let the last layer of `model` go on with the first position only; returns whether it does.

    Models of other kinds, and those whose logits change by it (a head that looks at all positions), stay as they are.
    Parameters, files and other layers are not touched; the base model's hidden states end one position long.
    """
    import torch

    kin = KIN.get(str(getattr(getattr(model, "config", None), "model_type", "")))
    if kin is None:
        return False
    layer = _last_layer(model, kin)
    if layer is None or hasattr(layer, "_keeps_first"):
        return layer is not None
    before = _probe(model)
    hook = layer.get_submodule(kin.total).register_forward_pre_hook(_first_position)
    attention: Any = layer.get_submodule(kin.attention)
    # The instance's own attribute comes before its class's method.
    attention.forward = _first_query(attention, kin)
    layer._keeps_first = True  # type: ignore[assignment]
    if torch.allclose(before, _probe(model), RELATIVE, ABSOLUTE):
        return True
    hook.remove()
    del attention.forward, layer._keeps_first
    return False


def _first_position(module: torch.nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a module, each B × length × size, cut to B × 1 × size."""
    return tuple(tensor[:, :1] for tensor in given)


def _first_query(attention: Any, kin: Kin) -> Callable[..., Any]:
    """The forward method of `attention` for the first position: B × length × size to B × 1 × size."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    whole = attention.forward
    query, key, value = (getattr(attention, name) for name in (kin.query, kin.key, kin.value))
    out = getattr(attention, kin.out) if kin.out else None
    size = int(attention.attention_head_size)

    def heads(states: torch.Tensor) -> torch.Tensor:
        return states.view(*states.shape[:2], -1, size).transpose(1, 2)

    def forward(hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Any) -> Any:
        square = attention_mask is None or attention_mask.dim() == 4
        if attention.config._attn_implementation != ATTENTION or attention.is_causal or not square:
            return whole(hidden_states, attention_mask=attention_mask, **kwargs)
        found, weights = ALL_ATTENTION_FUNCTIONS[ATTENTION](
            attention,
            heads(query(hidden_states[:, :1])),
            heads(key(hidden_states)),
            heads(value(hidden_states)),
            None if attention_mask is None else attention_mask[:, :, :1],
            dropout=attention.dropout.p if attention.training else 0.0,
            scaling=attention.scaling,
        )
        found = found.reshape(len(found), 1, -1)
        return (found if out is None else out(found)), weights

    return forward


def _last_layer(model: Any, kin: Kin) -> torch.nn.Module | None:
    found: Any = getattr(model, "base_model", None)
    for name in kin.layers.split("."):
        found = getattr(found, name, None)
    if not found:
        return None
    last: torch.nn.Module = found[-1]
    return last


def _probe(model: Any) -> torch.Tensor:
    """Logits of two short sequences, one of them padded, without dropout."""
    import torch

    training = model.training
    model.eval()
    device = next(model.parameters()).device
    length, vocabulary = 6, int(model.config.vocab_size)
    ids = torch.arange(1, 2 * length + 1, device=device).mul(7919).remainder(vocabulary).view(2, length)
    mask = torch.ones_like(ids)
    mask[1, length // 2 :] = 0
    try:
        with torch.no_grad():
            logits: torch.Tensor = model(input_ids=ids, attention_mask=mask).logits
    finally:
        model.train(training)
    return logits.float()
