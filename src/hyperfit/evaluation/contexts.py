"""Human texts cut into contexts and references."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from hyperfit.data.characters import excerpt
from hyperfit.data.contexts import Cut, evaluation_texts
from hyperfit.data.corpus import choice
from hyperfit.errors import UserError
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.generation.continuations import continuation_text
from hyperfit.models.loading import load_config
from hyperfit.models.structure.layout import positions_of
from hyperfit.recipes.recipe import Recipe


@dataclass(frozen=True)
class Texts:
    """Human texts cut into contexts and references."""

    passages: list[Cut]
    """Context and reference of each."""
    sources: list[str]
    """Where each came from."""
    new_tokens: int
    """Tokens of every reference."""

    @property
    def rows(self) -> list[list[int]]:
        """Tokens of each one's context and reference."""
        return [list(one.ids) for one in self.passages]

    @property
    def cuts(self) -> list[int]:
        """Tokens of each one's context."""
        return [one.context for one in self.passages]

    def all_of(self, total: int) -> bool:
        """Whether all have so many tokens, context and reference; chats and prompts with completions seldom do."""
        return all(len(one.ids) == total for one in self.passages)

    @property
    def contexts(self) -> list[list[int]]:
        """The tokens that are continued."""
        return [row[:cut] for row, cut in zip(self.rows, self.cuts, strict=True)]

    @property
    def human(self) -> list[list[int]]:
        """How the texts themselves go on."""
        return [row[cut:][: self.new_tokens] for row, cut in zip(self.rows, self.cuts, strict=True)]

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

    A context has as many tokens as the settings say, or the few less that end with a whole character; that of a chat is
    what stands before a reply.
    """
    return common_texts([recipe], settings, tokenizer)


def common_texts(recipes: Sequence[Recipe], settings: EvaluationSettings, tokenizer: PreTrainedTokenizerBase) -> Texts:
    """``human_texts`` that no recipe trains on. Raises UserError if none of a source is left."""
    limit = positions_of(load_config(recipes[0].model))
    recipe = recipes[0]
    sources = dict.fromkeys(settings.contexts or (recipe.data,))
    share = math.ceil(settings.most_contexts / len(sources))
    if recipe.heldout == 0 and not settings.contexts:
        raise UserError("--contexts: this run held no texts out (--heldout 0); name texts to continue")
    chosen: dict[Cut, str] = {}
    for source in sources:
        asked = source, tokenizer, settings.total, settings.context, settings.text_column, limit
        texts = evaluation_texts(recipe, *asked)
        for other in recipes[1:]:
            allowed = set(evaluation_texts(other, *asked))
            texts = [text for text in texts if text in allowed]
        if not texts:
            raise UserError(f"--contexts {source}: one training or another reads all of it; name other texts")
        some = [texts[place] for place in choice(len(texts), share, settings.context_seed).tolist()]
        chosen = {**dict.fromkeys(some, source), **chosen}
    kept = [cut for source in sources for cut in chosen if chosen[cut] == source][: settings.most_contexts]
    return Texts(kept, [chosen[cut] for cut in kept], settings.total - settings.context)
