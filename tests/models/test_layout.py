"""The finder: what it finds is what the text flows through, on models whose parts were looked up by hand."""

import re

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertLMHeadModel
from zoo import build

from hyperfit.errors import UserError
from hyperfit.models.structure.causal import check_model
from hyperfit.models.structure.forward import last_hidden, logits_of, read_out
from hyperfit.models.structure.layout import blocks_of, layout_of
from tiny_models import BLOCKS, GROUPED, PATHS, TINY, VOCABULARY, WIDTH, random_ids, tiny_model


@pytest.mark.parametrize("family", TINY)
def test_the_parts_are_those_looked_up_by_hand(family: str) -> None:
    model, paths = tiny_model(family), PATHS[family]
    layout = layout_of(model)
    assert (layout.blocks, layout.tail, layout.head) == (paths.blocks, (paths.norm,), paths.head)
    assert layout.embedding == paths.embedding
    assert (len(layout.tuples), layout.states, layout.vocabulary) == (BLOCKS, (WIDTH,), VOCABULARY)
    assert layout.bare_head == (family != "gemma2"), "gemma2 caps its logits"
    assert layout.aside is None


@pytest.mark.parametrize("family", TINY)
def test_the_text_flows_through_them_in_order(family: str) -> None:
    model, paths = tiny_model(family), PATHS[family]
    embedding, norm, head = (model.get_submodule(path) for path in (paths.embedding, paths.norm, paths.head))
    blocks, seen = blocks_of(model), list[nn.Module]()
    into: dict[nn.Module, torch.Tensor] = {}
    out: dict[nn.Module, torch.Tensor] = {}

    def note(module: nn.Module, given: tuple[torch.Tensor, ...], got: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        seen.append(module)
        into[module], out[module] = given[0], got if isinstance(got, torch.Tensor) else got[0]

    for module in (embedding, *blocks, norm, head):
        module.register_forward_hook(note)
    model(input_ids=random_ids(2, 9))
    assert seen == [embedding, *blocks, norm, head]
    for earlier, later in zip((*blocks, norm), (*blocks[1:], norm, head), strict=True):
        assert torch.equal(out[earlier], into[later])


@pytest.mark.parametrize("family", TINY)
def test_a_model_without_weights_has_the_same_layout(family: str) -> None:
    with torch.device("meta"):
        empty = tiny_model(family)
    assert layout_of(empty) == layout_of(tiny_model(family))


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("llama", {}),
        ("gemma2", {"final_logit_softcapping": 2.0}),
        ("granite", {"logits_scaling": 7.0, **GROUPED}),
        ("cohere", {"logit_scale": 0.3, **GROUPED}),
    ],
)
def test_logits_are_the_models_own_scaled_or_capped(family: str, changes: dict[str, float]) -> None:
    model, ids = tiny_model(family, **changes), random_ids(2, 9)
    check_model(model)
    with torch.no_grad():
        want = model(input_ids=ids).logits.flatten(0, 1)
        hidden = last_hidden(model, ids)
        assert torch.allclose(logits_of(model, hidden.flatten(0, 1)), want, atol=1e-5)
        states = model(input_ids=ids, output_hidden_states=True).hidden_states[-2]
    assert layout_of(model).bare_head == (family == "llama")
    # by hand: the last block, then everything above
    last = blocks_of(model)[-1]
    caught: list[torch.Tensor] = []
    last.register_forward_hook(lambda module, args, output: caught.append(output))
    with torch.no_grad():
        model(input_ids=ids)
        assert torch.allclose(read_out(model, caught[0].flatten(0, 1)), want, atol=1e-5)
        assert not torch.allclose(read_out(model, states.flatten(0, 1)), want, atol=1e-2), "one block earlier"


def test_gradients_go_through_a_cap_as_by_hand() -> None:
    model, hidden = tiny_model("gemma2", final_logit_softcapping=2.0), torch.randn(5, WIDTH, requires_grad=True)
    by_hand = 2 * torch.tanh(model.lm_head(hidden) / 2)
    (want,) = torch.autograd.grad(by_hand.logsumexp(-1).sum(), hidden)
    (found,) = torch.autograd.grad(logits_of(model, hidden).logsumexp(-1).sum(), hidden)
    assert torch.allclose(found, want, atol=1e-6)


def test_a_model_that_sees_what_comes_after_is_refused() -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=257, max_position_embeddings=64, initializer_range=0.3, **sizes)
    with pytest.raises(UserError, match="bert: a token changes what is expected before it"):
        check_model(BertLMHeadModel(config).eval())


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("kosmos-2", "You have to specify either `pixel_values` or `image_embeds`."),
        ("blip-2", "Blip2ForConditionalGeneration.forward() missing 1 required positional argument: 'pixel_values'"),
    ],
)
def test_a_model_that_wants_more_than_text_is_refused(kind: str, reason: str) -> None:
    with pytest.raises(UserError, match=rf"^{kind}: does not read text alone \({re.escape(reason)}\)$"):
        check_model(build(kind))


def test_a_model_without_blocks_is_refused() -> None:
    model = tiny_model()
    model.model.layers = nn.ModuleList()
    with pytest.raises(UserError, match="no blocks were found that run one after the other"):
        layout_of(model)
