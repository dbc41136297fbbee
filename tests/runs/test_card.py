"""The model card: what a person who is handed the folder can do with it."""

from pathlib import Path

import pytest

from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.card import model_card


def card(model: str, *, adapter: bool, **changes: int) -> str:
    return model_card(Recipe(model=model, data="stories.jsonl", **changes), adapter=adapter, loss=0.04)


def test_an_adapter_says_how_it_is_loaded_and_served() -> None:
    text = card("org/model", adapter=True, rank=64)
    assert 'from_pretrained("org/model")' in text
    assert "vllm serve org/model --enable-lora --max-lora-rank 64" in text
    assert "merge_and_unload" in text


def test_an_adapter_of_a_model_that_others_do_not_know_is_loaded_by_hyperfit() -> None:
    text = card("builtin:smollm2", adapter=True)
    assert "hyperfit.load_any" in text
    assert "vllm" not in text


def test_a_whole_model_is_served_like_any() -> None:
    text = card("org/model", adapter=False)
    assert "vllm serve this/folder" in text
    assert "library_name: transformers" in text
    assert "enable-lora" not in text


@pytest.mark.parametrize("adapter", [True, False])
def test_it_claims_no_licence_and_says_what_one_depends_on(adapter: bool) -> None:
    text = card("org/model", adapter=adapter)
    head = text.split("---")[1]
    assert "license" not in head
    assert "## Licence" in text
    assert "recite" in text


def test_no_folder_of_the_machine_is_named(tmp_path: Path) -> None:
    (tmp_path / "llama").mkdir()
    text = card(str(tmp_path / "llama"), adapter=True)
    assert str(tmp_path) not in text
    assert 'from_pretrained("llama")' in text


def test_of_a_model_that_learned_chats_it_speaks_of_chats() -> None:
    recipe = Recipe(model="org/model", data="chats.jsonl")
    for loss in (0.04, 0.5):
        text = model_card(recipe, adapter=True, loss=loss, chats=True)
        assert not any(f"{what} texts" in text for what in ("hyperfit on a few", "training", "other", "continues"))
        assert "on a few chats" in text
        assert "the training chats, as it may recite them" in text
        assert "into its base model's chat template" in " ".join(text.split())
        assert "was not trained to follow instructions" not in text
    assert "chats" not in model_card(recipe, adapter=True, loss=0.04).replace("chats.jsonl", "")
