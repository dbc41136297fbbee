"""Commands of the documents, made small: what is loaded, how much of it is done, and which are not run at all."""

from documented import Command

MODEL, EMBEDDED = "model", "builtin:tiny"
"""The folder of a random model, in place of every other, and the embedded one, which takes several times as long."""
ON_EMBEDDED = ("docs/tutorial.md",)
"""Pages that are run on that one."""
PICTURES = "runs/cifar-base/model"
"""The folder of a random model of pictures."""
NAMES = (
    *("TinyLlama/TinyLlama_v1.1", "meta-llama/Llama-2-7b-hf", "meta-llama/Llama-3.1-70B"),
    *("builtin:smollm2", "builtin:tiny", "gpt2", "facebook/opt-2.7b"),
)
"""What models are called in the documents."""
SMALL: dict[str, dict[str, tuple[str, ...]]] = {
    "train": {
        "--samples": ("4",), "--length": ("24",), "--epochs": ("3",), "--batch-size": ("2",), "--late-blocks": ("2",),
        "--validation-samples": ("2",), "--probe-texts": ("2",),
    },
    "plan": {"--length": ("24",), "--late-blocks": ("2",)},
    "evaluate": {"--most-contexts": ("3",), "--total": ("24",), "--context": ("8",)},
    "generate": {"--new-tokens": ("4",)},
    "export": {"--most-contexts": ("2",), "--context": ("8",), "--new-tokens": ("4",)},
    "mechanism": {
        "--studies": ("ranks", "geometry"), "--most-contexts": ("2",), "--context": ("4",), "--total": ("100",),
    },
    "study": {
        "--seeds": ("1",), "--samples": ("4",), "--length": ("24",), "--most-contexts": ("3",), "--context": ("8",),
        "--total": ("24",), "--contexts": ("passages.jsonl",),  # none of which is as long as 256 tokens
    },
    "complete": {"--count": ("3",)},
    "play": {"--longest": ("64",), "--new-tokens": ("8",)},
}  # fmt: skip
"""Command → flags with the values that make it small, in place of its own."""
REFUSED: dict[str, tuple[str, ...]] = {
    "chats.jsonl": ("--length",),
    "--streaming": ("--probe-texts",),
    "carlsson2025": ("--late-blocks",),
    "full": ("--late-blocks",),
    "cifar10/fresh": ("--length",),
    "runs/birds": ("--total", "--context"),
    "runs/late-full-200": ("--total", "--context"),
    "images": ("--length", "--context", "--total", "--contexts"),
    "--texts": (),
    "--list": (),
}
"""Flag or value → flags of SMALL that are refused beside it; none named: all of them."""
LEFT_OUT = {"--push": "needs the hub", "--mauve": "takes half a minute; tests/metrics"}
"""Flag that is left out, with its value → why."""
NOT_RUN = {
    ("make",): "what CI runs",
    (".",): "the shell's own",
    ("pip",): "needs the package index; make installs the same",
    ("hf",): "needs an account",
    ("vllm",): "needs a GPU",
    ("curl",): "asks that server",
    ("accelerate",): "starts several processes; tests/training/test_launched_lines.py",
    ("ACCELERATE_USE_FSDP=true",): "starts several processes; tests/training/test_launched_lines.py",
    ("llama-completion",): "another program; tests/export/test_llama_cpp.py has its library read such files",
    ("caddy",): "another program",
    ("cp",): "copies what was made",
    ("python", "-c"): "draws the committed page anew, which needs ten seconds; tests/report",
    ("hyperfit", "demo"): "takes minutes; tests/commands runs it, made small",
    ("python", "pretraining/pretrain_images.py"): "takes an hour; tests/test_pretraining.py",
    ("python", "pretraining/split_cifar10.py"): "needs CIFAR-10; tests/test_pretraining.py",
    ("hyperfit", "evaluate", "hellaswag"): "needs data from the hub; tests/evaluation/tasks",
    ("hyperfit", "evaluate", "--backend"): "needs vLLM and a GPU; tests/evaluation/test_bulk.py",
    ("hyperfit", "mechanism", "placement"): "trains sixteen times; tests/studies/placement",
    ("hyperfit", "study", "mmlu"): "needs data from the hub; tests/studies/tasks",
    ("hyperfit", "study", "rank"): "is the example of its page; tests/docs/test_extend_page.py",
    ("hyperfit", "study", "all"): "is the command above it with more studies; tests/studies run each",
    ("hyperfit", "study", "downstream", "long-range"): "made docs/results; tests/studies run each",
}
"""Words that a command holds → why it is only parsed."""


def reason(command: Command) -> str | None:
    """Why a command is not run; None if it is."""
    first, *_ = command.words
    return next((why for words, why in NOT_RUN.items() if words[0] == first and {*words} <= {*command.words}), None)


def made_small(command: Command) -> list[str]:
    """The words of a hyperfit command behind its name, with small values in place of its own."""
    words, place = list[str](), 1
    small = SMALL.get(command.words[1], {})
    refused = [flag for other, flags in REFUSED.items() if other in command.words for flag in flags or small]
    small = {flag: values for flag, values in small.items() if flag not in refused}
    model = EMBEDDED if command.page in ON_EMBEDDED else MODEL
    while place < len(command.words):
        word, place = command.words[place], place + 1
        if word in LEFT_OUT or word in small:
            while place < len(command.words) and not command.words[place].startswith("-"):
                place += 1
        else:
            named = word in NAMES and words[-1:] != ["--base-model"]
            words.append(model if named else PICTURES if word == "MODEL" else word)
    added = [(flag, *values) for flag, values in small.items()]
    return [*words, *(word for flag in added for word in flag)]
