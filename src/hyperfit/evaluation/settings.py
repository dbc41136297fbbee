"""How a run is evaluated."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from hyperfit.errors import UserError
from hyperfit.generation.decodings import Decoding, decoding_problems, parse_decoding
from hyperfit.generation.settings import CITATION_TOKENS, too_small, useless_citation_flags
from hyperfit.generation.vllm.parameters import BY_VLLM, vllm_parameters
from hyperfit.recipes.recipe import Precision

Backend = Literal["transformers", "vllm"]

BLOCKED = Decoding("greedy")
"""What is also written with citations blocked, unless something else is asked for: the paper's case."""

DECODINGS = ("greedy", "nucleus", "repetition-penalty")
"""How both models decode if nothing is named: what hyperfitting is for, and what one would otherwise do."""
MORE_DECODINGS = ("no-repeat-ngram", "min-p")
"""What else where a GPU writes them; on a CPU each takes both models some minutes more."""
CONTINUATION = "builtin:continuation"
"""The task that comes with hyperfit."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How a run is evaluated. Raises UserError naming every bad field."""

    contexts: tuple[str, ...] = ()
    """Texts to continue: files, folders, hub data sets or builtin:NAME, of which what was not trained on is used.
    Empty: the held-out texts of the run's own data."""
    text_column: str | None = None
    """Column that holds the text or the chat, of --contexts that are tables. None: "text", else "messages" or
    "conversations", or the only one."""
    most_contexts: int = 300
    """Most contexts in all, chosen at random, as many from each source."""
    context: int = 32
    """Tokens of a context."""
    total: int = 256
    """Tokens of context and continuation together; the papers use 128 and 256."""
    decodings: tuple[str, ...] = ()
    """How both models decode: greedy, nucleus, top-k, min-p, typical, eta, contrastive, beam, repetition-penalty,
    no-repeat-ngram; with other values as in nucleus:top_p=0.95,temperature=1. Empty: greedy, nucleus and
    repetition-penalty; on a GPU no-repeat-ngram and min-p, too."""
    blocked: tuple[str, ...] | None = None
    """Those of the decodings that the hyperfitted model writes with once more, citations of its training data blocked;
    none after the flag: none. None: greedy, if it is among them."""
    citation_tokens: int = CITATION_TOKENS
    """Tokens in a row that must stand in the training data for the one that follows them there to be forbidden."""
    citation_generated_only: bool = False
    """Count only generated tokens among them, as in the paper: a citation may then begin with the last tokens of the
    context, and run past them."""
    citation_whole_words: bool = False
    """Let a word that is begun be finished before its citation is broken off."""
    mauve: str | None = None
    """Measure how like human text each condition is by MAUVE, with this model as featuriser; the paper of
    Late-Stage LoRA takes gpt2; builtin:smollm2 needs no network. Needs the package mauve-text. None: not measured."""
    coherence: str | None = None
    """Measure how well continuations follow from their contexts, with this model as scorer; that paper takes
    facebook/opt-2.7b; for texts of a smaller model, builtin:smollm2 needs no network. None: not measured."""
    tasks: tuple[str, ...] | None = None
    """Measure both models on these, too: tasks, groups and tags of lm-eval (hellaswag, mmlu, glue), YAML files or
    folders of tasks, or builtin:continuation, which needs no network: which of four continuations of an embedded text
    is the real one. Needs the package lm-eval; transformers computes them under every --backend. None: none."""
    task_limit: int | None = None
    """Examples of each task, the first. None: all."""
    backend: Backend = "transformers"
    """What writes the texts. vllm: on a CUDA GPU where the package vllm is installed, of greedy, nucleus, top-k, min-p
    and repetition-penalty; its samples are others than those of transformers, which writes the other decodings, and
    those with citations blocked."""
    batch_size: int | None = None
    """Contexts continued at once. None: as many as memory holds."""
    batch_invariant: bool = False
    """Continue one context at a time, so that no text depends on the others, not even by rounding; many times
    slower."""
    context_seed: int = 0
    """Seed of the choice of contexts."""
    seed: int = 0
    """Seed of the sampling."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    precision: Precision = "auto"
    """fp32, or bf16 as in training under it; auto: fp32 on the CPU, where batching then changes nothing, else as
    training chooses."""

    def __post_init__(self) -> None:
        least = {"most_contexts": 1, "context": 1, "citation_tokens": 1, "batch_size": 1, "task_limit": 1}
        problems = too_small(self, **least, context_seed=0, seed=0)
        if self.tasks is not None and not self.tasks:
            problems.append(f"--tasks: names none; give names, such as {CONTINUATION}, or leave it out")
        if self.task_limit is not None and self.tasks is None:
            problems.append("--task-limit: says how much is done of --tasks; give these, too, or leave it out")
        if self.total <= self.context:
            problems.append(f"--total {self.total}: give more than the --context of {self.context}")
        problems += decoding_problems(self.decodings, "--decodings")
        if not (wrong := decoding_problems(self.blocked or (), "--blocked")) and not problems:
            strange = [str(decoding) for decoding in self.decodings_blocked if decoding not in self.decodings_parsed]
            named = " ".join(map(str, self.decodings_parsed))
            wrong = [f"--blocked {name}: is not among --decodings {named}; name it there too" for name in strange]
        problems += wrong
        if self.backend not in get_args(Backend):
            problems.append(f"--backend {self.backend}: give one of {', '.join(get_args(Backend))}")
        if self.backend == "vllm" and not problems:
            problems += useless_for_vllm(self)
        if not problems and not self.decodings_blocked:
            problems += useless_citation_flags(self, "--blocked")
        if problems:
            raise UserError(*problems)

    def on(self, device: str) -> "EvaluationSettings":
        """These settings with the decodings named that a device of this type (cpu, cuda, ...) is given by default.

        Raises UserError for what is wrong with ``blocked`` beside them.
        """
        more = () if device == "cpu" else MORE_DECODINGS
        return replace(self, decodings=self.decodings or (*DECODINGS, *more))

    @property
    def decodings_parsed(self) -> tuple[Decoding, ...]:
        """How both models decode, each once; while that is open, all that some device is given."""
        named = self.decodings or (*DECODINGS, *MORE_DECODINGS)
        return tuple(dict.fromkeys(parse_decoding(text, "--decodings") for text in named))

    @property
    def decodings_blocked(self) -> tuple[Decoding, ...]:
        """How the hyperfitted model decodes with citations blocked, each once."""
        if self.blocked is None:
            return tuple(decoding for decoding in self.decodings_parsed if decoding == BLOCKED)
        return tuple(dict.fromkeys(parse_decoding(text, "--blocked") for text in self.blocked))


def useless_for_vllm(settings: EvaluationSettings) -> list[str]:
    """A problem for each setting with which vLLM has nothing to write, or writes otherwise."""
    problems = []
    if settings.batch_invariant:
        problems.append("--batch-invariant: vLLM makes its batches itself; leave it out, or leave --backend out")
    if not any(vllm_parameters(decoding) for decoding in settings.decodings_parsed):
        named = " ".join(map(str, settings.decodings_parsed))
        problems.append(
            f"--backend vllm: writes none of --decodings {named} as transformers does; name one of "
            f"{', '.join(BY_VLLM)} (temperature up to 2, top_p above 0), or leave --backend out"
        )
    return problems
