"""Recipe: everything that defines a run, as one frozen dataclass."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from hyperfit.errors import UserError

Method = Literal["late-lora", "late-full", "lora", "full"]
Chunking = Literal["start", "packed"]
Precision = Literal["auto", "bf16", "fp32"]
CacheMode = Literal["auto", "off", "required"]
Stop = Literal["loss", "auto"]
Tracker = Literal["tensorboard", "wandb", "trackio", "mlflow"]

NEAR_ZERO = 0.05
"""Training loss, nats per token, at which a model counts as hyperfitted."""

MOST_COPYING = 0.25
"""Share of texts with a long run of training data above which an epoch counts as reciting; papers' models have .02."""

MOST_SAMPLES = 2000
"""Training sequences taken when the recipe does not say: the number both papers use."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What to train, on what, how, and when to stop. Raises UserError naming every bad field."""

    model: str
    """Model folder, hub id, builtin:smollm2 or builtin:tiny; of pictures also builtin:tiny-image."""
    data: str
    """Training texts: .txt, .jsonl, .csv or .parquet file, a folder of them, a hub data set
    (ORG/NAME[:CONFIG[:SPLIT]]), or builtin:fiction, builtin:news, builtin:wiki. Rows may be chats (messages), written
    with the model's chat template, or prompt and completion: then the loss is on replies and completions alone. For a
    model of pictures: .png, .jpg, .npz or .parquet file, a folder of them, a hub data set, or builtin:shapes."""
    text_column: str | None = None
    """Column that holds the text or the chat. None: "text", else "messages" or "conversations", or the only one."""
    image_column: str | None = None
    """Column, or array of an .npz file, that holds the pictures. None: "image", "img", or the only one of pictures."""
    skip_unusable: bool = False
    """Pass over pictures that cannot be used (damaged, animated, too small), and name each; else they are an error."""
    samples: int | None = None
    """Training sequences, chosen at random. None: all there are, at most 2,000."""
    length: int = 256
    """Tokens of a training sequence; pictures are trained on whole. Of chats the most, as shorter ones are filled
    up."""
    chunking: Chunking = "start"
    """start: the first tokens of each document; packed: documents joined and cut into pieces, which chats are not."""
    heldout: float = 0.1
    """Share of the documents kept out of training, for validation and evaluation (0 to 0.9). A source that brings
    held-out documents of its own keeps them, unless this is 0."""
    heldout_seed: int | None = None
    """Seed of the choice of those documents. None: the seed; another keeps them the same while the seed varies."""

    method: Method = "late-lora"
    """late-lora: adapters in the last blocks; late-full: all parameters of the last blocks and of the final norm, while
    embedding and head stay; lora: adapters in every block, or in those that --blocks names; full: all parameters."""
    late_blocks: int | None = None
    """Blocks, counted from the last, that learn (late-lora and late-full). None: two thirds of the model's
    (``hyperfit.recipes.defaults``); the paper of Late-Stage LoRA takes 5."""
    blocks: tuple[int, ...] = ()
    """Blocks that get adapters, counted from 0, such as 0 1 2 (lora only). Empty: all of them."""
    target_modules: tuple[str, ...] = ()
    """Linear layers that get adapters, by name, such as q_proj v_proj. Empty: all those of the blocks."""
    rank: int = 64
    """Rank of the adapters."""
    alpha: float | None = None
    """Adapters are scaled by alpha / rank. None: equal to the rank."""

    lr: float | None = None
    """Learning rate of Adam, constant. None: by method and model width, as ``hyperfit.recipes.defaults`` says: for
    full 1e-4 at a width of 576 and 7.9e-6 at 2,048, for late-full more, for adapters 1e-3 and 2.8e-4."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW); near-zero loss wants none."""
    clip: float | None = None
    """Gradient norm above which gradients are scaled down. None: never."""
    batch_size: int = 8
    """Sequences in one forward pass, per process."""
    accumulate: int = 1
    """Forward passes in one update."""
    unlikelihood: float = 0.0
    """Weight of what repeating tokens of the sequence costs (token-level unlikelihood of Welleck et al. 2020, who take
    1), minimised beside the loss; the losses that are told, and the stop rule, leave it out. 0: none."""

    epochs: int = 40
    """Most passes over the training sequences."""
    stop_loss: float | None = NEAR_ZERO
    """Mean training loss of an epoch (nats per token) at which the run ends. None: run all epochs."""
    stop: Stop = "loss"
    """loss: the run ends where the training loss is low enough; auto: where the probes show that more training does not
    pay (``hyperfit.training.stopping``), and there at the latest."""
    stop_copying: float | None = MOST_COPYING
    """Share of a probe's greedy texts with a run of more than ten tokens of training data above which the run ends, and
    the last probed epoch below is its result (0 to 1); never, where greedy text is probed only at the end, and not on
    pictures. None: go on, whatever is copied."""

    probe_every: int = 1
    """Epochs between probes of validation loss and entropy; 0: only before the first and after the last."""
    greedy_every: int = 1
    """Epochs between probes of greedy text, which need the whole model; 0: only before the first and after the last."""
    probe_texts: int = 32
    """Held-out contexts continued greedily in a probe (TTR of 96 tokens)."""
    validation_samples: int = 128
    """Most held-out sequences on which the validation loss and entropy are measured."""
    checkpoint_every: int = 1
    """Epochs between checkpoints."""
    keep_every: int = 0
    """Epochs between adapters (or models) that are probed and kept, each as a finished run in epochs/; 0: only the
    last."""

    seed: int = 0
    """Seed of the choice of sequences, of their order and of the adapters."""
    order_seed: int | None = None
    """Seed of the order of the sequences alone. None: the seed."""
    order_swaps: int = 0
    """Pairs of sequences, drawn by the same seed, that change places in the order of the first epoch."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps, ..."""
    compile: bool = False
    """Compile the blocks that learn (torch.compile): a minute at the start, faster updates, other rounding."""
    precision: Precision = "auto"
    """bf16: bfloat16 autocast over fp32 trained weights; auto: bf16 where the device is fast at it, else fp32."""

    def __post_init__(self) -> None:
        problems = [
            f"--{name.replace('_', '-')} {as_typed(getattr(self, name))}: {rule}"
            for name, ok, rule in self._rules()
            if not ok
        ]
        if problems:
            raise UserError(*problems)

    def _rules(self) -> list[tuple[str, bool, str]]:
        def at_least(name: str, low: int) -> tuple[str, bool, str]:
            value = getattr(self, name)
            return name, value is None or value >= low, f"give a whole number of {low} or more"

        def positive(name: str) -> tuple[str, bool, str]:
            value = getattr(self, name)
            return name, value is None or (math.isfinite(value) and value > 0), "give a number above 0"

        return [
            *(
                at_least(name, 1)
                for name in ("late_blocks", "rank", "batch_size", "accumulate", "epochs", "probe_texts")
            ),
            *(at_least(name, 1) for name in ("validation_samples", "checkpoint_every")),
            *(at_least(name, 0) for name in ("probe_every", "greedy_every", "keep_every", "order_swaps")),
            ("order_seed", 0 <= (self.order_seed or 0) < 2**63, "give a whole number from 0 to 2^63 - 1"),
            ("seed", 0 <= self.seed < 2**63, "give a whole number from 0 to 2^63 - 1"),
            ("heldout_seed", 0 <= (self.heldout_seed or 0) < 2**63, "give a whole number from 0 to 2^63 - 1"),
            ("batch_size", self.batch_size <= 2**20, "give at most 1,048,576"),
            ("accumulate", self.accumulate <= 2**20, "give at most 1,048,576"),
            ("length", self.length >= 2, "a sequence needs at least 2 tokens; the papers use 256"),
            ("samples", self.samples is None or self.samples >= 1, "give 1 or more, or leave it out for all"),
            *(positive(name) for name in ("alpha", "clip", "stop_loss")),
            ("lr", self.lr is None or 0 < self.lr <= 1, "give a number above 0, at most 1"),
            (
                "stop_copying",
                self.stop_copying is None or 0 <= self.stop_copying <= 1,
                "give a share from 0 to 1, or None",
            ),
            ("stop", self.stop in get_args(Stop), f"give one of {', '.join(get_args(Stop))}"),
            (
                "stop",
                self.stop != "auto" or (self.probe_every > 0 and self.greedy_every > 0),
                "auto reads the probes; give --probe-every and --greedy-every, 1 or more",
            ),
            (
                "stop",
                self.stop != "auto" or self.heldout > 0,
                "auto reads what follows held-out texts; give a --heldout above 0",
            ),
            ("weight_decay", math.isfinite(self.weight_decay) and self.weight_decay >= 0, "give 0 or more"),
            ("unlikelihood", math.isfinite(self.unlikelihood) and self.unlikelihood >= 0, "give 0 or more"),
            ("heldout", 0 <= self.heldout <= 0.9, "give a share from 0 to 0.9"),
            ("method", self.method in get_args(Method), f"give one of {', '.join(get_args(Method))}"),
            ("blocks", not self.blocks or self.method == "lora", "is for --method lora; leave it out"),
            ("blocks", all(block >= 0 for block in self.blocks), "blocks count from 0"),
            ("blocks", len(set(self.blocks)) == len(self.blocks), "name each block once"),
            ("chunking", self.chunking in ("start", "packed"), "give start or packed"),
            ("precision", self.precision in ("auto", "bf16", "fp32"), "give auto, bf16 or fp32"),
            ("model", bool(self.model), "name a model folder, a hub id or builtin:tiny"),
            ("data", bool(self.data), "name a file, a folder, a hub data set or builtin:fiction"),
        ]

    @property
    def adapters(self) -> bool:
        """Whether adapters learn, and none of the model's own weights."""
        return self.method in ("late-lora", "lora")

    @property
    def late(self) -> bool:
        """Whether only the last ``late_blocks`` learn."""
        return self.method in ("late-lora", "late-full")

    @property
    def goal(self) -> float:
        """The training loss at which a run counts as hyperfitted: where it stops, or NEAR_ZERO if it does not."""
        return NEAR_ZERO if self.stop_loss is None else self.stop_loss

    @property
    def last_blocks(self) -> int:
        """The late blocks in force. Raises ValueError while ``late_blocks`` is open: training fills it in."""
        if self.late_blocks is None:
            raise ValueError("the number of late blocks follows from the model's depth, and training fills it in")
        return self.late_blocks

    @property
    def learning_rate(self) -> float:
        """The learning rate in force. Raises ValueError while ``lr`` is open: training fills it in, by the model."""
        if self.lr is None:
            raise ValueError("the learning rate follows from the model's width, and training fills it in")
        return self.lr

    @property
    def lora_alpha(self) -> float:
        """The numerator of the adapters' scale in force: ``alpha``, or the rank."""
        return float(self.rank) if self.alpha is None else self.alpha

    def to_dict(self) -> dict[str, Any]:
        """Plain values for recipe.json."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Recipe":
        """The inverse of to_dict. Raises UserError for settings this version does not know."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise UserError(f"the recipe has settings this version does not know: {', '.join(unknown)}")
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**settings)


def as_typed(value: object) -> str:
    """A setting as it is typed."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
