"""What each number of an evaluation is called, how it is written, and what it means."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from hyperfit.metrics.copying.memorisation import LONG_OVERLAP
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.metrics.text.lexical import HDD_DRAWS, MATTR_WINDOW, MTLD_THRESHOLD
from hyperfit.metrics.text.loops import LEAST_ROUNDS, LEAST_TOKENS

Show = Callable[[float], str]


def ratio(value: float, sign: str = "-") -> str:
    """.645: a number of at most 1, three digits, no leading zero; ``sign`` "+" also marks positive ones."""
    return "–" if math.isnan(value) else f"{value:{sign}.3f}".replace("0.", ".", 1).replace("-", "−")


def number(digits: int, factor: float = 1) -> Show:
    """A number with a fixed count of decimals, after multiplication by ``factor``."""
    return lambda value: "–" if math.isnan(value) else f"{factor * value:,.{digits}f}".replace("-", "−")


def signed(show: Show) -> Show:
    """The same with a sign in front of what is above 0."""
    return lambda value: ("+" if value > 0 else "") + show(value)


def perplexity(value: float) -> str:
    """One decimal below 100, none from there on."""
    return number(1 if value < 100 else 0)(value)


@dataclass(frozen=True)
class Measure:
    """What a number is called in evaluation.json and in the tables, how it is written, and what it means."""

    key: str
    heading: str
    show: Show
    meaning: str
    """One sentence with the range."""


PERCENT = number(1, 100)

PERPLEXITY = Measure(
    "perplexity", "perplexity", perplexity, "exp of the model's mean loss on the human continuations; 1 or more."
)
TTR = Measure(
    "ttr",
    "TTR",
    ratio,
    f"Type–token ratio: different tokens / tokens in the last {TTR_WINDOW} of a continuation; above 0 to 1, where 1 "
    "means that no token comes twice. Undefined for shorter continuations.",
)
WORDS = Measure(
    "word_share",
    "words, %",
    PERCENT,
    "Share of a continuation's words that are words: of a lexicon of the language, the training data or the context; 0 "
    "to 100 %. Human text misses some for new names.",
)
DIVERSITY = (
    TTR,
    Measure(
        "bigram_repetition",
        "bigram repetition",
        ratio,
        "1 − different token pairs / token pairs of a continuation; 0, where none repeats, to below 1.",
    ),
    Measure("trigram_repetition", "trigram repetition", ratio, "The same of three tokens in a row; 0 to below 1."),
    Measure(
        "diversity",
        "diversity",
        ratio,
        "Product of the shares of different 2-, 3- and 4-grams of a continuation; above 0 to 1, where none repeats.",
    ),
    Measure(
        "self_bleu",
        "self-BLEU",
        number(1),
        "BLEU of each text with all others as references; 0 to 100, where all are equal. It grows with the number of "
        "texts.",
    ),
    Measure(
        "distinct_1", "distinct-1", ratio, "Different tokens / tokens of all texts together; above 0 to 1, as below."
    ),
    Measure("distinct_2", "distinct-2", ratio, "Different token pairs / token pairs of all texts together."),
    Measure("distinct_3", "distinct-3", ratio, "Different 3-grams / 3-grams of all texts together."),
    Measure(
        "compression",
        "compression",
        number(2),
        "Bytes of all texts together / bytes compressed by gzip; higher where they repeat themselves or each other.",
    ),
)
LEXICAL = (
    Measure(
        "mattr",
        "MATTR",
        ratio,
        f"Mean type–token ratio of all windows of {MATTR_WINDOW} tokens; above 0 to 1.",
    ),
    Measure(
        "mtld",
        "MTLD",
        number(1),
        f"Mean length in tokens of runs whose type–token ratio stays above {MTLD_THRESHOLD:g}; 2 or more. Undefined "
        "where no token repeats.",
    ),
    Measure("hdd", "HD-D", ratio, f"Expected type–token ratio of {HDD_DRAWS} tokens drawn at random; above 0 to 1."),
)
LOOPS = (
    Measure(
        "loop_share",
        "loops, %",
        PERCENT,
        f"Share of the texts that end in a loop: at least {LEAST_ROUNDS} rounds of the same tokens, {LEAST_TOKENS} "
        "tokens or more, to the very end; 0 to 100 %.",
    ),
    Measure(
        "loop_period", "tokens a round", number(1), "Of the texts that end in a loop: tokens of a round; 1 or more."
    ),
    Measure("loop_onset", "tokens before", number(1), "Of the same: tokens before the loop; 0 or more."),
)
MEMORISATION = (
    Measure(
        "dataset_bleu",
        "dataset BLEU",
        number(1),
        "BLEU of each text with all training sequences as references, mean, without penalty for a text shorter than "
        "these; 0, where nothing is shared, to 100 for a verbatim excerpt.",
    ),
    Measure(
        "longest_overlap",
        "overlap, mean",
        number(1),
        "Tokens of the longest run of a continuation that also stands in a training sequence; 0 to its length.",
    ),
    Measure("most_overlap", "max", number(0), "The longest such run in any of the texts; a maximum has no interval."),
    Measure(
        "long_overlap_share",
        f"over {LONG_OVERLAP}, %",
        PERCENT,
        f"Share of the texts whose overlap is longer than {LONG_OVERLAP} tokens; 0 to 100 %.",
    ),
    Measure(
        "corpus_dataset_bleu",
        "dataset BLEU as one corpus",
        number(1),
        "The same with the counts of all texts added up before the score is taken.",
    ),
    Measure(
        "novel_4grams", "new 4-grams, %", PERCENT, "Share of a text's 4-grams in no training sequence; 0 to 100 %."
    ),
    Measure("novel_8grams", "new 8-grams, %", PERCENT, "The same of 8 tokens in a row."),
    Measure(
        "blocked_steps", "blocked steps, %", PERCENT, "Share of the tokens at which blocking citations forbade one."
    ),
    Measure(
        "changed_choices",
        "changed choices, %",
        PERCENT,
        "Share of the tokens at which it forbade the likeliest one; 0 to 100 %. n counts tokens.",
    ),
)
LIKENESS = (
    Measure(
        "mauve",
        "MAUVE",
        ratio,
        "Likeness of the texts as a whole to the human ones; above 0 to 1. Round brackets hold the spread over seeds.",
    ),
    Measure(
        "coherence",
        "coherence",
        number(2),
        "Mean log-probability of a continuation's tokens given its context under a separate model, nats; at most 0.",
    ),
)
SHARPNESS = (
    Measure(
        "entropy",
        "entropy, nats",
        number(2),
        "Mean entropy of the predicted distributions; 0, where all mass is on one token, to log of the vocabulary.",
    ),
    Measure("top1_mass", "@1, %", PERCENT, "Probability of the likeliest token, mean over positions; 0 to 100 %."),
    Measure("top3_mass", "@3, %", PERCENT, "The same of the three likeliest tokens together."),
    Measure("top5_mass", "@5, %", PERCENT, "The same of the five likeliest tokens together."),
    PERPLEXITY,
)
AGREEMENT = (
    Measure(
        "top1_agreement_with_base",
        "top-1 agreement, %",
        PERCENT,
        "Share of positions at which the likeliest token is that of the base model; 0 to 100 %.",
    ),
    Measure(
        "calibration_error",
        "calibration error, %",
        PERCENT,
        "Mean distance between how sure the model is and how often it is right; 0 to 100 %.",
    ),
)
ALIKE = (
    Measure("top1_agreement", "top-1 agreement, %", PERCENT, "Share of positions with the same likeliest token."),
    Measure("top5_overlap", "top-5 overlap, %", PERCENT, "Share of the 5 likeliest tokens that both models have."),
    Measure("top10_overlap", "top-10 overlap, %", PERCENT, "The same of the 10 likeliest."),
    Measure("rank_correlation", "rank correlation", ratio, "Spearman's ρ over the likeliest tokens; −1 to 1."),
    Measure("kl", "KL, nats", number(2), "KL(base ‖ hyperfitted) of the predicted distributions; 0 or more."),
    Measure("reverse_kl", "reverse KL, nats", number(2), "The same the other way round."),
    Measure("js", "JS, nats", ratio, "Jensen–Shannon divergence of the two; 0 to .693."),
)
