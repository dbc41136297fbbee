"""A token without a row in the embedding is named before anything is computed, if a text holds it."""

from pathlib import Path

import pytest

from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.models.loading import load_tokenizer
from hyperfit.models.structure.vocabulary import check_embedded
from tiny_models import VOCABULARY, save_tiny, tiny_tokenizer


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tiny model whose tokenizer has two tokens more than its embedding has rows."""
    folder = save_tiny(tmp_path / "model")
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<one>", "<two>"])
    tokenizer.save_pretrained(folder)
    return folder


def test_only_tokens_that_a_text_holds_are_missed(model: Path) -> None:
    tokenizer = load_tokenizer(str(model))
    check_embedded(str(model), tokenizer, [tokenizer.encode("nothing more")])
    with pytest.raises(UserError, match=rf"rows 0 to {VOCABULARY - 1}, and none for '<two>' \({VOCABULARY + 1}\) of"):
        check_embedded(str(model), tokenizer, [tokenizer.encode("one"), tokenizer.encode("<two> and <two>")])


def test_padding_needs_a_row_too(model: Path) -> None:
    tokenizer = load_tokenizer(str(model))
    tokenizer.pad_token = "<one>"
    with pytest.raises(UserError, match="<one>"):
        check_embedded(str(model), tokenizer, [])


def test_commands_say_it_in_one_message(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(f'{{"text": "{number} <one> and so on and on"}}\n' for number in range(9)))
    for command in (
        ["generate", str(model), "--prompt", "a <one> b"],
        ["train", str(model), "--data", str(texts), "--length", "8", "-o", str(tmp_path / "run")],
    ):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 2
        assert f"'<one>' ({VOCABULARY})" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
