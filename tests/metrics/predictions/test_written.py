"""What a model predicted while it wrote is what it predicts when it reads what it has written."""

from dataclasses import astuple

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

import hyperfit.metrics.predictions.predict as predictions
from hyperfit.generation.continuations import SEARCHES, continue_contexts
from hyperfit.generation.decodings import DECODINGS
from hyperfit.metrics.predictions.predict import Model, Reader, predict, without_adapter
from hyperfit.metrics.predictions.written import head_inputs, predict_written
from hyperfit.models.loading import quiet
from tiny_models import TINY, random_ids, tiny_model, tiny_tokenizer

CONTEXT, NEW = 6, 10
CONTEXTS = random_ids(5, CONTEXT).tolist()


def check(model: Model | Reader, decoding: str = "greedy") -> None:
    """Written in batches of 2, 2 and 1."""
    reader, states = Reader.of(model), list[torch.Tensor]()
    with reader.within(), head_inputs(reader.model) as steps:

        def keep(done: int) -> None:
            assert [len(step) for step in steps] == [done] * NEW
            states.append(torch.stack(steps, 1))
            steps.clear()

        texts = continue_contexts(
            reader.model, tiny_tokenizer(), CONTEXTS, new_tokens=NEW, decoding=decoding, batch_size=2, advance=keep
        )
    found = predict_written(reader, states, texts)
    whole = [[*context, *text] for context, text in zip(CONTEXTS, texts, strict=True)]
    expected = predict(reader, whole, skip=CONTEXT)
    for one, other in zip(astuple(found), astuple(expected), strict=True):
        for mine, read in zip(
            *(each.values() if isinstance(each, dict) else [each] for each in (one, other)), strict=True
        ):
            np.testing.assert_allclose(mine, read[:, CONTEXT:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", TINY)
def test_of_every_family(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "positions_at_once", lambda *given: 7)
    check(tiny_model(family))


@pytest.mark.parametrize("decoding", sorted(set(DECODINGS) - set(SEARCHES)))
def test_under_every_decoding_that_is_no_search(decoding: str) -> None:
    check(tiny_model(), decoding)


def test_with_an_adapter_and_without_it() -> None:
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(3)
        tuned = get_peft_model(
            tiny_model(), LoraConfig(r=2, target_modules=["q_proj", "lm_head"], init_lora_weights=False)
        )
    assert isinstance(tuned, PeftModel)
    check(tuned)
    check(without_adapter(tuned))


class NamedArgument(torch.nn.Linear):
    """A head that gets its states by their name."""

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = super().__call__(hidden_states=states)
        return found

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return super().forward(hidden_states)


def test_of_a_head_that_is_called_by_keyword() -> None:
    model, called = tiny_model(), list[tuple[int, list[str]]]()
    head = NamedArgument(model.config.hidden_size, model.config.vocab_size, bias=False)
    head.weight = model.lm_head.weight
    model.lm_head = head
    head.register_forward_pre_hook(
        lambda module, args, kwargs: called.append((len(args), list(kwargs))), with_kwargs=True
    )
    check(model)
    assert (0, ["hidden_states"]) in called


def test_nothing_is_kept_afterwards() -> None:
    model = tiny_model()
    with head_inputs(model) as steps:
        model(input_ids=torch.tensor(CONTEXTS))
    model(input_ids=torch.tensor(CONTEXTS))
    assert [step.shape for step in steps] == [(5, model.config.hidden_size)]
