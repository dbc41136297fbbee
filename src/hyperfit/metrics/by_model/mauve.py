"""How like human text a model's texts are as a whole: MAUVE, under any featuriser, over several seeds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.errors import UserError, collecting, pip_install
from hyperfit.models.devices import pick_device
from hyperfit.models.loading import evaluating, load_config, load_model, load_tokenizer
from hyperfit.models.structure.layout import positions_of

TOKENS = 128
"""Tokens of each text that are compared, as in the code of the group of Li et al. (2026)."""
SEEDS = (0, 1, 2, 3, 4)
FEATURISER = "gpt2"
"""As there. The paper of MAUVE takes gpt2-large; figures under different featurisers do not compare."""
TEXTS_A_BIN = 10
"""mauve-text's rule: as many bins as tenths of the smaller side."""
FEWEST_TEXTS = 2 * TEXTS_A_BIN
"""Two bins; below, no histogram is left to compare."""


@dataclass(frozen=True)
class Mauve:
    """MAUVE by seed, and all that its size depends on."""

    values: NDArray[np.float64]
    """float64[seeds]: each in (0, 1], 1 for equal histograms; NaN for fewer than 20 texts a side."""
    seeds: tuple[int, ...]
    """Of PCA and k-means. They change the bins, and the value by several points at some hundred texts."""
    n_human: int
    """Texts compared."""
    n_written: int
    dropped_human: int
    """Texts left out as too short, or as the other of their pair is."""
    dropped_written: int
    tokens: int
    """Tokens compared of each text."""
    bins: int
    """Of the histograms; 0 where there are none."""
    featuriser: str

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(self.values.mean()) if len(self.values) else math.nan

    @property
    def low(self) -> float:
        """The smallest over the seeds. From ``low`` to ``high`` is the spread of the binning, not of the texts."""
        return float(self.values.min()) if len(self.values) else math.nan

    @property
    def high(self) -> float:
        """The largest over the seeds."""
        return float(self.values.max()) if len(self.values) else math.nan

    @property
    def deviation(self) -> float:
        """Standard deviation over the seeds (n - 1); NaN for one seed."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else math.nan


def mauve(
    human: Sequence[str],
    written: Sequence[str],
    *,
    featuriser: str = FEATURISER,
    tokens: int = TOKENS,
    seeds: Sequence[int] = SEEDS,
    paired: bool = True,
    batch_size: int = 16,
    device: str = "auto",
    advance: Callable[[int], None] = lambda done: None,
) -> Mauve:
    """Compare texts of a model with human texts by MAUVE: the area under the divergence curve of two histograms.

    Every text is cut to ``tokens`` tokens of the featuriser and stands for its last hidden state; both sides are
    clustered together, and each is a histogram over the clusters (Pillutla et al. 2021; mauve-text computes it, with
    its own defaults). Texts with fewer tokens are dropped; ``paired``: with them their partner, text i of both sides
    going on from one context, as in the code of the group of Li et al. (2026). The value depends on how many texts
    there are, so compare only figures of equal n; mauve-text's authors advise some thousand. faiss notes on stderr
    that it would like 39 points a bin; at mauve-text's own 10 texts a bin it always does.

    featuriser: a folder, a hub id, builtin:smollm2 or builtin:tiny; read in fp32.
    advance: called with the number of texts done.
    Raises UserError if mauve-text is not installed, or the featuriser cannot be used.
    """
    if paired and len(human) != len(written):
        raise ValueError(f"pairs need two lists of one length, not {len(human)} and {len(written)}")
    problems: list[str] = []
    where = torch.device("cpu")
    with collecting(problems):
        library = mauve_text()
    with collecting(problems):
        where = pick_device(device)
    with collecting(problems):
        limit = positions_of(load_config(featuriser))
        if limit and not 1 <= tokens <= limit:
            problems.append(f"tokens {tokens}: give 1 to {limit}, the positions of {featuriser}")
        tokenizer = load_tokenizer(featuriser)
    if problems:
        raise UserError(*problems)
    cut = [first_tokens(tokenizer, texts, tokens) for texts in (human, written)]
    if paired:
        both = [one is not None and other is not None for one, other in zip(*cut, strict=True)]
        cut = [[ids if kept else None for ids, kept in zip(side, both, strict=True)] for side in cut]
    ours, theirs = ([ids for ids in side if ids is not None] for side in cut)
    values, bins = np.full(len(seeds), math.nan), 0
    if min(len(ours), len(theirs)) >= FEWEST_TEXTS:
        model = load_model(featuriser, device=where, dtype=torch.float32)
        p, q = (features(model, side, batch_size=batch_size, advance=advance) for side in (ours, theirs))
        results = [library.compute_mauve(p_features=p, q_features=q, seed=seed, verbose=False) for seed in seeds]
        values = np.array([float(result.mauve) for result in results])
        bins = results[0].num_buckets if results else 0
    counts = len(ours), len(theirs), len(human) - len(ours), len(written) - len(theirs)
    return Mauve(values, tuple(seeds), *counts, tokens, bins, featuriser)


def mauve_text() -> ModuleType:
    """The library. Raises UserError with what to install: it is under the GPL, and so never comes unasked."""
    try:
        import mauve as library
    except ImportError as error:
        raise UserError(
            f"MAUVE needs mauve-text (GPL-3, hence not installed with hyperfit), and {error.name or 'it'} is missing; "
            f"{pip_install('mauve-text')}"
        ) from error
    return library


def first_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], tokens: int) -> list[list[int] | None]:
    """Each text's first ``tokens`` token ids, those that the tokenizer puts around it included; None if shorter."""
    if not texts:
        return []
    rows = tokenizer(list(texts), truncation=True, max_length=tokens)["input_ids"]
    return [list(ids) if len(ids) == tokens else None for ids in rows]


def features(
    model: PreTrainedModel,
    texts: Sequence[Sequence[int]],
    *,
    batch_size: int,
    advance: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """float32[texts, width]: the last layer's state (after the final norm) at the last token of texts of one length."""
    rows: list[torch.Tensor] = []
    with evaluating(model):
        for batch in torch.tensor(texts, dtype=torch.int64).split(batch_size):
            hidden = model.base_model(input_ids=batch.to(model.device), use_cache=False)[0]
            rows.append(hidden[:, -1].float().cpu())
            advance(len(batch))
    return torch.cat(rows).numpy()
