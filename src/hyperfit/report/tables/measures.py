"""What each number of an evaluation is called, and what it means; hyperfit.numbers says how it is written."""

from dataclasses import dataclass

from hyperfit.metrics.copying.memorisation import LONG_OVERLAP
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.metrics.text.lexical import HDD_DRAWS, MATTR_WINDOW, MTLD_THRESHOLD
from hyperfit.metrics.text.loops import LEAST_ROUNDS, LEAST_TOKENS
from hyperfit.numbers import Style, style_of


@dataclass(frozen=True)
class Measure:
    """What a number is called in evaluation.json and in the tables, and what it means."""

    key: str
    heading: str
    meaning: str
    """One sentence with the range; "" where another column has it."""
    like: str = ""
    """Key of the measure as which it is written; "": its own."""

    @property
    def show(self) -> Style:
        """How it is written."""
        return style_of(self.like or self.key)


PERPLEXITY = Measure("perplexity", "perplexity", "exp of the model's mean loss on the human continuations; 1 or more.")
PERPLEXITY_RATIO = Measure(
    "perplexity_ratio",
    "perplexity, times",
    "Perplexity of the one model / that of the other on the same texts; above 0, and 1 where they are equal.",
)
PREFERENCE = Measure(
    "preference",
    "preferred or equal, %",
    "Share of people's judgements that prefer the continuation to the human one, or find both equally good; 0 to "
    "100 %. n counts judgements.",
)
TTR = Measure(
    "ttr",
    "TTR",
    f"Type–token ratio: different tokens / tokens in the last {TTR_WINDOW} of a continuation; above 0 to 1, where 1 "
    "means that no token comes twice. Undefined for shorter continuations.",
)
WORDS = Measure(
    "word_share",
    "words, %",
    "Share of a continuation's words that are words: of a lexicon of the language, the training data or the context; 0 "
    "to 100 %. Human text misses some for new names.",
)
DIVERSITY = (
    TTR,
    Measure(
        "bigram_repetition",
        "bigram repetition",
        "1 − different token pairs / token pairs of a continuation; 0, where none repeats, to below 1.",
    ),
    Measure("trigram_repetition", "trigram repetition", "The same of three tokens in a row; 0 to below 1."),
    Measure(
        "diversity",
        "diversity",
        "Product of the shares of different 2-, 3- and 4-grams of a continuation; above 0 to 1, where none repeats.",
    ),
    Measure(
        "self_bleu",
        "self-BLEU",
        "BLEU of each text with all others as references; 0 to 100, where all are equal. It grows with the number of "
        "texts.",
    ),
    Measure("distinct_1", "distinct-1", "Different tokens / tokens of all texts together; above 0 to 1, as below."),
    Measure("distinct_2", "distinct-2", "Different token pairs / token pairs of all texts together."),
    Measure("distinct_3", "distinct-3", "Different 3-grams / 3-grams of all texts together."),
    Measure(
        "compression",
        "compression",
        "Bytes of all texts together / bytes compressed by gzip; higher where they repeat themselves or each other.",
    ),
)
LEXICAL = (
    Measure(
        "mattr",
        "MATTR",
        f"Mean type–token ratio of all windows of {MATTR_WINDOW} tokens; above 0 to 1.",
    ),
    Measure(
        "mtld",
        "MTLD",
        f"Mean length in tokens of runs whose type–token ratio stays above {MTLD_THRESHOLD:g}; 2 or more. Undefined "
        "where no token repeats.",
    ),
    Measure("hdd", "HD-D", f"Expected type–token ratio of {HDD_DRAWS} tokens drawn at random; above 0 to 1."),
)
LOOPS = (
    Measure(
        "loop_share",
        "loops, %",
        f"Share of the texts that end in a loop: at least {LEAST_ROUNDS} rounds of the same tokens, {LEAST_TOKENS} "
        "tokens or more, to the very end; 0 to 100 %.",
    ),
    Measure("loop_period", "tokens a round", "Of the texts that end in a loop: tokens of a round; 1 or more."),
    Measure("loop_onset", "tokens before", "Of the same: tokens before the loop; 0 or more."),
)
MEMORISATION = (
    Measure(
        "dataset_bleu",
        "dataset BLEU",
        "BLEU of each text with all training sequences as references, mean, without penalty for a text shorter than "
        "these; 0, where nothing is shared, to 100 for a verbatim excerpt.",
    ),
    Measure(
        "longest_overlap",
        "overlap, mean",
        "Tokens of the longest run of a continuation that also stands in a training sequence; 0 to its length.",
    ),
    Measure("most_overlap", "max", "The longest such run in any of the texts; a maximum has no interval."),
    Measure(
        "long_overlap_share",
        f"over {LONG_OVERLAP}, %",
        f"Share of the texts whose overlap is longer than {LONG_OVERLAP} tokens; 0 to 100 %.",
    ),
    Measure(
        "corpus_dataset_bleu",
        "dataset BLEU as one corpus",
        "The same with the counts of all texts added up before the score is taken.",
    ),
    Measure("novel_4grams", "new 4-grams, %", "Share of a text's 4-grams in no training sequence; 0 to 100 %."),
    Measure("novel_8grams", "new 8-grams, %", "The same of 8 tokens in a row."),
    Measure("blocked_steps", "blocked steps, %", "Share of the tokens at which blocking citations forbade one."),
    Measure(
        "changed_choices",
        "changed choices, %",
        "Share of the tokens at which it forbade the likeliest one; 0 to 100 %. n counts tokens.",
    ),
)
LIKENESS = (
    Measure(
        "judge_preference",
        "judged by a model, %",
        "Share of a model's judgements that prefer the continuation to the human one, or find both equally good; 0 to "
        "100 %.",
    ),
    Measure(
        "mauve",
        "MAUVE",
        "Likeness of the texts as a whole to the human ones; above 0 to 1. Round brackets hold the spread over seeds.",
    ),
    Measure(
        "coherence",
        "coherence",
        "Mean log-probability of a continuation's tokens given its context under a separate model, nats; at most 0.",
    ),
)
SHARPNESS = (
    Measure(
        "entropy",
        "entropy, nats",
        "Mean entropy of the predicted distributions; 0, where all mass is on one token, to log of the vocabulary.",
    ),
    Measure("top1_mass", "@1, %", "Probability of the likeliest token, mean over positions; 0 to 100 %."),
    Measure("top3_mass", "@3, %", "The same of the three likeliest tokens together."),
    Measure("top5_mass", "@5, %", "The same of the five likeliest tokens together."),
    PERPLEXITY,
)
AGREEMENT = (
    Measure(
        "top1_agreement_with_base",
        "top-1 agreement, %",
        "Share of positions at which the likeliest token is that of the base model; 0 to 100 %.",
    ),
    Measure(
        "calibration_error",
        "calibration error, %",
        "Mean distance between how sure the model is and how often it is right; 0 to 100 %.",
    ),
)
ALIKE = (
    Measure("top1_agreement", "top-1 agreement, %", "Share of positions with the same likeliest token."),
    Measure("top5_overlap", "top-5 overlap, %", "Share of the 5 likeliest tokens that both models have."),
    Measure("top10_overlap", "top-10 overlap, %", "The same of the 10 likeliest."),
    Measure("rank_correlation", "rank correlation", "Spearman's ρ over the likeliest tokens; −1 to 1."),
    Measure("kl", "KL, nats", "KL(base ‖ hyperfitted) of the predicted distributions; 0 or more."),
    Measure("reverse_kl", "reverse KL, nats", "The same the other way round."),
    Measure("js", "JS, nats", "Jensen–Shannon divergence of the two; 0 to .693."),
)
TASKS = (
    Measure("task_base", "base, %", "Score of the base model, mean over examples; 0 to 100 %."),
    Measure("task_hyperfitted", "hyperfitted, %", "The same of the hyperfitted model."),
    Measure("task_change", "change, points", "Trained less base, over the same examples."),
    Measure(
        "task_chance",
        "guessing, %",
        "What guessing gives: a choice at random or, of labels, always the commonest; 0 where text is written.",
    ),
)
LOSSES = (
    Measure("loss_base", "base", "Loss of the base model: bits a byte, nats a word or an example."),
    Measure("loss_hyperfitted", "hyperfitted", "The same of the hyperfitted model."),
    Measure("loss_change", "change", "Hyperfitted less base, over the same examples."),
)
