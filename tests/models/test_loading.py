"""Loading: what comes is what was saved, and a bad folder is explained in one message."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import PreTrainedConfig

from hyperfit.errors import UserError
from hyperfit.models import loading
from hyperfit.models.devices import pick_device, pick_precision
from hyperfit.models.loading import evaluating, load_config, load_model, load_tokenizer
from hyperfit.models.structure.layout import positions_of
from tiny_models import BLOCKS, END_TEXT, FAMILIES, POSITIONS, cast, random_ids, save_tiny, tiny_model, tiny_tokenizer

CPU = torch.device("cpu")


def load(folder: Path) -> nn.Module:
    return load_model(str(folder), device=CPU, dtype=torch.float32)


@pytest.mark.parametrize("family", FAMILIES)
def test_saved_model_of_every_family_loads(family: str, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, family)
    ids = random_ids(1, 9)
    loaded = load(folder)
    assert not loaded.training
    assert torch.equal(loaded(input_ids=ids).logits, tiny_model(family)(input_ids=ids).logits)
    assert positions_of(loaded.config) == POSITIONS
    text = "Hello, naïve world.\n"
    assert load_tokenizer(str(folder))(text)["input_ids"] == tiny_tokenizer()(text)["input_ids"]


@pytest.mark.parametrize("saved", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("asked", [torch.float32, torch.bfloat16])
def test_weights_come_in_the_precision_asked_for(saved: torch.dtype, asked: torch.dtype, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, dtype=saved)
    model = load_model(str(folder), device=CPU, dtype=asked)
    assert {parameter.dtype for parameter in model.parameters()} == {asked}
    original = cast(cast(tiny_model(), saved), asked)
    assert all(map(torch.equal, model.parameters(), original.parameters()))


def test_config_without_a_limit_of_positions() -> None:
    assert positions_of(PreTrainedConfig()) is None


def problems_of(folder: Path) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        load_config(str(folder))
    assert all(problem.startswith(str(folder)) for problem in caught.value.problems)
    return caught.value.problems


def test_missing_folder(tmp_path: Path) -> None:
    assert "no such model folder" in problems_of(tmp_path / "nothing here")[0]
    with pytest.raises(UserError, match="no such model folder"):
        load_config("./nowhere")


def test_file_in_place_of_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    assert "no such model folder" in problems_of(file)[0]


def test_folder_without_config(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path)
    assert "no config.json" in problem


@pytest.mark.parametrize("config", ["", "{", "[]", "3", "null", "{}", '{"hidden_size": 32}', "\ud800"])
def test_broken_config(config: str, tmp_path: Path) -> None:
    save_tiny(tmp_path)
    (tmp_path / "config.json").write_bytes(config.encode("utf-8", "surrogatepass"))
    (problem,) = problems_of(tmp_path)
    assert "config.json" in problem


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": []},
        {"hidden_size": "wide"},
        {"num_attention_heads": 5},
        {"num_hidden_layers": None},
        {"num_hidden_layers": 10**9},
        {"hidden_act": "no such thing"},
        {"rope_parameters": {"rope_type": "no such thing"}},
    ],
    ids=str,
)
def test_config_with_impossible_values(change: dict[str, object], tmp_path: Path) -> None:
    edit_config(save_tiny(tmp_path), **change)
    with pytest.raises(UserError) as caught:
        load(tmp_path)
    (value,) = change.values()
    assert "no such thing" in str(caught.value) or str(value) in str(caught.value)


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def test_folder_without_weights(tmp_path: Path) -> None:
    (save_tiny(tmp_path) / "model.safetensors").unlink()
    (problem,) = problems_of(tmp_path)
    assert "no weights" in problem


def test_weights_that_are_only_pickle_are_refused(tmp_path: Path) -> None:
    (save_tiny(tmp_path) / "model.safetensors").unlink()
    torch.save(tiny_model().state_dict(), tmp_path / "pytorch_model.bin")
    (problem,) = problems_of(tmp_path)
    assert "pickle (pytorch_model.bin)" in problem


def test_pickle_beside_safetensors_is_not_read(tmp_path: Path) -> None:
    (save_tiny(tmp_path) / "pytorch_model.bin").write_bytes(b"not a pickle")
    loaded, saved = load(tmp_path).state_dict(), tiny_model().state_dict()
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)


def test_code_of_the_models_own_is_refused(tmp_path: Path) -> None:
    auto_map = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    edit_config(save_tiny(tmp_path), model_type="own", auto_map=auto_map)
    (tmp_path / "own.py").write_text("raise SystemExit('the code of the model was run')")
    (problem,) = problems_of(tmp_path)
    assert "code of its own (auto_map" in problem


def test_code_of_the_models_own_is_not_run_where_the_family_is_known(tmp_path: Path) -> None:
    edit_config(save_tiny(tmp_path), auto_map={"AutoModelForCausalLM": "own.OwnModel"})
    (tmp_path / "own.py").write_text("raise SystemExit('the code of the model was run')")
    assert type(load(tmp_path)) is type(tiny_model())


def test_problems_come_together(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    first, second = problems_of(tmp_path)
    assert "no causal language model of type 't5'" in first
    assert "no weights" in second


@pytest.mark.parametrize("size", [0, 4, 2000], ids=["empty", "header cut", "data cut"])
def test_weights_cut_short(size: int, tmp_path: Path) -> None:
    weights = save_tiny(tmp_path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(UserError, match="weights cannot be loaded"):
        load(tmp_path)


@pytest.mark.parametrize(
    "change", [{"intermediate_size": 48}, {"num_hidden_layers": BLOCKS + 1}], ids=["shapes differ", "weights missing"]
)
def test_weights_that_do_not_fit_the_config(change: dict[str, int], tmp_path: Path) -> None:
    edit_config(save_tiny(tmp_path), **change)
    with pytest.raises(UserError, match="weights cannot be loaded"):
        load(tmp_path)


def test_hub_model_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(name: str, **others: object) -> None:
        raise OSError(f"{name} is not to be had\nand a long explanation")

    monkeypatch.setattr("hyperfit.models.loading.AutoConfig.from_pretrained", unreachable)
    with pytest.raises(UserError) as caught:
        load_config("someone/some-model")
    (problem,) = caught.value.problems
    assert problem.startswith("someone/some-model: neither a model folder here nor a hub model")
    assert "long explanation" not in problem


def test_unknown_embedded_model() -> None:
    with pytest.raises(UserError, match="builtin:tiny"):
        load_config("builtin:huge")


@pytest.mark.parametrize("special", ["eos_token", "bos_token", "unk_token"])
def test_tokenizer_without_padding_gets_some(special: str, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.bos_token = tokenizer.eos_token = tokenizer.pad_token = None
    setattr(tokenizer, special, END_TEXT)
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).pad_token == END_TEXT


def test_tokenizer_with_padding_keeps_it(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = "~"
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    assert (loaded.pad_token, loaded.eos_token) == ("~", END_TEXT)


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}"])
def test_broken_tokenizer(content: str | None, tmp_path: Path) -> None:
    file = save_tiny(tmp_path) / "tokenizer.json"
    file.unlink()
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError, match="tokenizer cannot be loaded"):
        load_tokenizer(str(tmp_path))


def test_a_cpu_has_no_number() -> None:
    """Launchers give it one, and to torch a tensor on cpu:1 is elsewhere than on cpu."""
    assert str(pick_device("cpu:1")) == "cpu"


@pytest.mark.parametrize("name", ["cuda:99", "abacus", "cpu:cpu", ""])
def test_device_that_is_not_there(name: str) -> None:
    with pytest.raises(UserError, match=f"--device {name}: not to be had here"):
        pick_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_without_cuda() -> None:
    with pytest.raises(UserError, match="--device cuda: not to be had here"):
        pick_device("cuda")


def test_device_given_or_found() -> None:
    assert pick_device("cpu") == CPU
    there = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else CPU
    assert there is not None
    assert pick_device("auto").type == there.type


@pytest.mark.parametrize("fast", [True, False])
def test_precision_is_bf16_where_that_is_fast(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperfit.models.devices.fast_bf16", lambda device: fast)
    assert pick_precision("auto", CPU) == ("bf16" if fast else "fp32")
    assert pick_precision("bf16", CPU) == "bf16"
    assert pick_precision("fp32", CPU) == "fp32"


@pytest.mark.parametrize("training", [True, False])
def test_evaluating_puts_the_mode_back(training: bool) -> None:
    model = tiny_model("gpt2").train(training)
    seen: list[bool] = []

    def look_and_fail() -> None:
        with evaluating(model):
            seen.extend((any(module.training for module in model.modules()), torch.is_grad_enabled()))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        look_and_fail()
    assert seen == [False, False]
    assert all(module.training == training for module in model.modules())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "compressed-tensors", "hqq", "of my own"])
def test_quantized_weights_that_cannot_be_read_here(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.quantizers.quantizer_bnb_4bit.is_bitsandbytes_available", lambda: False)
    save_tiny(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    how = {"quant_method": method, "bits": 4, "group_size": 128, "load_in_4bit": method == "bitsandbytes"}
    (tmp_path / "config.json").write_text(json.dumps(config | {"quantization_config": how}))
    (problem,) = problems_of(tmp_path)
    assert "its weights are quantized (quantization_config in config.json), and cannot be read here (" in problem
    assert problem.endswith("install what that names, or give the model in its original precision")


def test_sentencepieces_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tiny(tmp_path)
    for file in tmp_path.glob("tokenizer*"):
        file.unlink()
    (tmp_path / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"SentencePiece's file \(tokenizer\.model\), .* pip install sentencepiece"):
        load_tokenizer(str(tmp_path))
    tiny_tokenizer().save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).encode("a") == tiny_tokenizer().encode("a")


def test_an_adapter_is_no_model_to_start_from(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (problem,) = problems_of(tmp_path)
    assert "is an adapter; give its base model, or the two merged" in problem


def test_weights_in_several_files_and_behind_links_load_the_same(tmp_path: Path) -> None:
    """As a large model is saved, and as the hub's cache keeps a snapshot."""
    repository = tmp_path / "models--org--name"
    model, blobs, snapshot = tiny_model(), repository / "blobs", repository / "snapshots" / "0123abcd"
    model.save_pretrained(blobs, max_shard_size="40KB")
    tiny_tokenizer().save_pretrained(blobs)
    assert len(list(blobs.glob("*.safetensors"))) > 2
    snapshot.mkdir(parents=True)
    for file in blobs.iterdir():
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}")
    ids = random_ids(1, 9)
    for folder in (blobs, snapshot):
        assert torch.equal(load(folder)(input_ids=ids).logits, model(input_ids=ids).logits)


@pytest.mark.parametrize("sizes", [{"vocab_size": 10**12}, {"intermediate_size": 10**11}, {"hidden_size": 10**8}])
def test_a_config_that_describes_far_more_than_the_files_hold_is_refused(tmp_path: Path, sizes: dict[str, int]) -> None:
    """transformers would make all that is missing before it finds that it does not fit."""
    config = save_tiny(tmp_path) / "config.json"
    known = json.loads(config.read_text())
    config.write_text(json.dumps({**known, **sizes}))
    with pytest.raises(
        UserError, match=r"weights cannot be loaded: its config.json describes [0-9,]+ parameters, and its files"
    ):
        load(tmp_path)
    config.write_text(json.dumps({**known, "vocab_size": known["vocab_size"] + 1}))
    with pytest.raises(UserError, match=r"they are not those of its config.json"):
        load(tmp_path)
