"""Figures of Li et al. (2026) for TinyLlama-1.1B and Qwen2.5-1.5B, and where ours stand in mechanism.json.

The paper is known here through notes on it, not read in full: what its authors computed, where it was not said, is
taken to be what the studies' docstrings name.
"""

from typing import Any

from hyperfit.mechanism.settings import Study
from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import UNDEFINED, Style, style_of

SOURCE = (
    "Li, Ding, Garces Arias and Heumann (2026), Beyond Temperature: Hyperfitting as a Late-Stage Geometric Expansion, "
    "arXiv 2605.22579; figures as given in notes on the paper. – is a figure not known here."
)

Row = tuple[str, str, str, tuple[str, ...]]
"""Measure, TinyLlama, Qwen2.5 (both as the paper writes them, shares in percent), path of ours below the study."""

ROWS: dict[Study, tuple[Row, ...]] = {
    "temperature": (
        ("T*", ".59", "–", ("one", "temperature")),
        ("entropy, base", "2.083", "–", ("base_entropy",)),
        ("entropy, base at T*", ".875", "–", ("one", "entropy")),
        ("entropy, hyperfitted", ".862", "–", ("tuned_entropy",)),
        ("top-1 agreement with the base, %", "57.0", "–", ("agreement",)),
        ("TTR, base", ".400", ".315", ("diversity", "base/greedy", "ttr")),
        ("TTR, base at T*", ".397", "–", ("diversity", "base/greedy at T*", "ttr")),
        ("TTR, hyperfitted (paper: all parameters)", ".684", "–", ("diversity", "hyperfitted/greedy", "ttr")),
        *(
            (f"words that are words, {name}, %", "–", "–", ("diversity", condition, "word_share"))
            for name, condition in (
                ("base", "base/greedy"),
                ("base at T*", "base/greedy at T*"),
                ("hyperfitted", "hyperfitted/greedy"),
            )
        ),
        ("bigram repetition, base", ".592", ".662", ("diversity", "base/greedy", "bigram_repetition")),
        ("bigram repetition, base at T*", ".604", "–", ("diversity", "base/greedy at T*", "bigram_repetition")),
        ("bigram repetition, hyperfitted", ".140", "–", ("diversity", "hyperfitted/greedy", "bigram_repetition")),
        ("trigram repetition, base", ".536", "–", ("diversity", "base/greedy", "trigram_repetition")),
        ("trigram repetition, hyperfitted", ".069", "–", ("diversity", "hyperfitted/greedy", "trigram_repetition")),
    ),
    "bias": (
        ("Spearman's ρ of α: paper with quality, here with TTR", "−.94", "–", ("curves", "promoted 500", "spearman")),
        ("TTR at α = .01", ".409", "–", ("curves", "promoted 500", "diversity", "0.01", "ttr")),
        ("TTR at α = .5", ".215", "–", ("curves", "promoted 500", "diversity", "0.5", "ttr")),
        *(
            (
                f"words that are words at α = {name}, %",
                "–",
                "–",
                ("curves", "promoted 500", "diversity", alpha, "word_share"),
            )
            for name, alpha in ((".01", "0.01"), (".5", "0.5"))
        ),
        (
            "bigram repetition at α = .01",
            ".609",
            "–",
            ("curves", "promoted 500", "diversity", "0.01", "bigram_repetition"),
        ),
        (
            "bigram repetition at α = .5",
            ".706",
            "–",
            ("curves", "promoted 500", "diversity", "0.5", "bigram_repetition"),
        ),
    ),
    "ranks": (
        ("choices that override the base's first, %", "39.1", "–", ("free_running", "override")),
        ("choices from below rank 10, %", "12.9", "–", ("free_running", "deep", "10")),
        ("choices from below rank 200, %", "some", "–", ("free_running", "deep", "200")),
    ),
    "geometry": (
        ("ΔDim, last layer: here before the norm", "+80.8", "–", ("all", "last", "delta_dim")),
        ("ΔDim, after the norm", "+80.8", "–", ("all", "norm", "delta_dim")),
        ("ΔDim, before the norm, behind the context", "+80.8", "–", ("behind_context", "last", "delta_dim")),
        ("L2 before the last block", "22.0", "–", ("all", "before", "l2")),
        ("L2 after the last block, before the norm", "81.6", "–", ("all", "last", "l2")),
        ("L2 after the norm", "81.6", "–", ("all", "norm", "l2")),
        ("cosine before the last block", "over .86 in the first 10", "–", ("all", "before", "cosine")),
        ("cosine after the last block, before the norm", "–", "–", ("all", "last", "cosine")),
    ),
}

WARNINGS: dict[Study, str] = {
    "temperature": (
        "A temperature never changes which token is likeliest. That the paper has a top-1 agreement of .997 and a TTR "
        "of .397 against .400 at T* can only come from ties in half precision or from sampling; here the texts are "
        "compared token by token, and sampled texts stand beside them."
    ),
    "geometry": (
        "transformers gives the last hidden state after the final norm, and the paper's last layer may be that: so "
        "both are shown, and hollow marks lie after the norm. The participation ratio is at most the number of "
        "tokens and too low for few: the count is told, states are centred, all texts have one length, and "
        "mechanism.json holds values corrected for the count. The first tokens of a text have states of another "
        "length, which can decide even the sign of ΔDim: so it is taken with them and without."
    ),
    "intervention": "The paper shows no intervention.",
    "placement": (
        "One seed for each trial, and one learning rate for all adapters: intervals are over texts, and say nothing of "
        "another order of the data. At equal parameters the rank is divided among the blocks, where that is "
        "possible within the model's width and to 5 %; all parameters cannot be as few. At equal time a training has "
        "the epochs that fit into the seconds of the late blocks', one at least, fewer if it comes to its goal "
        "before, so that it depends on the machine. The paper counts 78.3 % fewer trained parameters for adapters in "
        "the last 5 of 22 blocks, which is 1 − 5/23 and takes the embedding for a layer; by adapters it is 77.3 %. Its "
        "rank and learning rates are not known here. A higher ratio is not a better text: words that are none raise it "
        "too, and so do recited training texts; the share of words, the runs of training data and the perplexity stand "
        "beside it, and hyperfit generate writes with every training in placement/."
    ),
}


def comparison(study: Study, found: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """(measure, TinyLlama, Qwen2.5, this pair, its interval) of each figure that the paper gives for a study."""
    rows = []
    if study == "geometry":
        found = {name: _ends(found[name]) for name in ("all", "behind_context")}
    for name, tinyllama, qwen, path in ROWS.get(study, ()):
        ours: Any = found
        for step in path:
            ours = ours.get(step) if isinstance(ours, dict) else None
        style, sign = style_along(path), "+" if path[-1] == "delta_dim" else "-"
        if isinstance(ours, dict):
            known = Estimate.from_dict(ours)
            rows.append((name, tinyllama, qwen, style(known.value, sign), style.interval(known, sign)))
        else:
            rows.append((name, tinyllama, qwen, UNDEFINED if ours is None else style(float(ours)), ""))
    return rows


def _ends(found: dict[str, Any]) -> dict[str, Any]:
    """The layers that the paper speaks of: before and after the last block, and after the norm."""
    layers = {layer["point"]: layer for layer in found["layers"]}
    inside = [layer for point, layer in layers.items() if point != "norm"]
    return {"before": inside[-2], "last": inside[-1], "norm": layers.get("norm", {})}


def style_along(path: tuple[str, ...]) -> Style:
    """How the number at a path of ROWS is written: as the measure there, or the measure that holds it, is."""
    if path[-1] in ("base_entropy", "tuned_entropy"):
        return style_of("entropy")
    return style_of(path[-2] if path[-2:-1] == ("deep",) else path[-1])
