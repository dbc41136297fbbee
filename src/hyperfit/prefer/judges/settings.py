"""How a model judges."""

from dataclasses import dataclass
from pathlib import Path

from hyperfit.errors import UserError
from hyperfit.prefer.judges.dimensions import ALL, OVERALL, Dimension
from hyperfit.prefer.settings import Design, StudySettings


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """Which pairs of texts are judged, by whom, and what is asked. Raises UserError naming every bad field."""

    design: Design = "p1"
    """p1: each continuation against the original human text, as the first paper did; pairs: every two conditions
    against each other, as the second did."""
    texts: Path | None = None
    """In place of runs: a .jsonl file of texts of any generator, as hyperfit evaluate --texts takes it."""
    conditions: tuple[str, ...] = ()
    """Those to judge, such as hyperfitted/greedy; none named: all there are."""
    most_contexts: int = 300
    """Most contexts, as many of each domain as there are of the others."""
    seed: int = 0
    """Of the choice of contexts; a study of the same seed, design and conditions has the same pairs."""
    model: str
    """The judge: its name at the endpoint; without one a model folder, hub id, builtin:smollm2 or builtin:tiny."""
    endpoint: str | None = None
    """Address of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1. None: the model judges here, by its
    log-likelihood of the two texts, which is no reader's preference (loops are likely)."""
    dimensions: tuple[Dimension, ...] = ALL
    """What is asked; overall always is."""
    concurrency: int = 4
    """Requests at once."""
    timeout: float = 120.0
    """Seconds after which a request is given up and sent again."""
    retries: int = 5
    """Times that a request is sent again after a time-out, a full server (429) or a failing one, each after a pause
    twice as long, or as long as the server says."""
    most_tokens: int = 1000
    """Most tokens of an answer."""
    key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the key for the endpoint. It is never written anywhere."""
    price_read: float | None = None
    """What a million tokens cost that the model reads, to estimate the price. None: no price is told."""
    price_written: float | None = None
    """The same of those that it writes."""
    device: str = "auto"
    """Where a model without an endpoint computes: auto, cpu, cuda, ..."""

    def __post_init__(self) -> None:
        least: dict[str, float] = {"most_contexts": 1, "concurrency": 1, "retries": 0, "most_tokens": 16}
        least |= {"price_read": 0, "price_written": 0, "seed": 0}
        problems = [
            f"--{name.replace('_', '-')} {getattr(self, name)}: give {low} or more"
            for name, low in least.items()
            if getattr(self, name) is not None and not getattr(self, name) >= low
        ]
        if not self.timeout > 0:
            problems.append(f"--timeout {self.timeout}: give more than 0 seconds")
        if not self.model.strip():
            problems.append("--model is missing; name the judge")
        if (self.price_read is None) != (self.price_written is None):
            problems.append("--price-read, --price-written: give both, or neither")
        if problems:
            raise UserError(*problems)

    @property
    def study(self) -> StudySettings:
        """The same pairs as a study with people has."""
        return StudySettings(
            design=self.design,
            texts=self.texts,
            conditions=self.conditions,
            contexts=self.most_contexts,
            seed=self.seed,
        )

    @property
    def asked(self) -> tuple[Dimension, ...]:
        """The dimensions, overall first, each once."""
        return tuple(dict.fromkeys((OVERALL, *self.dimensions)))
