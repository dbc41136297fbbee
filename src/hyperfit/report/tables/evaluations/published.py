"""Cells of the two papers' tables, to stand beside ours."""

from dataclasses import dataclass

from hyperfit.metrics.copying.memorisation import PAPER_LONG_SHARE, PAPER_OVERLAP

CARLSSON = "Carlsson et al. 2025"
LI = "Li et al. 2026"


@dataclass(frozen=True)
class Published:
    """Numbers that a paper gives for a model under one of our conditions."""

    row: str
    """The condition or model that it is to be held against."""
    source: str
    """Paper, model, and what else the numbers depend on."""
    cells: dict[str, tuple[float, float]]
    """Measure → the number in our units, twice; or the ends of the range that is given for several models."""


def one(**cells: float) -> dict[str, tuple[float, float]]:
    """Cells with one number each."""
    return {name: (value, value) for name, value in cells.items()}


P2_BASE = one(ttr=0.400, bigram_repetition=0.592, trigram_repetition=0.536, top1_agreement_with_base=1, entropy=2.083)
P2_FULL = one(
    ttr=0.684, bigram_repetition=0.140, trigram_repetition=0.069, top1_agreement_with_base=0.570, entropy=0.862
)
P2_LATE = one(ttr=0.469, bigram_repetition=0.345, top1_agreement_with_base=0.517)

PUBLISHED: dict[str, tuple[Published, ...]] = {
    "table1": (
        Published("base/greedy", f"{CARLSSON}, TinyLlama, read off fig. 2", one(ttr=0.245)),
        Published("base/greedy", f"{LI}, TinyLlama", P2_BASE),
        Published("base/greedy", f"{CARLSSON}, TinyLlama, 256 tokens", one(preference=0.049)),
        Published("base/greedy", f"{CARLSSON}, Llama 3.1 70B, 256 tokens", one(preference=0.344)),
        Published("base/nucleus", f"{CARLSSON}, TinyLlama", one(ttr=0.282)),
        Published("base/nucleus", f"{CARLSSON}, DeepSeek 7B, perhaps greedy", one(ttr=0.497)),
        Published("base/nucleus", f"{CARLSSON}, TinyLlama, 256 tokens", one(preference=0.211)),
        Published("base/nucleus", f"{CARLSSON}, DeepSeek 7B, 256 tokens", one(preference=0.356)),
        Published("base/nucleus", f"{CARLSSON}, Llama 3.1 8B, 256 tokens", one(preference=0.385)),
        Published("hyperfitted/greedy", f"{CARLSSON}, TinyLlama", one(ttr=0.600)),
        Published("hyperfitted/greedy", f"{CARLSSON}, DeepSeek 7B", one(ttr=0.605)),
        Published("hyperfitted/greedy", f"{CARLSSON}, TinyLlama, 256 tokens", one(preference=0.343)),
        Published("hyperfitted/greedy", f"{CARLSSON}, DeepSeek 7B, 256 tokens", one(preference=0.452)),
        Published("hyperfitted/greedy", f"{CARLSSON}, Llama 3.1 8B, 256 tokens", one(preference=0.429)),
        Published("hyperfitted/greedy", f"{CARLSSON}, Llama 3.1 70B, 256 tokens", one(preference=0.524)),
        Published("hyperfitted/greedy", f"{LI}, TinyLlama, all parameters", P2_FULL),
        Published("hyperfitted/greedy", f"{LI}, TinyLlama, Late-Stage LoRA", P2_LATE),
        Published("hyperfitted/greedy+blocked", f"{CARLSSON}, TinyLlama, 256 tokens", one(preference=0.350)),
        Published("hyperfitted/greedy+blocked", f"{CARLSSON}, DeepSeek 7B, 256 tokens", one(preference=0.441)),
        Published("hyperfitted/greedy+blocked", f"{CARLSSON}, Llama 3.1 8B, 256 tokens", one(preference=0.412)),
        Published("human", f"{CARLSSON}, read off fig. 2", one(ttr=0.735)),
    ),
    "table2": (
        Published("base/greedy", f"{CARLSSON}, table 2", one(longest_overlap=4.0)),
        Published(
            "hyperfitted/greedy",
            f"{CARLSSON}, table 2",
            {**one(longest_overlap=PAPER_OVERLAP), "long_overlap_share": (0.0, PAPER_LONG_SHARE)},
        ),
        Published("hyperfitted/greedy − base/greedy", f"{CARLSSON}, about", one(dataset_bleu=1.0, longest_overlap=1.8)),
    ),
    "placement": tuple(
        Published(row, f"{LI}, {model}", cells)
        for row, model, cells in (
            ("base", "TinyLlama", P2_BASE),
            ("base", "Qwen2.5-1.5B", one(ttr=0.315, bigram_repetition=0.662, top1_agreement_with_base=1)),
            ("late blocks", "TinyLlama", P2_LATE),
            ("late blocks", "Qwen2.5-1.5B", one(ttr=0.591, bigram_repetition=0.213, top1_agreement_with_base=0.459)),
            ("all blocks", "TinyLlama", one(ttr=0.508, bigram_repetition=0.331, top1_agreement_with_base=0.523)),
            ("all blocks", "Qwen2.5-1.5B", one(ttr=0.575, bigram_repetition=0.248, top1_agreement_with_base=0.469)),
            ("all parameters", "TinyLlama", P2_FULL),
        )
    ),
    "table3": (
        Published("base", f"{CARLSSON}, all models", {"entropy": (2.84, 3.48), "top1_mass": (0.48, 0.56)}),
        Published("base", f"{LI}, TinyLlama", P2_BASE),
        Published("hyperfitted", f"{CARLSSON}, all models", {"entropy": (1.32, 1.46), "top1_mass": (0.74, 0.74)}),
        Published("hyperfitted", f"{LI}, TinyLlama, all parameters", P2_FULL),
    ),
}
"""Table → what the papers have in it, as notes on them quote it; "table 2" stands where no model is named."""
