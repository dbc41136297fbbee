"""Seconds to continue 300 contexts: ``continue_contexts`` beside a plain loop around ``model.generate``.

    python benchmarks/decode.py
    python benchmarks/decode.py -o benchmarks/results/decode.json

The contexts are windows of the embedded texts (fiction, news, wiki) cut to 16 to 64 tokens; the model is the embedded
one in fp32 unless named. The plain loop takes 32 contexts at a time in the given order, padded on the left, with
transformers' own cache. Both are timed in turn, round for round, and must write the same texts but for rounding.
Then, on fewer contexts: what each decoding costs beside greedy, what it costs to take one context at a time
(--batch-invariant), and how many bf16 texts differ between batches and one at a time.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import describe_machine
from transformers import GenerationConfig

from hyperfit.data.reading.sources import read_documents
from hyperfit.generation.continuations import continue_contexts, left_pad
from hyperfit.generation.decodings import DECODINGS
from hyperfit.models.devices import pick_device
from hyperfit.models.loading import load_model, load_tokenizer

SOURCES = ("builtin:fiction", "builtin:news", "builtin:wiki")
SHORTEST, LONGEST = 16, 64
PLAIN_BATCH = 32


def main() -> None:
    """Time, print, save."""
    settings = parse()
    device = pick_device(settings.device)
    tokenizer: Any = load_tokenizer(settings.model)
    model = load_model(settings.model, device=device, dtype=torch.float32)
    contexts = mixed_contexts(tokenizer, settings.contexts)
    few = contexts[: settings.few]

    def ours(chosen: list[list[int]], **how: Any) -> list[list[int]]:
        return continue_contexts(model, tokenizer, chosen, new_tokens=settings.new_tokens, **how)

    ours(few[:2])  # the first call pays for what later ones find ready
    seconds: dict[str, list[float]] = {"model.generate": [], "continue_contexts": []}
    for number in range(settings.rounds):
        plain, taken = timed(lambda: plain_loop(model, tokenizer, contexts, settings.new_tokens))
        seconds["model.generate"].append(taken)
        written, taken = timed(lambda: ours(contexts))
        seconds["continue_contexts"].append(taken)
        print(f"round {number + 1}: " + ", ".join(f"{name} {all_[-1]:.1f} s" for name, all_ in seconds.items()))
    same = sum(one == other for one, other in zip(plain, written, strict=True))

    costs = {name: min(timed(lambda: ours(few, decoding=name))[1] for _ in range(2)) for name in DECODINGS}  # noqa: B023
    alone = few[: max(1, settings.few // 3)]
    one_by_one, taken = timed(lambda: ours(alone, batch_invariant=True))
    per_text = statistics.median(seconds["continue_contexts"]) / len(contexts)
    module: torch.nn.Module = model
    module.to(torch.bfloat16)
    in_batch, by_one = ours(few), ours(few, batch_invariant=True)
    report(
        settings,
        {
            "seconds": seconds,
            "times_as_fast": statistics.median(seconds["model.generate"])
            / statistics.median(seconds["continue_contexts"]),
            "same_texts": same,
            "decodings": {
                "contexts": len(few),
                "greedy_seconds": costs["greedy"],
                "times_greedy": {name: cost / costs["greedy"] for name, cost in costs.items()},
            },
            "batch_invariant": {
                "contexts": len(alone),
                "seconds_a_text": taken / len(alone),
                "times_as_slow": taken / len(alone) / per_text,
                "fp32_texts_that_differ_from_a_batch": sum(
                    one != other for one, other in zip(one_by_one, written, strict=False)
                ),
                "bf16_contexts": len(few),
                "bf16_texts_that_differ_from_a_batch": sum(
                    one != other for one, other in zip(by_one, in_batch, strict=True)
                ),
            },
        },
    )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="builtin:tiny")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--contexts", type=int, default=300)
    parser.add_argument("--new-tokens", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--few", type=int, default=20, help="contexts of the comparisons of decodings")
    parser.add_argument("-o", "--output", type=Path, help="results as JSON")
    return parser.parse_args()


def mixed_contexts(tokenizer: Any, count: int) -> list[list[int]]:
    """Windows of the embedded texts, each cut to a length at random, in random order; the same for the same count."""
    draw = random.Random(0)
    windows = []
    for source in SOURCES:
        documents, apart = read_documents(source)
        for document in (*documents, *apart):
            ids = tokenizer(document.text)["input_ids"]
            windows += [ids[start : start + LONGEST] for start in range(0, len(ids) - LONGEST, LONGEST)]
    return [window[: draw.randint(SHORTEST, LONGEST)] for window in draw.sample(windows, count)]


def plain_loop(model: Any, tokenizer: Any, contexts: list[list[int]], new_tokens: int) -> list[list[int]]:
    """What one writes without thinking about speed."""
    pad, written = tokenizer.pad_token_id, []
    config = GenerationConfig(
        max_new_tokens=new_tokens,
        min_new_tokens=new_tokens,
        do_sample=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=pad,
    )
    for start in range(0, len(contexts), PLAIN_BATCH):
        ids, mask = left_pad(contexts[start : start + PLAIN_BATCH], pad)
        output = model.generate(
            input_ids=ids.to(model.device), attention_mask=mask.to(model.device), generation_config=config
        )
        written += output[:, ids.shape[1] :].tolist()
    return written


def timed(work: Callable[[], list[list[int]]]) -> tuple[list[list[int]], float]:
    """(the texts, seconds); what is on the host has left the device."""
    started = time.perf_counter()
    texts = work()
    return texts, time.perf_counter() - started


def report(settings: argparse.Namespace, found: dict[str, Any]) -> None:
    """Print and save the results."""
    found = rounded(found)
    print(f"{found['times_as_fast']} times as fast; {found['same_texts']} of {settings.contexts} texts the same")
    for name, cost in found["decodings"]["times_greedy"].items():
        print(f"{name:20}{cost:8.2f} times greedy")
    print("one at a time:", found["batch_invariant"])
    if settings.output:
        result = {
            "command": ["python", *sys.orig_argv[1:]],
            "machine": {**describe_machine(), "threads": torch.get_num_threads()},
            "settings": {key: value for key, value in vars(settings).items() if key != "output"},
            **found,
        }
        settings.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def rounded(value: Any) -> Any:
    """Floats with three decimals, at any depth."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
