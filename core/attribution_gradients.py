"""Attribution by gradients at the input embeddings: gradient × input and integrated gradients.

Both are taken at the output of the model's word embedding (`get_input_embeddings()`); positions and segments stay as
they are. Needs torch, imported inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from core.inspector_batches import Pace, paced

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.inspector_models import Inputs, LoadedModel, Subject
    from core.inspector_ops import Task

GRAPH_BYTES = 1 << 30
"""About how much memory the graphs of one batch may take."""


@contextmanager
def embeddings_as(loaded: LoadedModel, values: Any = None) -> Iterator[list[Any]]:
    """Inside, the model's word embeddings come out as `values` (rows × tokens × size), or for None as they are.

    Gives a list that holds, after a forward pass, what came out: a leaf of the graph that gradients can be had of.
    Raises NotImplementedError for a model whose embeddings do not come out as one tensor (CANINE, I-BERT).
    """
    import torch

    seen: list[Any] = []

    def replace(_module: Any, _inputs: Any, output: Any) -> Any:
        if not isinstance(output, torch.Tensor):
            raise NotImplementedError
        leaf = (output if values is None else values).detach().requires_grad_()
        seen.append(leaf)
        # Models may change what they embed in place, which a leaf does not allow.
        return leaf.clone()

    handle = loaded.model.get_input_embeddings().register_forward_hook(replace)
    try:
        yield seen
    finally:
        handle.remove()


def embedded(loaded: LoadedModel, inputs: Inputs) -> Any:
    """The word embeddings of one text as they come out in a forward pass (1 × T or, padded by the model, more × size).

    Raises NotImplementedError for a model that embeds in another place or order (BART, XLNet).
    """
    import torch

    with torch.no_grad(), embeddings_as(loaded) as seen:
        loaded.run([inputs])
    return first(seen, len(inputs["input_ids"])).detach()


def first(seen: list[Any], tokens: int) -> Any:
    """The embeddings that `embeddings_as` saw of a text of so many tokens. Raises NotImplementedError as `embedded`."""
    if not seen or seen[0].ndim != 3 or seen[0].shape[1] < tokens:
        raise NotImplementedError
    return seen[0]


def score_of(loaded: LoadedModel, logits: Any, target: int, of: str) -> Any:
    """What is explained, one a row: the `logit` of class `target`, or its `probability`."""
    values = logits.float()
    return (loaded.probabilities(values) if of == "probability" else values)[:, target]


def gradient_x_input(loaded: LoadedModel, inputs: Inputs, target: int, of: str = "logit") -> NDArray[np.float64]:
    """Gradient × input (T): for each token the product of embedding and gradient, summed over the embedding's size.

    Shrikumar et al. 2016, arXiv:1605.01713. To first order, what taking the token's embedding away would cost.
    """
    import torch

    with torch.enable_grad(), embeddings_as(loaded) as seen:
        score = score_of(loaded, loaded.run([inputs]).logits, target, of)
        tokens = len(inputs["input_ids"])
        leaf = first(seen, tokens)
        (gradient,) = torch.autograd.grad(score.sum(), leaf)
    weights: NDArray[np.float64] = (gradient * leaf).detach().sum(-1)[0, :tokens].cpu().double().numpy()
    return weights


def baseline_ids(loaded: LoadedModel, subject: Subject) -> list[int] | None:
    """The ids that stand for "no text": padding in place of each token of the text, added tokens kept.

    None for a tokenizer that has no padding.
    """
    pad = loaded.tokenizer.pad_token_id
    if pad is None:
        return None
    ids = subject.encoded.inputs["input_ids"]
    return [token if special else pad for token, special in zip(ids, subject.special, strict=True)]


def integrated_gradients(
    loaded: LoadedModel, subject: Subject, target: int, task: Task, of: str = "logit", steps: int = 32, done: int = 0
) -> tuple[NDArray[np.float64], float, str]:
    """Integrated gradients (T), their completeness gap, and the baseline's name (`pad`, or `zero` without padding).

    Sundararajan et al. 2017, arXiv:1703.01365: the difference from the baseline times the mean gradient on the straight
    way from it, by Gauss–Legendre quadrature with `steps` points. The weights should add up to the score's difference
    between text and baseline; the gap is their sum less that difference, in units of `of`. `done`: progress before it.
    """
    import numpy as np
    import torch

    inputs = subject.encoded.inputs
    ids = baseline_ids(loaded, subject)
    # Seen in a forward pass, not looked up: Longformer pads before it embeds.
    full = embedded(loaded, inputs)
    if ids is None:
        base = full.clone()
        base[:, : len(inputs["input_ids"])][:, torch.tensor([not special for special in subject.special])] = 0
    else:
        base = embedded(loaded, {**inputs, "input_ids": ids})
    points, shares = np.polynomial.legendre.leggauss(steps)
    alphas = torch.tensor((points + 1) / 2, dtype=full.dtype, device=loaded.device)[:, None, None]
    weights = torch.tensor(shares / 2, dtype=full.dtype, device=loaded.device)[:, None, None]
    # On the CPU: not every device has float64.
    total = torch.zeros(full.shape[1:], dtype=torch.float64)
    ends: list[float] = []

    def work(first: int, last: int) -> None:
        nonlocal total
        values = base + alphas[first:last] * (full - base)
        with torch.enable_grad(), embeddings_as(loaded, values) as seen:
            score = score_of(loaded, loaded.run([inputs] * (last - first)).logits, target, of)
            (gradient,) = torch.autograd.grad(score.sum(), seen[0])
        total += (weights[first:last] * gradient).sum(0).cpu().double()

    paced(steps, task, Pace(_rows(loaded, len(inputs["input_ids"]))), work, done, done + steps)
    for values in (base, full):
        with torch.no_grad(), embeddings_as(loaded, values):
            ends.append(float(score_of(loaded, loaded.run([inputs]).logits, target, of)))
    every = ((full - base)[0].cpu().double() * total).sum(-1).numpy()
    attribution: NDArray[np.float64] = every[: len(inputs["input_ids"])]
    return attribution, float(attribution.sum() - (ends[1] - ends[0])), "zero" if ids is None else "pad"


def _rows(loaded: LoadedModel, tokens: int) -> int:
    """How many texts of so many tokens may be in one graph."""
    config = loaded.model.config
    layers = int(getattr(config, "num_hidden_layers", 1) or 1)
    heads = int(getattr(config, "num_attention_heads", 1) or 1)
    size = int(getattr(config, "hidden_size", 64) or 64)
    # Scores, probabilities and their dropout, and some dozen activations of a layer.
    row = 4 * layers * tokens * (3 * heads * tokens + 20 * size)
    return max(1, min(64, GRAPH_BYTES // max(1, row)))
