"""What ends a text: what is declared, and what ends a turn of a chat."""

from typing import Any

import pytest

from hyperfit.models.structure.ends import end_tokens
from tiny_chats import PLAIN
from tiny_models import END, VOCABULARY, tiny_model, tiny_tokenizer

TURN = "<|turn|>"


def tokenizer_with(template: str | None, special: bool = True) -> Any:
    """Of single bytes, and a token behind them."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([TURN], special_tokens=special)
    tokenizer.chat_template = template
    return tokenizer


ENDED = PLAIN.replace("+ '\n'", f"+ '{TURN}\n'")


@pytest.mark.parametrize(
    ("tokenizer", "rows", "ends"),
    [
        (tokenizer_with(ENDED), VOCABULARY + 1, [END, VOCABULARY]),
        (tokenizer_with(ENDED), VOCABULARY, [END]),  # the model has no such token
        (tokenizer_with(ENDED, special=False), VOCABULARY + 1, [END]),
        (tokenizer_with(PLAIN), VOCABULARY + 1, [END]),
        (tokenizer_with(None), VOCABULARY + 1, [END]),
        (tokenizer_with("{{ raise_exception('no') }}"), VOCABULARY + 1, [END]),
    ],
    ids=["ends", "without a row", "no special token", "line end", "no template", "refuses"],
)
def test_what_ends_a_turn_ends_a_text(tokenizer: Any, rows: int, ends: list[int]) -> None:
    assert end_tokens(tiny_model(vocab_size=rows), tokenizer) == ends
