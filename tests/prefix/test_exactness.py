"""The prefix cache changes nothing: losses, gradients and trained weights, bit for bit, in every family."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor
from transformers import BertConfig, BertLMHeadModel, PreTrainedModel

import hyperfit.training.loss
from hyperfit.errors import UserError
from hyperfit.models.adapt import adapt, late_parameters, round_frozen
from hyperfit.models.devices import autocast
from hyperfit.models.loading import load_model
from hyperfit.models.structure.layout import blocks_of, inner_model, layout_of
from hyperfit.prefix.bypass import frozen_blocks
from hyperfit.prefix.cache import PrefixCache
from hyperfit.prefix.cache_prefix import cache_prefix
from hyperfit.prefix.stream import stream_prefix
from hyperfit.recipes.recipe import Precision, Recipe
from hyperfit.training.loss import SequenceLoss
from tiny_models import (
    BLOCKS,
    FAMILIES,
    GROUPED,
    LIKE_LLAMA,
    PATHS,
    TINY,
    cast,
    random_ids,
    save_tiny,
    tiny_model,
    tiny_tokenizer,
)

CPU = torch.device("cpu")
COUNT, LENGTH, BATCH = 10, 24, 4  # longer than the sliding windows; the last batch of a fill is not full
SEQUENCES = random_ids(COUNT, LENGTH, seed=7)
PICKS = [[3, 9, 0, 5], [8, 8, 1, 2], [7, 4, 6, 9]]
"""The sequences of each update: never in the order of the fill, one of them twice."""

every_family = pytest.mark.parametrize("family", TINY)
every_text_family = pytest.mark.parametrize("family", FAMILIES)

Model = PreTrainedModel | PeftModel


def silent(line: str) -> None:
    """Say nothing."""


def shaken(model: Model) -> Model:
    """Adapters that matter: their B is zero at first, and then no gradient reaches A."""
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1, generator=generator)
    return model.eval()


def with_adapters(model: PreTrainedModel, depth: int) -> Model:
    return shaken(adapt(model, Recipe(model="-", data="-", rank=4, late_blocks=depth)))


def late_model(family: str, method: str, depth: int, dtype: torch.dtype) -> Model:
    """A model of which only the last ``depth`` blocks learn: by adapters, whole with norm, or that and untied head.

    dtype: of what does not learn.
    """
    if method == "lora":
        return with_adapters(cast(tiny_model(family), dtype), depth)
    if method == "late-full":
        whole = adapt(tiny_model(family), Recipe(model="-", data="-", method="late-full", late_blocks=depth))
        if dtype == torch.bfloat16:
            round_frozen(whole)
        return whole
    model = cast(tiny_model(family, tie_word_embeddings=False), dtype).requires_grad_(False)
    paths = PATHS[family]
    for part in (*blocks_of(model)[-depth:], model.get_submodule(paths.norm), model.get_submodule(paths.head)):
        part.requires_grad_(True)
    return model


def plain_loss(model: Model, ids: Tensor) -> Tensor:
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def learned(model: Model) -> list[Tensor]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def descent(model: Model, precision: Precision) -> Iterator[Tensor]:
    """Three AdamW updates: both losses and all gradients of each, and the weights they end with."""
    weights = learned(model)
    optimizer = torch.optim.AdamW(weights, lr=1e-2)
    summed = SequenceLoss(model, lambda: autocast(CPU, precision))
    for rows in PICKS:
        ids = SEQUENCES[rows]
        with autocast(CPU, precision):
            other = plain_loss(model, ids)
        yield from (other.detach(), *torch.autograd.grad(other, weights))
        loss, part = summed(ids, share=1 / 64)
        part.backward()
        yield loss
        yield from (weight.grad.clone() for weight in weights if weight.grad is not None)
        optimizer.step()
        optimizer.zero_grad()
    yield from weights


def ruin_below(model: Model, depth: int) -> None:
    """NaN in every frozen block, and in the embedding unless the head is tied to it."""
    inner = inner_model(model)
    embedding, head = inner.get_input_embeddings().weight, inner.get_output_embeddings().weight
    ruined = [p for block in blocks_of(inner)[:-depth] for p in block.parameters()]
    for parameter in ruined if head is embedding else [*ruined, embedding]:
        parameter.data.fill_(torch.nan)


CASES: list[tuple[str, torch.dtype, Precision]] = [
    ("lora", torch.float32, "fp32"),
    ("lora", torch.float32, "bf16"),
    ("lora", torch.bfloat16, "bf16"),
    ("full", torch.float32, "fp32"),
    ("full", torch.float32, "bf16"),
    ("late-full", torch.float32, "fp32"),
    ("late-full", torch.bfloat16, "bf16"),
]
"""The first and the last at every depth, adapters in fp32 and whole blocks in bf16; all at the middle."""


@every_family
@pytest.mark.parametrize("depth", [1, 3, 5])
def test_losses_gradients_and_weights_are_bit_for_bit_the_same(family: str, depth: int, tmp_path: Path) -> None:
    for method, dtype, precision in CASES if depth == 3 else (CASES[0], CASES[-1]):
        case = f"{method} {dtype} {precision}"
        expected = list(descent(late_model(family, method, depth, dtype), precision))
        model = late_model(family, method, depth, dtype)
        cache = cache_prefix(model, SEQUENCES, tmp_path, batch_size=BATCH, precision=precision, notify=silent)
        assert cache.blocks == frozen_blocks(model) == BLOCKS - depth, case
        ruin_below(model, depth)  # whoever computes there, or reads what was computed there, finds NaN
        found = list(descent(model, precision))
        assert cache.served == 2 * len(PICKS), case
        assert all(bool(tensor.isfinite().all()) and bool(tensor.any()) for tensor in expected), case
        assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True)), case
        with cache.off(), autocast(CPU, precision), torch.no_grad():
            assert plain_loss(model, SEQUENCES[:BATCH]).isnan(), case


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_the_model_is_whole_again_without_the_cache(family: str, tmp_path: Path) -> None:
    model = with_adapters(tiny_model(family), 2)
    expected = plain_loss(with_adapters(tiny_model(family), 2), SEQUENCES[:BATCH])
    names = list(model.state_dict())
    cache = cache_prefix(model, SEQUENCES, tmp_path, batch_size=BATCH, notify=silent)
    assert torch.equal(plain_loss(model, SEQUENCES[:BATCH]), expected)
    with cache.off():
        assert torch.equal(plain_loss(model, SEQUENCES[:BATCH]), expected)
    assert cache.served == 1
    cache.detach()
    assert torch.equal(plain_loss(model, SEQUENCES[:BATCH]), expected)
    assert cache.served == 1
    assert list(model.state_dict()) == names


OTHER_SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "opt, norms after the layers, narrow embedding": (
        "opt",
        {"do_layer_norm_before": False, "word_embed_proj_dim": 16},
    ),
    "gpt_neox, one after the other": ("gpt_neox", {"use_parallel_residual": False}),
    "qwen2, windows in the upper blocks": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 3},
    ),
    "gpt2, attention scaled by depth": ("gpt2", {"scale_attn_by_inverse_layer_idx": True}),
    "llama, long rope": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}},
    ),
    "llama, eager attention": ("llama", {"attn_implementation": "eager"}),
}


@pytest.mark.parametrize("name", OTHER_SHAPES)
def test_other_shapes_of_a_family(name: str, tmp_path: Path) -> None:
    family, changes = OTHER_SHAPES[name]
    for dtype, precision in ((torch.float32, "fp32"), (torch.float32, "bf16"), (torch.bfloat16, "bf16")):
        one, two = (with_adapters(cast(tiny_model(family, **changes), dtype), 2) for _ in range(2))
        cache = cache_prefix(two, SEQUENCES, tmp_path, batch_size=BATCH, precision=precision, notify=silent)
        ruin_below(two, 2)
        assert all(map(torch.equal, descent(one, precision), descent(two, precision)))
        assert cache.served == 2 * len(PICKS)


# --- streaming ---


def stream(
    folder: Path, depth: int, caches: Path, precision: Precision = "fp32"
) -> tuple[PreTrainedModel, PrefixCache]:
    return stream_prefix(
        str(folder), depth, SEQUENCES, caches, batch_size=BATCH, device=CPU, precision=precision, notify=silent
    )


def assert_streamed_is_whole(saved: Path, depth: int, precision: Precision, folder: Path) -> None:
    """The same bytes on disk under the same name, the same weights above the cut, nothing below it."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    whole = with_adapters(load_model(str(saved), device=CPU, dtype=dtype), depth)
    want = cache_prefix(whole, SEQUENCES, folder / "whole", batch_size=BATCH, precision=precision, notify=silent)
    streamed, cache = stream(saved, depth, folder / "streamed", precision)
    assert not cache.reused
    assert cache.entry.path.name == want.entry.path.name, "runs of both kinds share a cache"
    assert cache.entry.states.read_bytes() == want.entry.states.read_bytes()
    assert not any(parameter.requires_grad for parameter in streamed.parameters())
    original = dict(inner_model(load_model(str(saved), device=CPU, dtype=dtype)).named_parameters())
    paths = PATHS.get(streamed.config.model_type, LIKE_LLAMA)
    tied = streamed.get_output_embeddings().weight is streamed.get_input_embeddings().weight
    frozen = tuple(f"{paths.blocks}.{index}." for index in range(BLOCKS - depth))
    for name, parameter in streamed.named_parameters():
        if name.startswith(frozen) or (name.startswith(paths.embedding) and not tied):
            assert parameter.is_meta, name
        else:
            assert parameter.dtype == dtype
            assert torch.equal(parameter, original[name]), name
    upper = tuple(f"{paths.blocks}.{index}." for index in range(BLOCKS - depth, BLOCKS))
    kept = {name for name, parameter in streamed.named_parameters() if not parameter.is_meta}
    assert {name for name in original if name.startswith((*upper, paths.norm))} <= kept
    head = streamed.get_output_embeddings()
    assert torch.equal(head.weight, load_model(str(saved), device=CPU, dtype=dtype).get_output_embeddings().weight)
    adapted = with_adapters(streamed, depth)
    assert all(map(torch.equal, descent(whole, precision), descent(adapted, precision)))
    assert cache.served == 1 + 2 * len(PICKS), "once to see that nothing but the states is read"


@every_text_family
def test_streaming_is_the_whole_model(family: str, tmp_path: Path) -> None:
    saved = save_tiny(tmp_path / "model", family)
    assert_streamed_is_whole(saved, 3, "fp32", tmp_path / "fp32")
    assert_streamed_is_whole(saved, 1, "bf16", tmp_path / "bf16")


@every_text_family
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_streaming_below_blocks_that_learn_whole(family: str, precision: Precision, tmp_path: Path) -> None:
    """What learns is read in fp32, unrounded, and trains as in a model that is held whole; both have one cache."""
    saved, recipe = (
        save_tiny(tmp_path / "model", family),
        Recipe(model="-", data="-", method="late-full", late_blocks=2),
    )
    streamed, cache = stream_prefix(
        str(saved), 2, SEQUENCES, tmp_path / "caches", batch_size=BATCH, device=CPU, precision=precision,
        late_fp32=True, notify=silent,
    )  # fmt: skip
    whole = adapt(tiny_model(family), recipe)
    if precision == "bf16":
        round_frozen(whole)
    late = late_parameters(streamed, 2)
    assert all(torch.equal(p, late_parameters(tiny_model(family), 2)[name]) for name, p in late.items())
    assert {p.dtype for p in late.values()} == {torch.float32}
    same = cache_prefix(whole, SEQUENCES, tmp_path / "caches", batch_size=BATCH, precision=precision, notify=silent)
    assert same.reused
    assert all(map(torch.equal, descent(whole, precision), descent(adapt(streamed, recipe), precision)))
    assert cache.served - 1 == same.served == 2 * len(PICKS)


@every_text_family
def test_streaming_from_shards(family: str, tmp_path: Path) -> None:
    tiny_model(family).save_pretrained(tmp_path / "model", max_shard_size="20KB")
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 3
    assert_streamed_is_whole(tmp_path / "model", 5, "fp32", tmp_path / "caches")


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_streaming_with_head_tied_or_not(family: str, tied: bool, tmp_path: Path) -> None:
    saved = save_tiny(tmp_path / "model", family, tie_word_embeddings=tied)
    assert_streamed_is_whole(saved, 2, "fp32", tmp_path / "caches")


def test_streaming_finds_what_a_whole_model_filled(tmp_path: Path) -> None:
    saved = save_tiny(tmp_path / "model")
    whole = with_adapters(load_model(str(saved), device=CPU, dtype=torch.float32), 2)
    cache_prefix(whole, SEQUENCES, tmp_path / "caches", batch_size=BATCH, notify=silent)
    streamed, cache = stream(saved, 2, tmp_path / "caches")
    assert cache.reused
    assert all(map(torch.equal, descent(whole, "fp32"), descent(with_adapters(streamed, 2), "fp32")))


def test_streaming_never_holds_two_frozen_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever a block computes during the fill, no other block is in memory."""
    import hyperfit.prefix.plan as module

    real, most = module.hidden_at, []

    def counting(model: PreTrainedModel, block: int, ids: Tensor) -> Tensor:
        here = [not any(p.is_meta for p in each.parameters()) for each in blocks_of(model)]
        most.append(sum(here))
        return real(model, block, ids)

    monkeypatch.setattr(module, "hidden_at", counting)
    stream(save_tiny(tmp_path / "model"), 2, tmp_path / "caches")
    assert set(most) == {1}
    assert len(most) >= (BLOCKS - 2) * -(-COUNT // BATCH)


def test_a_streamed_model_says_that_it_cannot_read_other_texts(tmp_path: Path) -> None:
    model, _ = stream(save_tiny(tmp_path / "model"), 2, tmp_path / "caches")
    with pytest.raises(UserError, match="--streaming: the frozen blocks are not in memory"):
        model(input_ids=random_ids(2, LENGTH, seed=99), use_cache=False)


def test_streaming_refuses_weights_of_other_names(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from hyperfit.prefix.disk.shards import Shards

    saved = save_tiny(tmp_path / "model")
    weights = load_file(saved / "model.safetensors")
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"--streaming: model.layers.0.mlp.up_proj.weight is not in the safetensors"):
        Shards(str(saved), tiny_model())


# --- the loss in pieces ---


@every_family
def test_the_loss_in_pieces_is_the_loss(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven positions at a time; a trained head, tied where the family ties it; filled-up batches."""
    ids = random_ids(4, LENGTH, seed=5)
    for count, precision in ((None, "fp32"), (3, "fp32"), (1, "fp32"), (3, "bf16")):
        one, two = (tiny_model(family).requires_grad_(True) for _ in range(2))
        monkeypatch.setattr(hyperfit.training.loss, "positions_at_once", lambda *given, learns: 7)
        with autocast(CPU, precision):
            logits = one(input_ids=ids, use_cache=False).logits[:count, :-1].float()
        expected = F.cross_entropy(logits.flatten(0, 1), ids[:count, 1:].flatten(), reduction="sum")
        found, part = SequenceLoss(two, lambda precision=precision: autocast(CPU, precision))(ids, count, 0.125)
        (expected * 0.25).backward()
        (part * 2).backward()
        assert part.item() == found.item() * 0.125
        assert found.dtype == torch.float32
        near = 1e-5 if precision == "fp32" else 2e-2
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)
        for (name, parameter), other in zip(one.named_parameters(), two.parameters(), strict=True):
            assert parameter.grad is not None, name
            assert other.grad is not None, name
            scale = float(parameter.grad.abs().max())
            assert scale > 0 or "k_proj.bias" in name, name
            torch.testing.assert_close(other.grad, parameter.grad, rtol=near, atol=near * scale + 1e-6, msg=name)


def test_the_loss_never_makes_more_logits_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("gemma2")
    layout_of(model)  # found by a pass of its own
    sizes: list[int] = []
    head = model.get_output_embeddings()
    head.register_forward_hook(lambda module, given, logits: sizes.append(logits.numel()))
    monkeypatch.setattr(hyperfit.training.loss, "positions_at_once", lambda *given, learns: 5)
    SequenceLoss(model, lambda: autocast(CPU, "fp32"))(random_ids(4, LENGTH))
    assert max(sizes) <= 5 * model.config.vocab_size
    assert sum(sizes) == 4 * (LENGTH - 1) * model.config.vocab_size


def test_the_loss_of_no_sequence_is_nothing() -> None:
    """A process without rows of its own takes part with weight zero."""
    model = tiny_model()
    loss, part = SequenceLoss(model, lambda: autocast(CPU, "fp32"))(random_ids(2, LENGTH), 0)
    part.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_gradients_can_be_taken_once() -> None:
    """They are scaled where they lie: a second time would scale them again, and fails."""
    _, part = SequenceLoss(tiny_model(), lambda: autocast(CPU, "fp32"))(random_ids(2, LENGTH))
    (part * 2).backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        part.backward()


def test_the_loss_without_gradients() -> None:
    model, ids = tiny_model(), random_ids(2, LENGTH)
    loss = SequenceLoss(model, lambda: autocast(CPU, "fp32"))
    with torch.no_grad():
        quiet, part = loss(ids)
    assert not part.requires_grad
    assert torch.equal(quiet, loss(ids)[0])


@pytest.mark.parametrize(("family", "scale"), [("granite", {"logits_scaling": 7.0}), ("cohere", {"logit_scale": 0.3})])
def test_scaled_logits_are_streamed_as_they_are(family: str, scale: dict[str, float], tmp_path: Path) -> None:
    saved = save_tiny(tmp_path / "model", family, tie_word_embeddings=False, **{**GROUPED, **scale})
    assert_streamed_is_whole(saved, 2, "fp32", tmp_path)


def test_an_embedding_read_above_the_cut_is_not_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Zamba, which hands a copy of it to later blocks: here the last block adds it."""
    from transformers import LlamaModel

    def adding(self: Any, input_ids: Tensor | None = None, **given: Any) -> Any:
        copy = self.embed_tokens(input_ids).clone()
        hook = self.layers[-1].register_forward_hook(lambda module, args, output: output + copy)
        try:
            return forward(self, input_ids=input_ids, **given)
        finally:
            hook.remove()

    forward = LlamaModel.forward
    saved = save_tiny(tmp_path / "model", tie_word_embeddings=False)
    monkeypatch.setattr(LlamaModel, "forward", adding)
    with pytest.raises(UserError, match="--streaming: llama feeds token embeddings into later blocks, too"):
        stream(saved, 2, tmp_path / "caches")


def test_a_model_that_sees_what_comes_after_is_not_streamed(tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=257, max_position_embeddings=64, initializer_range=0.3, **sizes)
    BertLMHeadModel(config).save_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match="bert: a token changes what is expected before it"):
        stream(tmp_path / "model", 2, tmp_path / "caches")
