"""A stand-in for the package vllm: the part of its interface that hyperfit uses, done by transformers on the CPU.

Names, keywords and refusals follow vllm/entrypoints/llm.py, vllm/sampling_params.py, vllm/lora/request.py,
vllm/lora/peft_helper.py, vllm/config/lora.py and vllm/outputs.py of vLLM. What is not used is not there, so that a
keyword too many raises.
"""

import json
import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from hyperfit.models.loading import quiet

VERSION = "0.0.stand-in"
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
MODULES = "vllm", "vllm.lora", "vllm.lora.request"


@dataclass(kw_only=True)
class SamplingParams:
    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop_token_ids: list[int] | None = None
    max_tokens: int | None = 16
    min_tokens: int = 0
    detokenize: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 2 or not 0 < self.top_p <= 1 or not 0 <= self.min_p <= 1:
            raise ValueError(f"out of range: {self}")
        if type(self.top_k) is not int or self.top_k < -1 or self.repetition_penalty <= 0:
            raise ValueError(f"out of range: {self}")
        if self.max_tokens is None or not 0 <= self.min_tokens <= self.max_tokens:
            raise ValueError("min_tokens must be less than or equal to max_tokens")


@dataclass(kw_only=True)
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str


@dataclass
class CompletionOutput:
    index: int
    token_ids: Sequence[int]


@dataclass
class RequestOutput:
    outputs: list[CompletionOutput]


class LLM:
    """As vLLM's, but that only one may be there at a time: two would not fit on its GPU."""

    made: ClassVar[list[dict[str, Any]]] = []
    """The arguments of all that were made."""
    there: ClassVar[list["weakref.ref[LLM]"]] = []

    def __init__(
        self,
        model: str,
        *,
        dtype: str = "auto",
        max_model_len: int | None = None,
        max_num_seqs: int | None = None,
        enable_lora: bool = False,
        max_lora_rank: int = 16,
    ) -> None:
        if any(one() is not None for one in self.there):
            raise ValueError("Free memory on device is less than desired GPU memory utilization")
        if max_lora_rank not in RANKS:
            raise ValueError(f"max_lora_rank {max_lora_rank} is not permitted")
        self.there.append(weakref.ref(self))
        self.made.append({key: value for key, value in locals().items() if key != "self"})
        self.model: Any = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype))
        self.model_ends = self.model.generation_config.eos_token_id
        self.model.generation_config = GenerationConfig()
        self.tokenizer_end = AutoTokenizer.from_pretrained(model).eos_token_id
        self.limit, self.lora_rank = max_model_len, max_lora_rank if enable_lora else 0

    def generate(
        self,
        prompts: Sequence[dict[str, list[int]]],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        use_tqdm: bool = True,
        lora_request: LoRARequest | None = None,
    ) -> list[RequestOutput]:
        assert isinstance(sampling_params, Sequence)
        if lora_request is not None:
            self.add(lora_request)
        texts = []
        for prompt, how in zip(prompts, sampling_params, strict=True):
            assert prompt.keys() == {"prompt_token_ids"}
            if lora_request is None and isinstance(self.model, PeftModel):
                with self.model.disable_adapter():
                    texts.append(self.text(prompt["prompt_token_ids"], how))
            else:
                texts.append(self.text(prompt["prompt_token_ids"], how))
        return [RequestOutput([CompletionOutput(0, tuple(text))]) for text in texts]

    def add(self, request: LoRARequest) -> None:
        config = json.loads((Path(request.lora_path) / "adapter_config.json").read_text())
        if config["modules_to_save"] or config["r"] > self.lora_rank:
            raise ValueError(f"LoRA rank {config['r']} is greater than max_lora_rank {self.lora_rank}")
        if not isinstance(self.model, PeftModel):
            with quiet():
                self.model = PeftModel.from_pretrained(self.model, request.lora_path).eval()

    def text(self, prompt: list[int], how: SamplingParams) -> list[int]:
        assert how.max_tokens is not None
        if self.limit is not None and len(prompt) + how.max_tokens > self.limit:
            raise ValueError(f"longer than the maximum model length of {self.limit}")
        ends = {self.tokenizer_end, self.model_ends, *(how.stop_token_ids or [])}
        drawn = {} if how.temperature == 0 else {"temperature": how.temperature, "top_p": how.top_p, "min_p": how.min_p}
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(how.seed or 0)
            found = self.model.generate(
                input_ids=torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
                generation_config=GenerationConfig(
                    max_new_tokens=how.max_tokens,
                    min_new_tokens=how.min_tokens,
                    eos_token_id=sorted(ends - {None}),
                    pad_token_id=0,
                    repetition_penalty=how.repetition_penalty,
                    do_sample=how.temperature > 0,
                    **(drawn | {"top_k": how.top_k} if drawn else {}),
                ),
            )
        return found[0, len(prompt) :].tolist()


def install(monkeypatch: pytest.MonkeyPatch) -> type[LLM]:
    """Put it where ``import vllm`` finds it, and let it do on a CPU, in fp32, what vLLM does on a GPU in bf16."""
    vllm, lora, request = (ModuleType(name) for name in MODULES)
    vllm.__dict__.update(LLM=LLM, SamplingParams=SamplingParams, __version__=VERSION)
    request.__dict__.update(LoRARequest=LoRARequest)
    for module in (vllm, lora, request):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(LLM, "made", [])
    monkeypatch.setattr(LLM, "there", [])
    monkeypatch.setattr("hyperfit.generation.vllm.checks.DEVICES", ("cpu",))
    monkeypatch.setattr("hyperfit.generation.vllm.checks.ADAPTED_IN", ("fp32",))
    return LLM
