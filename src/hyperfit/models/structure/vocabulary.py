"""Whether a model has an embedding for every token that its tokenizer makes of texts."""

from collections.abc import Iterable, Sequence

from transformers import PreTrainedTokenizerBase

from hyperfit.errors import UserError
from hyperfit.models.loading import load_config


def check_embedded(name: str, tokenizer: PreTrainedTokenizerBase, texts: Iterable[Sequence[int]]) -> None:
    """Raises UserError that names the tokens of the texts, or the padding, for which a model has no embedding.

    Tokens that no text holds may be without one: some models' tokenizers have more than their embedding has rows.
    """
    rows = load_config(name).get_text_config(decoder=True).vocab_size
    used = {token for ids in texts for token in ids} | {tokenizer.pad_token_id or 0}
    strangers = sorted(token for token in used if token >= rows)
    if strangers:
        named = ", ".join(f"{tokenizer.convert_ids_to_tokens(token)!r} ({token})" for token in strangers)
        raise UserError(
            f"{name}: its embedding has the rows 0 to {rows - 1}, and none for {named} of its tokenizer; take the "
            "token out of the texts and the tokenizer, or give the model a row for it (resize_token_embeddings in "
            "transformers) and save it anew"
        )
