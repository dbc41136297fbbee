"""Human texts cut into contexts and references."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperfit.data.characters import character_end, excerpt
from hyperfit.data.corpus import choose, evaluation_texts
from hyperfit.errors import UserError
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.generation.continuations import continuation_text
from hyperfit.recipes.recipe import Recipe


@dataclass(frozen=True)
class Texts:
    """Human texts cut into contexts and references."""

    ids: Tensor
    """int64[texts, total]"""
    sources: list[str]
    """Where each came from."""
    cuts: list[int]
    """Tokens of each one's context."""
    new_tokens: int
    """Tokens of every reference."""

    @property
    def contexts(self) -> list[list[int]]:
        """The tokens that are continued."""
        return [row[:cut] for row, cut in zip(self.ids.tolist(), self.cuts, strict=True)]

    @property
    def human(self) -> list[list[int]]:
        """How the texts themselves go on."""
        return [row[cut:][: self.new_tokens] for row, cut in zip(self.ids.tolist(), self.cuts, strict=True)]

    def strings(self, tokenizer: PreTrainedTokenizerBase, continuations: Sequence[Sequence[int]]) -> list[str]:
        """What each continuation adds to its context."""
        pairs = zip(self.contexts, continuations, strict=True)
        return [continuation_text(tokenizer, context, continuation) for context, continuation in pairs]

    def context_strings(self, tokenizer: PreTrainedTokenizerBase) -> list[str]:
        """The contexts without special tokens."""
        return [excerpt(tokenizer, context) for context in self.contexts]

    def human_pairs(self, tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, str]]:
        """Each context, and how its text goes on."""
        return list(zip(self.context_strings(tokenizer), self.strings(tokenizer, self.human), strict=True))


def human_texts(recipe: Recipe, settings: EvaluationSettings, tokenizer: PreTrainedTokenizerBase) -> Texts:
    """Held-out texts of every source, at most an equal share of ``most_contexts`` from each, none twice.

    A context has as many tokens as the settings say, or the few less that end with a whole character.
    """
    return common_texts([recipe], settings, tokenizer)


def common_texts(recipes: Sequence[Recipe], settings: EvaluationSettings, tokenizer: PreTrainedTokenizerBase) -> Texts:
    """``human_texts`` that no recipe trains on. Raises UserError if none of a source is left."""
    recipe = recipes[0]
    sources = dict.fromkeys(settings.contexts or (recipe.data,))
    share = math.ceil(settings.most_contexts / len(sources))
    if recipe.heldout == 0 and not settings.contexts:
        raise UserError("--contexts: this run held no texts out (--heldout 0); name texts to continue")
    chosen: dict[tuple[int, ...], str] = {}
    for source in sources:
        texts = evaluation_texts(recipe, source, tokenizer, settings.total, settings.text_column)
        for other in recipes[1:]:
            rows = evaluation_texts(other, source, tokenizer, settings.total, settings.text_column)
            allowed = set(map(tuple, rows.tolist()))
            texts = texts[torch.tensor([tuple(row) in allowed for row in texts.tolist()], dtype=torch.bool)]
        if not len(texts):
            raise UserError(f"--contexts {source}: one training or another reads all of it; name other texts")
        rows = choose(texts, share, settings.context_seed)
        chosen = {**dict.fromkeys(map(tuple, rows.tolist()), source), **chosen}
    kept = [row for source in sources for row in chosen if chosen[row] == source][: settings.most_contexts]
    return Texts(
        torch.tensor(kept, dtype=torch.int64),
        [chosen[row] for row in kept],
        [character_end(tokenizer, row, settings.context) for row in kept],
        settings.total - settings.context,
    )
