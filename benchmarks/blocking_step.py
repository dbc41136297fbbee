"""Decoding steps of a random Llama, timed with and without citation blocking in turns; see blocking.py."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LogitsProcessor

from hyperfit.generation.citations.blocking import CitationBlocker
from hyperfit.metrics.estimate import estimate

LENGTH = 256
"""Tokens of a training sequence."""
CONTEXT = 32
"""Tokens of a context."""
TURN = 5
"""Steps of one kind in a row; the first is left out, since the memory allocator adapts in it."""


@dataclass
class InTurns(LogitsProcessor):
    """Act in one way for a turn, then in the next, back and forth; note when each step begins."""

    acts: dict[str, Callable[[Any, Any], Any]]
    device: torch.device
    began: list[float] = field(default_factory=list)
    calls: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds of the acts alone."""

    def kind(self, step: int) -> str:
        """What is done in a step."""
        of_round, turn = divmod(step // TURN, len(self.acts))
        kinds = list(self.acts)
        return kinds[turn if of_round % 2 == 0 else -1 - turn]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """The processor; a step lasts until the next call."""
        wait(self.device)
        self.began.append(time.perf_counter())
        kind = self.kind(len(self.began) - 1)
        scores = self.acts[kind](input_ids, scores)
        wait(self.device)
        self.calls[kind].append(1e3 * (time.perf_counter() - self.began[-1]))
        return scores

    def rounds(self) -> Iterator[dict[str, list[float]]]:
        """Milliseconds of the steps of each kind, round by round."""
        times = [1e3 * (end - begin) for begin, end in pairwise(self.began)]
        size = TURN * len(self.acts)
        for start in range(0, len(times) // size * size, size):
            found: dict[str, list[float]] = {kind: [] for kind in self.acts}
            for step in range(start, start + size):
                if step % TURN:
                    found[self.kind(step)].append(times[step])
            yield found


def measure_steps(
    *, vocabulary: int, width: int, blocks: int, batch: int, samples: int, texts: int, device: torch.device
) -> dict[str, Any]:
    """Steps without a processor, with one that copies the scores, and with the blocker, inside ``generate``."""
    model = random_llama(vocabulary, width, blocks).to(device)
    training = next(drawn(samples * LENGTH, vocabulary, rows=samples))
    contexts = training[:batch, :CONTEXT].clone().to(device)
    written = greedy(model, contexts, LENGTH - CONTEXT)
    training[:batch] = written.cpu()  # so that there is something to block
    started = time.perf_counter()
    blocker = CitationBlocker(training, pad_token_id=0)
    built = time.perf_counter() - started
    if device.type == "cuda":
        check_no_sync(blocker, contexts, vocabulary)
    blocker.reset()
    acts: dict[str, Callable[[Any, Any], Any]] = {
        "with": blocker,
        "copy": lambda _, scores: scores.clone(),
        "without": lambda _, scores: scores,
    }
    times: list[dict[str, list[float]]] = []
    calls: list[float] = []
    for _ in range(texts):
        turns = InTurns(acts, device)
        greedy(model, contexts, LENGTH - CONTEXT, turns)
        times += turns.rounds()
        calls += turns.calls["with"]
    middle = {kind: [statistics.median(of_round[kind]) for of_round in times] for kind in acts}
    counts = blocker.counts()
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": vocabulary,
        "batch": batch,
        "training_tokens": training.numel(),
        "k": blocker.k,
        "index_seconds": round(built, 2),
        "index_bytes": blocker.index.nbytes,
        "most_followers": blocker.most,
        "choices": counts.steps,
        "blocked": counts.blocked,
        "changed": counts.changed,
        "rounds": len(times),
        "steps_a_round": TURN - 1,
        "median_ms": {kind: round(statistics.median(middle[kind]), 2) for kind in middle},
        "call_ms": round(statistics.median(calls), 2),
        "ratio": mean_ratio(middle["with"], middle["without"]),
        "ratio_of_copy": mean_ratio(middle["copy"], middle["without"]),
    }


def mean_ratio(ones: list[float], others: list[float]) -> dict[str, Any]:
    """Mean of the rounds' ratios, with its 95 % bootstrap interval."""
    return estimate([one / other for one, other in zip(ones, others, strict=True)]).to_dict()


def random_llama(vocabulary: int, width: int, blocks: int) -> Any:
    """A Llama of the usual proportions whose head is its embedding."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=width * 8 // 3 // 64 * 64,
        num_hidden_layers=blocks,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 64,
        tie_word_embeddings=True,
    )
    return AutoModelForCausalLM.from_config(config).eval()


def greedy(model: Any, contexts: Any, new: int, processor: LogitsProcessor | None = None) -> Any:
    """Contexts and ``new`` tokens after each."""
    return model.generate(
        contexts,
        attention_mask=torch.ones_like(contexts),
        logits_processor=[processor] if processor else None,
        do_sample=False,
        max_new_tokens=new,
        pad_token_id=0,
        eos_token_id=None,
    )


def drawn(tokens: int, vocabulary: int, seed: int = 0, rows: int = 1 << 14) -> Iterator[Any]:
    """Chunks int64[rows, LENGTH] of about ``tokens`` random tokens; id i with a probability of about 1/(i+1)."""
    generator = torch.Generator().manual_seed(seed)
    left = max(1, tokens // LENGTH)
    while left:
        count = min(rows, left)
        uniform = torch.rand(count, LENGTH, generator=generator, dtype=torch.float64)
        yield (vocabulary**uniform).long() - 1
        left -= count


def check_no_sync(blocker: CitationBlocker, contexts: Any, vocabulary: int) -> None:
    """Let CUDA raise if a call waits for the device."""
    scores = torch.randn(len(contexts), vocabulary, device=contexts.device)
    blocker(contexts, scores)  # moves the index
    torch.cuda.set_sync_debug_mode("error")
    try:
        blocker(contexts, scores)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
