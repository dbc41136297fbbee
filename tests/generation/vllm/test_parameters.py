"""Decodings as vLLM does them: the same tokens stay, with the same probabilities."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hyperfit.generation.decodings import DECODINGS, Decoding, parse_decoding
from hyperfit.generation.processors.rules import warpers
from hyperfit.generation.vllm.parameters import BY_VLLM, vllm_parameters

NOT_THE_SAME = {"typical", "eta", "contrastive", "beam", "no-repeat-ngram"}


def distribution(logits: Tensor, *, temperature: float, min_p: float = 0, top_k: int = 0, top_p: float = 1) -> Tensor:
    """float[rows, vocabulary] by vLLM's sampler (vllm/v1/sample/sampler.py): temperature, min-p, top-k, top-p."""
    logits = logits / temperature
    p = logits.softmax(-1)
    logits = logits.masked_fill(p < min_p * p.amax(-1, keepdim=True), -torch.inf)
    if 0 < top_k < logits.shape[-1]:
        least = logits.sort(-1).values[:, -top_k, None]
        logits = logits.masked_fill(logits < least, -torch.inf)
    rising, places = logits.sort(-1)
    outside = rising.softmax(-1).cumsum(-1) <= 1 - top_p
    outside[:, -1] = False
    return torch.empty_like(logits).scatter_(-1, places, rising.masked_fill(outside, -torch.inf)).softmax(-1)


@given(
    st.sampled_from(["nucleus", "top-k", "min-p"]),
    st.floats(0.01, 2).map(lambda value: round(value, 3)),
    st.integers(1, 30),
    st.floats(0.01, 1).map(lambda value: round(value, 3)),
    st.integers(0, 9),
)
def test_the_same_distribution(name: str, temperature: float, top_k: int, share: float, seed: int) -> None:
    chosen = {"temperature": temperature, "top_k": top_k, "top_p": share, "min_p": share}
    decoding = Decoding(name, tuple((key, value) for key, value in chosen.items() if key in DECODINGS[name]))
    logits = torch.randn(8, 40, generator=torch.Generator().manual_seed(seed)) * 3
    ours = logits
    for warper in warpers(decoding, torch.device("cpu")):
        ours = warper(torch.zeros(8, 1, dtype=torch.int64), ours)
    parameters = vllm_parameters(decoding)
    assert parameters is not None
    torch.testing.assert_close(ours.softmax(-1), distribution(logits, **parameters))


def test_each_decoding_is_taken_or_not() -> None:
    assert {*BY_VLLM, *NOT_THE_SAME} == DECODINGS.keys()
    assert {name for name in DECODINGS if vllm_parameters(Decoding(name)) is None} == NOT_THE_SAME
    assert vllm_parameters(Decoding("greedy")) == {"temperature": 0}
    penalty = vllm_parameters(parse_decoding("repetition-penalty:repetition_penalty=1.3"))
    assert penalty == {"temperature": 0, "repetition_penalty": 1.3}


def test_what_vllm_has_no_range_for() -> None:
    for text in ("nucleus:temperature=2.1", "nucleus:top_p=0", "min-p:temperature=3", "top-k:temperature=100"):
        assert vllm_parameters(parse_decoding(text)) is None
    assert vllm_parameters(parse_decoding("top-k:temperature=2")) == {"temperature": 2, "top_k": 40}
