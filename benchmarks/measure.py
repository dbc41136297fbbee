"""How long the measures of texts take, beside a plain way to the same values, and how that grows.

    python benchmarks/measure.py
    python benchmarks/measure.py -o RESULT.json

Texts are random, of tokens as frequent as words are (Zipf); a tenth of them copies 50 tokens from the training data
and a seventh ends in a loop. Exit status 1 if a fast way and its plain one differ.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine
from sacrebleu.metrics import BLEU
from scipy.stats import hypergeom  # type: ignore[attr-defined]

from hyperfit.metrics.copying.memorisation import copied_spans, longest_overlaps, novel_shares
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.text.bleu import bleu_counts
from hyperfit.metrics.text.by_text import TEXT_MEASURES
from hyperfit.metrics.text.diversity import ttr_curve
from hyperfit.metrics.text.lexical import HDD_DRAWS, MATTR_WINDOW, hdd, mattr
from hyperfit.metrics.text.loops import LEAST_ROUNDS, LEAST_TOKENS, Loop, ending_loop
from hyperfit.metrics.text.pooled import distinct_ngrams
from hyperfit.metrics.text.self_bleu import self_bleu

Texts = list[list[int]]


def main() -> None:
    """Measure, print, write; and judge whether fast and plain agree."""
    settings = parse()
    texts, training = data(settings.texts, settings.length, settings.sequences, settings.vocabulary)
    results: dict[str, Any] = {
        "machine": describe_machine(),
        "settings": {name: value for name, value in vars(settings).items() if name != "output"},
        "seconds": seconds_of_all(texts, training, settings.rounds),
        "beside_plain": beside_plain(texts, training, settings),
        "growth": growth(settings),
    }
    report(results)
    if settings.output:
        settings.output.parent.mkdir(parents=True, exist_ok=True)
        settings.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if not all(row["equal"] for row in results["beside_plain"].values()):
        sys.exit(1)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--length", type=int, default=224, help="tokens of a text")
    parser.add_argument("--sequences", type=int, default=2000, help="training sequences of 256 tokens")
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--rounds", type=int, default=3, help="of which the fastest counts")
    parser.add_argument("--plain-texts", type=int, default=100, help="texts that sacrebleu compares with each other")
    parser.add_argument("-o", "--output", type=Path, help="results as JSON")
    return parser.parse_args()


def data(texts: int, length: int, sequences: int, vocabulary: int) -> tuple[Texts, Texts]:
    """Texts and training sequences, the same each time."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, vocabulary + 1)
    drawn = rng.choice(vocabulary, size=(sequences + texts, max(length, 256)), p=share / share.sum())
    training, written = drawn[:sequences, :256], drawn[sequences:, :length]
    for number in range(0, texts, 10):
        written[number, :50] = training[number % sequences, 20:70]
    for number in range(0, texts, 7):
        written[number, length // 2 :] = np.resize(written[number, :9], length - length // 2)
    return written.tolist(), training.tolist()


def fastest(do: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """Seconds of the fastest of some rounds, and what came out."""
    best, value = math.inf, None
    for _ in range(rounds):
        start = time.perf_counter()
        value = do()
        best = min(best, time.perf_counter() - start)
    return best, value


def measured(measure: Callable[[Any], Any], texts: Texts) -> list[Any]:
    """A measure of each text."""
    return [measure(text) for text in texts]


def seconds_of_all(texts: Texts, training: Texts, rounds: int) -> dict[str, float]:
    """Seconds that each measure takes for all texts."""
    index = TrainingIndex(training)
    work: dict[str, Callable[[], Any]] = {
        **{name: partial(measured, f, texts) for name, f in TEXT_MEASURES.items()},
        "ttr_curve": lambda: [ttr_curve(text) for text in texts],
        "distinct_ngrams, n = 1 to 3": lambda: [distinct_ngrams(texts, n) for n in (1, 2, 3)],
        "self_bleu": lambda: self_bleu(texts),
        "dataset bleu": lambda: bleu_counts(texts, training).per_text(),
        "longest_overlaps": lambda: longest_overlaps(texts, index),
        "novel_shares, n = 1 to 10": lambda: novel_shares(texts, index),
        "copied_spans": lambda: [copied_spans(text, index) for text in texts],
    }
    seconds = {name: fastest(do, rounds)[0] for name, do in work.items()}
    return {**seconds, "all of these": sum(seconds.values()), "index": fastest(lambda: TrainingIndex(training), 2)[0]}


def beside_plain(texts: Texts, training: Texts, settings: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Fast and plain on the same data, as much of it as the plain way does in seconds."""
    some, few, less = texts[: settings.plain_texts], texts[:5], training[:50]
    pairs: dict[str, tuple[str, Callable[[], Any], Callable[[], Any]]] = {
        "self_bleu": (f"sacrebleu, {len(some)} texts", lambda: self_bleu(some), lambda: trusted_self_bleu(some)),
        "dataset bleu": (
            f"sacrebleu, {len(few)} texts, {len(training)} sequences",
            lambda: bleu_counts(few, training).per_text(),
            lambda: [trusted_bleu(text, training) for text in few],
        ),
        "longest_overlaps": (
            f"table of all pairs of tokens, {len(few)} texts, {len(less)} sequences, the index built too",
            lambda: longest_overlaps(few, less),
            lambda: [max(common_run(text, sequence) for sequence in less) for text in few],
        ),
        "mattr": ("a count of each window", lambda: list(map(mattr, texts)), lambda: list(map(plain_mattr, texts))),
        "hdd": ("scipy's hypergeom", lambda: list(map(hdd, texts)), lambda: list(map(plain_hdd, texts))),
        "ending_loop": (
            "every tail and period",
            lambda: list(map(ending_loop, texts)),
            lambda: list(map(plain_loop, texts)),
        ),
    }
    rows = {}
    for name, (against, fast, plain) in pairs.items():
        fast_seconds, value = fastest(fast, settings.rounds)
        plain_seconds, expected = fastest(plain, 1)
        rows[name] = {
            "against": against,
            "seconds": fast_seconds,
            "plain_seconds": plain_seconds,
            "times_faster": plain_seconds / fast_seconds,
            "equal": value == expected if name == "ending_loop" else bool(np.allclose(value, expected)),
        }
    return rows


def words(text: Sequence[int]) -> str:
    """Token ids as words."""
    return " ".join(map(str, text))


def trusted_bleu(text: Sequence[int], references: Sequence[Sequence[int]]) -> float:
    """Sacrebleu's score of one text."""
    trusted = BLEU(tokenize="none", effective_order=True)
    return float(trusted.sentence_score(words(text), list(map(words, references))).score)


def trusted_self_bleu(texts: Texts) -> list[float]:
    """Sacrebleu's score of each text against all others."""
    return [trusted_bleu(text, texts[:i] + texts[i + 1 :]) for i, text in enumerate(texts)]


def common_run(text: Sequence[int], sequence: Sequence[int]) -> int:
    """Longest common run of two texts, by the table of all pairs of their tokens."""
    longest, above = 0, [0] * (len(sequence) + 1)
    for token in text:
        above = [0, *(above[j] + 1 if token == other else 0 for j, other in enumerate(sequence))]
        longest = max(longest, *above)
    return longest


def plain_mattr(text: Sequence[int]) -> float:
    """MATTR by counting each window."""
    windows = [text[start : start + MATTR_WINDOW] for start in range(len(text) - MATTR_WINDOW + 1)]
    return sum(len(set(window)) for window in windows) / len(windows) / MATTR_WINDOW


def plain_hdd(text: Sequence[int]) -> float:
    """HD-D by scipy, all types at once."""
    times = [text.count(token) for token in set(text)]
    return float((1 - hypergeom.pmf(0, len(text), times, HDD_DRAWS)).sum()) / HDD_DRAWS


def plain_loop(text: Sequence[int]) -> Loop | None:
    """The ending loop by looking at every tail and period."""
    for onset in range(len(text)):
        tail = text[onset:]
        for period in range(1, len(tail) // LEAST_ROUNDS + 1):
            if len(tail) >= LEAST_TOKENS and tail[period:] == tail[:-period]:
                return Loop(onset, period)
    return None


def growth(settings: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Seconds as one size grows and the others stay, and the power of the size that they grow with."""
    sizes = {
        "texts": [75, 150, 300, 600, 1200],
        "sequences": [500, 1000, 2000, 4000, 8000],
        "vocabulary": [100, 1000, 8000, 32000, 128000],
    }
    usual = {"texts": settings.texts, "sequences": settings.sequences, "vocabulary": settings.vocabulary}
    rows: dict[str, dict[str, Any]] = {}
    for what, values in sizes.items():
        taken: dict[str, list[float]] = {}
        for value in values:
            texts, training = data(length=settings.length, **{**usual, what: value})
            for name, seconds in seconds_of_large(texts, training, settings.rounds).items():
                taken.setdefault(name, []).append(seconds)
        rows[what] = {
            "sizes": values,
            "seconds": taken,
            "power": {name: float(np.polyfit(np.log(values), np.log(times), 1)[0]) for name, times in taken.items()},
        }
    return rows


def seconds_of_large(texts: Texts, training: Texts, rounds: int) -> dict[str, float]:
    """Seconds of what looks at many texts together."""
    index_seconds, index = fastest(lambda: TrainingIndex(training), rounds)
    return {
        "self_bleu": fastest(lambda: self_bleu(texts), rounds)[0],
        "dataset bleu": fastest(lambda: bleu_counts(texts, training), rounds)[0],
        "index": index_seconds,
        "longest_overlaps": fastest(lambda: longest_overlaps(texts, index), rounds)[0],
    }


def report(results: dict[str, Any]) -> None:
    """Everything for the terminal."""
    for name, seconds in results["seconds"].items():
        print(f"{name:30}{seconds:9.4f} s")
    print()
    for name, row in results["beside_plain"].items():
        verdict = "equal" if row["equal"] else "DIFFERENT"
        print(f"{name:20}{row['times_faster']:9.1f} x faster, {verdict}: {row['seconds']:.4f} s", end="")
        print(f" against {row['plain_seconds']:.3f} s ({row['against']})")
    for what, row in results["growth"].items():
        print(f"\n{what:20}{''.join(f'{size:>9}' for size in row['sizes'])}    power")
        for name, seconds in row["seconds"].items():
            print(f"{name:20}{''.join(f'{second:9.3f}' for second in seconds)}{row['power'][name]:9.2f}")


if __name__ == "__main__":
    main()
