"""What mechanism.json holds, small and by hand, for the tests of its page."""

from typing import Any

Found = dict[str, Any]

MEASURES = "cosine l2 relative_l2 dim_base dim_tuned delta_dim".split()
POINTS = ["embedding", *(f"block {block}" for block in range(4))]


def about(value: float, half: float = 0.02, n: int = 24) -> Found:
    """An estimate with an interval of so much to each side."""
    return {"value": value, "low": value - half, "high": value + half, "n": n}


def undefined() -> Found:
    """An estimate of nothing."""
    return {"value": None, "low": None, "high": None, "n": 0}


def temperature() -> Found:
    known = {
        "base/greedy": 0.4, "base/greedy at T*": 0.4, "base/greedy, T for each": 0.4, "base/sampling": 0.6,
        "hyperfitted/greedy": 0.7, "hyperfitted/sampling": 0.71, "human": 0.75,
    }  # fmt: skip
    measures = ("bigram_repetition", "trigram_repetition", "word_share")
    return {
        "one": {"temperature": 0.59, "matched": True, "entropy": 0.86, "target": 0.86, "n": 2304},
        "base_entropy": about(2.08),
        "tuned_entropy": about(0.86),
        "agreement": about(0.57),
        "divergence": {"1": about(2.0), "one": about(1.5), "each": about(1.2)},
        "identical": True,
        "diversity": {name: {"ttr": about(ttr), **dict.fromkeys(measures, about(0.3))} for name, ttr in known.items()},
        "curve": {"0.2": 0.1, "0.6": 0.9, "1.0": 2.08, "1.3": 3.0},
        "sentence": "At temperature 0.59 the mean entropy is 0.86 nats.",
    }


def bias() -> Found:
    def curve(*ratios: float) -> Found:
        diversity = {
            alpha: {"ttr": about(ratio), "word_share": about(0.9), "bigram_repetition": about(0.6)}
            for alpha, ratio in zip(("0.0", "0.5", "1.0"), ratios, strict=True)
        }
        return {"diversity": diversity, "spearman": about(-0.5)}

    return {
        "curves": {
            "promoted 50": curve(0.4, 0.42, 0.3),
            "promoted 500": curve(0.4, 0.5, 0.2),
            "random 500": curve(0.4, 0.38, 0.37),
            "all": curve(0.4, 0.41, 0.45),
        },
        "hyperfitted": {"ttr": about(0.7)},
        "promoted": [" the", "\n", " he"],
        "sentence": "Greedy TTR of the base model: 0.400 without a bias, 0.700 hyperfitted.",
    }


def ranks() -> Found:
    def side() -> Found:
        return {
            "override": about(0.39),
            "deep": {"10": about(0.13), "100": about(0.05), "200": about(0.03)},
            "bins": [1, 2, 4, 8],
            "histogram": [about(0.6), about(0.2), about(0.1), about(0.1)],
            "stretches": [about(0.3), about(0.4), about(0.5)],
            "classes": {"noun": {"base": about(0.2), "tuned": about(0.3), "overridden": undefined()}},
            "rising": [{"text": " she", "base": 3, "tuned": 30}],
            "falling": [{"text": " the", "base": 30, "tuned": 3}],
            "examples": [{"rank": 4321, "before": "once upon a", "chosen": " barge", "displaced": " time"}],
        }

    return {"free_running": side(), "teacher_forced": side(), "sentence": "In its own greedy texts 39.1% override."}


def geometry() -> Found:
    def part() -> Found:
        layers = [
            {"point": point, **{name: about(0.9 - 0.1 * place) for name in MEASURES}, "delta_dim": about(place * 2.0)}
            for place, point in enumerate([*POINTS, "norm"])
        ]
        return {"layers": layers, "sentence": "The sides first differ at block 2."}

    return {"all": part(), "behind_context": part(), "sentence": "Over all positions: 24 texts, 3,000 tokens."}


def lens() -> Found:
    names = ("settled_base", "settled_tuned", "entropy_base", "entropy_tuned", "divergence")
    said = {
        "tokens": [[" a", "\n", "b"] for _ in POINTS],
        "probability": [[0.04, 0.5, 1.0] for _ in POINTS],
    }
    return {
        "points": POINTS,
        "summary": {"parts": about(3.5, 0.2)},
        "by_point": {name: [about(0.2 * place, 0.01) for place in range(len(POINTS))] for name in names},
        "pictures": [
            {"before": "once upon", "written": [" a", "\n", "b"], "points": POINTS, "base": said, "tuned": said}
        ],
        "sentence": "Over 24 texts the final choice settles after 3.1 of 4 blocks.",
    }


def intervention() -> Found:
    def point(curve: str, amount: float, ttr: float) -> Found:
        return {"curve": curve, "amount": amount, "ttr": about(ttr), "surviving": (ttr - 0.4) / 0.3}

    return {
        "base": {"ttr": about(0.4)},
        "tuned": {"ttr": about(0.7)},
        "gain": about(0.3),
        "points": [
            *(point("graft", blocks, ttr) for blocks, ttr in enumerate((0.4, 0.5, 0.65, 0.69, 0.7))),
            *(point("restore", blocks, ttr) for blocks, ttr in enumerate((0.7, 0.6, 0.5, 0.4, 0.4))),
            *(point("scale", scale, 0.4 + 0.3 * scale) for scale in (0.0, 0.5, 1.0)),
            *(
                point(kind, rank, 0.5)
                for kind in ("keep", "remove", "random", "random-variance")
                for rank in (4, 16, 64)
            ),
            *(point(kind, amount, 0.6) for kind in ("undo", "turned") for amount in (0.5, 1.0)),
        ],
        "sentence": "The last 2 of 4 blocks, put on the base model, carry 83% of the gain.",
    }


def encouragement(epochs: tuple[int, ...] = (0, 4, 9)) -> Found:
    def epoch(age: int) -> Found:
        tops = ("1", "5", "10")
        return {
            "log_rank": about(2 + 0.1 * age),
            **{name: {k: about(0.1 * place, 0.01) for place, k in enumerate(tops, 3)} for name in ("within", "mass")},
            "entropy": {k: about(0.5 * place) for place, k in enumerate(tops)},
        }

    return {
        "epochs": {str(age): epoch(age) for age in epochs},
        "log_rank_change": about(0.9),
        "leads_change": about(-0.05),
        "sentence": "On held-out text (24 texts) human tokens go further down.",
    }


def placement() -> Found:
    names = "ttr word_share bigram_repetition trigram_repetition longest_overlap long_overlap_share entropy perplexity"
    everything = [*names.split(), "top1_agreement_with_base"]

    def trial(place: str, equal: str, blocks: list[int], ttr: float, rank: int | None = 8) -> Found:
        return {
            "name": f"{place}-{len(blocks)}-{equal}", "place": place, "equal": equal, "blocks": blocks, "rank": rank,
            "parameters": 1000 * len(blocks), "epochs": 9, "reason": "loss", "train_loss": 0.04, "seconds": 12.5,
            "measures": {**dict.fromkeys(everything, about(0.5)), "ttr": about(ttr)},
            "ttr_difference": about(ttr - 0.7),
        }  # fmt: skip

    return {
        "depth": 4,
        "late": 2,
        "goal": 0.05,
        "base": {**dict.fromkeys(everything, about(0.5)), "ttr": about(0.4)},
        "human": {**dict.fromkeys(everything, about(0.5)), "ttr": about(0.75)},
        "trials": [
            trial("last", "rank", [2, 3], 0.7),
            trial("last", "rank", [3], 0.6),
            trial("last", "rank", [0, 1, 2, 3], 0.69),
            trial("last", "time", [3], 0.58),
            trial("last", "parameters", [3], 0.61),
            trial("first", "rank", [0, 1], 0.55),
            trial("middle", "rank", [1, 2], 0.56),
            trial("late-full", "rank", [2, 3], 0.66, None),
            trial("full", "rank", [0, 1, 2, 3], 0.68, None),
        ],
        "sentence": "Adapters in the last 2 of 4 blocks: 0.700.",
    }


def mechanism() -> Found:
    """Everything that the file holds, of every study."""
    studies = {
        one.__name__: {
            **one(),
            "made_on": {"n": 24, "context": 32, "total": 128},
            "made_with": dict.fromkeys(SETTINGS, 1),
        }
        for one in (temperature, bias, ranks, geometry, lens, intervention, encouragement, placement)
    }
    return {
        "models": {"base": "models/llama", "tuned": "runs/mine", "blocks": 4, "shared_blocks": 0},
        "settings": {"device": "cpu", "precision": "fp32", "attention": "sdpa"},
        "studies": studies,
    }


SETTINGS = (
    "context total batch_size seed alphas promoted pictures intervention_contexts scales removed scorer epochs depths "
    "adapter_lr full_lr"
).split()
