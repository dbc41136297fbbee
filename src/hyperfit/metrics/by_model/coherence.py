"""How well continuations follow from their contexts in the eyes of a separate model, the scorer."""

from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedTokenizerBase

from hyperfit.data.special_tokens import added_tokens, doubled
from hyperfit.errors import UserError, collecting
from hyperfit.metrics.predictions.predict import Floats, Model, predict, text_means
from hyperfit.models.devices import autocast, pick_device, pick_precision
from hyperfit.models.loading import load_config, load_model, load_tokenizer
from hyperfit.models.structure.layout import positions_of
from hyperfit.recipes.recipe import Precision

SCORER = "facebook/opt-2.7b"
"""As in the code of the group of Li et al. (2026); figures under different scorers do not compare."""


def coherence(
    contexts: Sequence[str],
    continuations: Sequence[str],
    *,
    scorer: str = SCORER,
    batch_size: int = 8,
    device: str = "auto",
    precision: Precision = "auto",
    advance: Callable[[int], None] = lambda done: None,
) -> Floats:
    """float64[texts]: mean log-probability of each continuation's tokens given its context, under ``scorer``.

    Nats per token, at most 0; higher is better, though looping text scores best of all: read it beside diversity.
    NaN for a continuation without a token. exp(-mean) is the continuations' perplexity under the scorer.
    1/|x̂| Σ log p(x̂_i | x, x̂_<i): Su and Xu (2022), as the group of Li et al. (2026) uses it.

    scorer: a folder, a hub id, builtin:smollm2 or builtin:tiny. Text i is contexts[i] + continuations[i], so a
    continuation begins with its own space. Raises UserError if the scorer cannot be used or a text is too long for it.
    """
    problems: list[str] = []
    where = torch.device("cpu")
    with collecting(problems):
        where = pick_device(device)
    with collecting(problems):
        load_config(scorer)
        tokenizer = load_tokenizer(scorer)
    if problems:
        raise UserError(*problems)
    precise = pick_precision(precision, where, evaluating=True)
    model = load_model(scorer, device=where, dtype=torch.bfloat16 if precise == "bf16" else torch.float32)
    with autocast(where, precise):
        return coherence_under(model, tokenizer, contexts, continuations, batch_size=batch_size, advance=advance)


def coherence_under(
    model: Model,
    tokenizer: PreTrainedTokenizerBase,
    contexts: Sequence[str],
    continuations: Sequence[str],
    *,
    batch_size: int = 8,
    advance: Callable[[int], None] = lambda done: None,
) -> Floats:
    """float64[texts]: ``coherence`` under a loaded model.

    Every text is tokenised whole, as the scorer would meet it, and a token that reaches into the continuation counts
    as the continuation's: so does one that begins in the context's last word. The very first token of a text, where
    the tokenizer puts none in front of it, cannot be predicted and is left out.
    """
    if len(contexts) != len(continuations):
        raise ValueError(f"{len(contexts)} contexts and {len(continuations)} continuations do not pair")
    ids, starts = [], []
    for context, continuation in zip(contexts, continuations, strict=True):
        whole, begins = tokens_and_start(tokenizer, context, continuation)
        ids.append(whole)
        starts.append(max(1, begins))
    longest, limit = max(map(len, ids), default=0), positions_of(model.config)
    if limit and longest > limit:
        raise UserError(f"a text has {longest} tokens of the scorer, which knows {limit} positions; give shorter texts")
    return -text_means(predict(model, ids, skip=starts, batch_size=batch_size, advance=advance).loss)


def tokens_and_start(tokenizer: PreTrainedTokenizerBase, context: str, continuation: str) -> tuple[list[int], int]:
    """The token ids of context + continuation, and the place of the first that reaches past the context.

    Tokens that the tokenizer adds at the end are left out, and those in front that the text brings itself. Raises
    UserError for a tokenizer that cannot tell where in the text its tokens stand.
    """
    try:
        encoded = tokenizer(context + continuation, return_offsets_mapping=True)
    except NotImplementedError as error:
        raise UserError(
            f"{tokenizer.name_or_path}: its tokenizer does not tell where in the text its tokens stand; use a scorer "
            "with a tokenizer.json"
        ) from error
    ids, ends = list(encoded["input_ids"]), [end for _, end in encoded["offset_mapping"]]
    twice = doubled(ids, added_tokens(tokenizer)[0])
    ids, ends = ids[twice:], ends[twice:]
    inside = [place for place, end in enumerate(ends) if end > len(context)]
    return (ids[: inside[-1] + 1], inside[0]) if inside else (ids, len(ids))
