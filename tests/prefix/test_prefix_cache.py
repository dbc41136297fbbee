"""The prefix cache on disk and in whole runs: found or rebuilt, never wrong; refused where it would change a number."""

import dataclasses
import json
import multiprocessing
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.models.adapt import adapt, round_frozen
from hyperfit.models.families import blocks_of, inner_model
from hyperfit.prefix import store
from hyperfit.prefix.bypass import obstacle
from hyperfit.prefix.cache import PrefixCache, cache_prefix
from hyperfit.prefix.sizes import readable
from hyperfit.recipes.recipe import Recipe
from hyperfit.training.train import train
from small_runs import assert_same, events, recipe_for, weights
from tiny_models import cast, random_ids, save_tiny, tiny_model

SEQUENCES = random_ids(6, 16, seed=2)


def adapted(seed: int = 0, late_blocks: int = 2, family: str = "llama", **changes: Any) -> Any:
    return adapt(
        tiny_model(family, seed=seed, **changes), Recipe(model="-", data="-", rank=4, late_blocks=late_blocks)
    ).eval()


def cached(folder: Path, sequences: Tensor = SEQUENCES, said: list[str] | None = None, **changes: Any) -> PrefixCache:
    notify = (said if said is not None else []).append
    batch_size = changes.pop("batch_size", 4)
    precision = changes.pop("precision", "fp32")
    return cache_prefix(
        adapted(**changes), sequences, folder, batch_size=batch_size, precision=precision, notify=notify
    )


# --- on disk ---


def test_the_file_holds_what_reaches_the_first_late_block(tmp_path: Path) -> None:
    cache = cached(tmp_path)
    with torch.no_grad():
        hidden = tiny_model()(input_ids=SEQUENCES, output_hidden_states=True, use_cache=False).hidden_states
    depth = len(blocks_of(tiny_model()))
    rows = cache.rows.find(SEQUENCES)
    assert rows is not None
    torch.testing.assert_close(cache.states.read(rows), hidden[depth - 2])
    assert cache.entry.states.stat().st_size == SEQUENCES.numel() * hidden[0].shape[-1] * 4


def test_a_cache_is_found_again_whatever_happens_above_the_cut(tmp_path: Path) -> None:
    first = cached(tmp_path)
    assert not first.reused
    again = cached(tmp_path, SEQUENCES[torch.tensor([5, 0, 3, 1, 4, 2, 2])])  # another order, one of them twice
    assert again.reused
    assert again.entry.path == first.entry.path
    other = adapt(tiny_model(), Recipe(model="-", data="-", rank=8, late_blocks=2, seed=9)).eval()
    assert cache_prefix(other, SEQUENCES, tmp_path, batch_size=4, notify=lambda line: None).reused
    assert len(store.entries(tmp_path)) == 1


OTHERS: dict[str, dict[str, Any]] = {
    "weights": {"seed": 1},
    "depth": {"late_blocks": 3},
    "a setting of the model": {"rms_norm_eps": 1e-3},
    "batch size, and with it rounding": {"batch_size": 3},
    "precision": {"precision": "bf16"},
    "sequences": {"sequences": random_ids(6, 16, seed=3)},
    "length": {"sequences": SEQUENCES[:, :8]},
    "attention": {"attn_implementation": "eager"},
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_the_states_depend_on_makes_another_cache(what: str, tmp_path: Path) -> None:
    first, second = cached(tmp_path), cached(tmp_path, **OTHERS[what])
    assert not second.reused
    assert second.entry.path != first.entry.path


def test_another_version_of_a_library_makes_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(tmp_path)
    for package in (torch, __import__("transformers")):
        monkeypatch.setattr(package, "__version__", "0.0.1")
        assert not cached(tmp_path).reused
    assert len(store.entries(tmp_path)) == 3


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def foreign(path: Path) -> None:
    about = json.loads(path.read_text())
    about["key"]["weights"] = "0" * 64
    about["digest"] = store.digest_of({name: value for name, value in about.items() if name != "digest"})
    path.write_text(json.dumps(about))


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "its checksum does not match": (store.STATES, flip),
    "its size is wrong": (store.STATES, lambda path: path.write_bytes(path.read_bytes()[:-1])),
    "it cannot be read": (store.ABOUT, lambda path: path.write_text("{")),
    "it was made for something else": (store.ABOUT, foreign),
    "cannot be read": (store.ABOUT, lambda path: path.write_text(path.read_text().replace("float32", "float16"))),
}


@pytest.mark.parametrize("fault", DAMAGE)
def test_a_damaged_or_foreign_cache_is_made_anew(fault: str, tmp_path: Path) -> None:
    first = cached(tmp_path)
    good = first.entry.states.read_bytes()
    name, damage = DAMAGE[fault]
    damage(first.entry.path / name)
    said: list[str] = []
    second = cached(tmp_path, said=said)
    assert not second.reused
    assert second.entry.states.read_bytes() == good
    assert any(fault in line and "made anew" in line for line in said)


def test_the_need_is_said_first_and_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    cached(tmp_path / "caches", said=said)
    size = SEQUENCES.numel() * 32 * 4
    assert said[0].startswith(f"prefix cache: needs {readable(size)}")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(size - 1))
    with pytest.raises(
        UserError, match=r"--cache-dir .*the prefix cache needs .*hyperfit cache clear.*--prefix-cache off"
    ):
        cached(tmp_path / "full")
    assert not store.entries(tmp_path / "full")


def test_sizes_for_people() -> None:
    assert readable(2000 * 256 * 4096 * 2) == "4.2 GB"
    assert readable(1_500_000) == "1.5 MB"
    assert readable(12_288) == "12.3 KB"


def test_a_fill_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hyperfit.prefix.cache.Plan.push", fail)
    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def fill_in_a_process(folder: Path, out: Any) -> None:
    out.put(cached(folder).reused)


def test_processes_that_want_the_same_cache_fill_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    processes = [context.Process(target=fill_in_a_process, args=(tmp_path, out)) for _ in range(2)]
    for process in processes:
        process.start()
    assert sorted(out.get(timeout=120) for _ in processes) == [False, True]
    for process in processes:
        process.join()


def test_what_is_read_is_a_copy(tmp_path: Path) -> None:
    cache = cached(tmp_path)
    before = cache.states.read([1])
    cache.states.read([1]).zero_()
    assert torch.equal(cache.states.read([1]), before)
    assert before.any()


# --- when the cache may be used ---


@dataclasses.dataclass
class Refusal:
    family: str
    changes: dict[str, Any]
    spoil: Callable[[Any], object]
    reason: str


def drop_out(model: Any) -> None:
    model.train()


def learn_embedding(model: Any) -> None:
    model.get_input_embeddings().weight.requires_grad_(True)


REFUSALS = {
    "dropout": Refusal("gpt2", {"resid_pdrop": 0.1}, drop_out, r"drops out at random \(0.1\)"),
    "embedding": Refusal("llama", {}, learn_embedding, "embed_tokens.weight learns, below the first block"),
    "per-layer inputs": Refusal(
        "llama", {}, lambda m: setattr(inner_model(m).config, "hidden_size_per_layer_input", 8), "into every block"
    ),
    "shared keys": Refusal(
        "llama", {}, lambda m: setattr(inner_model(m).config, "num_kv_shared_layers", 2), "share keys and values"
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_model_that_breaks_a_condition_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    case = REFUSALS[name]
    model = adapt(tiny_model(case.family, **case.changes), Recipe(model="-", data="-", rank=4, late_blocks=2)).eval()
    assert obstacle(model, 4) is None
    case.spoil(model)
    with pytest.raises(UserError, match=f"the prefix cannot be cached: .*{case.reason}"):
        cache_prefix(model, SEQUENCES, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_adapter_below_the_cut_is_refused(tmp_path: Path) -> None:
    model = adapt(tiny_model(), Recipe(model="-", data="-", rank=4, method="lora")).eval()
    for block in blocks_of(inner_model(model))[:4]:
        block.requires_grad_(False)
    with pytest.raises(UserError, match="has an adapter, below the first block that learns"):
        cache_prefix(model, SEQUENCES, tmp_path)


def test_what_changes_below_the_cut_later_is_computed(tmp_path: Path) -> None:
    model = adapted(resid_pdrop=0.1, family="gpt2")
    cache = cache_prefix(model, SEQUENCES, tmp_path, batch_size=4, notify=lambda line: None)
    blocks = blocks_of(inner_model(model))
    for change, undo in (
        (lambda: blocks[0].train(), lambda: blocks[0].eval()),
        (lambda: blocks[0].requires_grad_(True), lambda: blocks[0].requires_grad_(False)),
    ):
        change()
        model(input_ids=SEQUENCES, use_cache=False)
        assert cache.served == 0
        undo()
    model(input_ids=SEQUENCES, use_cache=False)
    assert cache.served == 1


def test_a_second_cache_takes_the_place_of_the_first(tmp_path: Path) -> None:
    """Cut at block 4, then at 3: the second is filled by the model, not from the first."""
    plain, model = tiny_model(), tiny_model().requires_grad_(False)
    blocks_of(model)[4:].requires_grad_(True)
    first = cache_prefix(model, SEQUENCES, tmp_path, batch_size=4, notify=lambda line: None)
    blocks_of(model)[3].requires_grad_(True)
    third = cache_prefix(model, SEQUENCES, tmp_path, batch_size=4, notify=lambda line: None)
    assert (first.blocks, third.blocks) == (4, 3)
    with torch.no_grad():
        hidden = plain(input_ids=SEQUENCES, output_hidden_states=True, use_cache=False).hidden_states[3]
    rows = third.rows.find(SEQUENCES)
    assert rows is not None
    torch.testing.assert_close(third.states.read(rows), hidden)
    third.detach()
    assert not any("forward" in vars(module) for module in third.bypass.model.modules())


def test_dropout_above_the_cut_is_no_obstacle() -> None:
    model = adapt(tiny_model("gpt2", resid_pdrop=0.1), Recipe(model="-", data="-", rank=4, late_blocks=2)).eval()
    blocks_of(inner_model(model))[-2:].train()
    assert obstacle(model, 4) is None
    blocks_of(inner_model(model))[3].train()
    assert obstacle(model, 4)


def test_other_sequences_and_padded_ones_are_computed(tmp_path: Path) -> None:
    said: list[str] = []
    model, plain = adapted(), tiny_model()
    cache = cache_prefix(model, SEQUENCES, tmp_path, batch_size=4, notify=said.append)
    mask = torch.ones_like(SEQUENCES)
    mask[0, :3] = 0
    other = random_ids(6, 16, seed=99)
    given: list[dict[str, Any]] = [
        {"input_ids": SEQUENCES, "use_cache": False, "output_hidden_states": True},
        {"input_ids": SEQUENCES, "attention_mask": mask, "use_cache": False},
        {"input_ids": SEQUENCES[:, :9], "use_cache": False},
        {"input_ids": SEQUENCES, "use_cache": True},
        {"input_ids": SEQUENCES, "position_ids": torch.arange(16)[None] + 3, "use_cache": False},
        {"input_ids": other, "use_cache": False},
    ]
    with torch.no_grad():
        for arguments in given:
            assert torch.equal(model(**arguments).logits, plain(**arguments).logits)
        assert cache.served == 0
        assert sum("not in the prefix cache" in line for line in said) == 1
        assert torch.equal(
            model.generate(SEQUENCES[:, :5], max_new_tokens=6), plain.generate(SEQUENCES[:, :5], max_new_tokens=6)
        )
        assert cache.served == 0
        model(input_ids=SEQUENCES, attention_mask=torch.ones_like(SEQUENCES), use_cache=False)
        assert cache.served == 1


def test_buffers_count_too(tmp_path: Path) -> None:
    """A model cast as a whole has other rotary phases than one of which only the weights were cast."""
    recipe = Recipe(model="-", data="-", method="late-full", late_blocks=2)
    one, two = adapt(tiny_model(), recipe), adapt(cast(tiny_model(), torch.bfloat16), recipe)
    round_frozen(one)
    assert all(map(torch.equal, *([p for p in m.parameters() if not p.requires_grad] for m in (one, two))))
    made = [cache_prefix(m, SEQUENCES, tmp_path, precision="bf16", notify=lambda line: None) for m in (one, two)]
    assert not made[1].reused
    assert made[0].entry.path != made[1].entry.path


# --- whole runs ---


@pytest.mark.parametrize("method", ["late-lora", "late-full"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_runs_with_without_and_streaming_end_the_same(
    world: tuple[str, str], tmp_path: Path, precision: str, method: str
) -> None:
    said: list[str] = []
    recipe = recipe_for(world, method=method, precision=precision, probe_texts=3)
    with_it = train(recipe, tmp_path / "with", prefix_cache="required", notify=said.append)
    without = train(recipe, tmp_path / "without", prefix_cache="off", notify=said.append)
    streamed = train(recipe, tmp_path / "streamed", streaming=True, notify=said.append)
    assert_same(with_it.path, without.path)
    assert_same(with_it.path, streamed.path)
    assert events(with_it.path) == events(without.path)
    predictions = ("train_loss", "val_loss", "entropy")
    for one, two in zip(with_it.events("epoch"), streamed.events("epoch"), strict=True):
        assert [one[name] for name in predictions] == [two[name] for name in predictions]
        assert one["val_loss"] is not None
        assert "ttr" in one
        assert "ttr" not in two
    assert with_it.environment["prefix_cache"]["blocks"] == 4
    assert without.environment["prefix_cache"] is None
    text = "\n".join(said)
    assert "prefix cache: blocks 0–3 over 14 sequences" in text
    assert "prefix cache: saved about" in text
    assert "--streaming: no greedy text in the probes" in text
    assert len(store.entries(tmp_path / store.FOLDER)) == 1, "all three share one"


def test_rank_and_rate_share_a_cache(world: tuple[str, str], tmp_path: Path) -> None:
    for number, changes in enumerate(({}, {"rank": 2}, {"lr": 1e-3}, {"epochs": 1})):
        train(
            recipe_for(world, **changes),
            tmp_path / "runs" / str(number),
            cache_dir=tmp_path / "caches",
            notify=lambda line: None,
        )
    assert len(store.entries(tmp_path / "caches")) == 1
    assert not (tmp_path / "runs" / store.FOLDER).exists()


def test_a_run_that_cannot_be_cached_says_why_and_goes_on(world: tuple[str, str], tmp_path: Path) -> None:
    said: list[str] = []
    run = train(recipe_for(world, method="full", epochs=1), tmp_path / "full", notify=said.append)
    assert run.end
    assert "no prefix cache: the first block learns, so there is nothing below it to store" in said
    with pytest.raises(UserError, match="--prefix-cache required: the first block learns"):
        train(recipe_for(world, method="lora"), tmp_path / "lora", prefix_cache="required", notify=said.append)
    assert not (tmp_path / "lora").exists()


def test_a_cache_that_is_wrong_is_found_out_on_the_first_batch(
    world: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A state off by one bit: the run says so, computes everything, and ends as without."""
    plain = train(recipe_for(world), tmp_path / "plain", prefix_cache="off", notify=lambda line: None)
    real = PrefixCache.find

    def off_by_a_bit(self: PrefixCache, given: dict[str, Any]) -> Tensor | None:
        states = real(self, given)
        if states is not None:
            states.view(torch.int32)[0, -2, 0] ^= 1
        return states

    monkeypatch.setattr(PrefixCache, "find", off_by_a_bit)
    said: list[str] = []
    run = train(recipe_for(world), tmp_path / "wrong", notify=said.append)
    assert any("loss and gradients of the first batch are not bit for bit" in line for line in said)
    assert_same(plain.path, run.path)
    with pytest.raises(UserError, match=r"--prefix-cache required: .*not bit for bit"):
        train(recipe_for(world), tmp_path / "required", prefix_cache="required", notify=said.append)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # inside the compiler
def test_compiled_blocks_train_the_same_with_and_without(world: tuple[str, str], tmp_path: Path) -> None:
    said: list[str] = []
    plain = train(recipe_for(world, epochs=1), tmp_path / "plain", notify=said.append)
    with_it = train(
        recipe_for(world, epochs=1, compile=True), tmp_path / "with", prefix_cache="required", notify=said.append
    )
    without = train(
        recipe_for(world, epochs=1, compile=True), tmp_path / "without", prefix_cache="off", notify=said.append
    )
    assert_same(with_it.path, without.path)
    assert said.count("compiling 2 blocks; this can take a minute") == 2
    eager = weights(plain.path)
    for name, tensor in weights(with_it.path).items():
        torch.testing.assert_close(tensor, eager[name], rtol=1e-3, atol=1e-4)


def test_a_machine_that_cannot_compile_is_told_so(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(graph: object, inputs: object) -> Callable[..., object]:
        raise RuntimeError("no compiler here")

    real = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **how: real(self, backend=broken, **how))
    with pytest.raises(UserError, match=r"--compile: the blocks cannot be compiled on this machine.*leave it out"):
        train(recipe_for(world, compile=True), tmp_path / "run", notify=lambda line: None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "flags", "problem"),
    [
        ({"method": "lora"}, {"streaming": True}, "--streaming: needs frozen blocks"),
        ({"method": "full"}, {"streaming": True}, "--streaming: needs frozen blocks"),
        ({}, {"streaming": True, "prefix_cache": "off"}, "--streaming: needs frozen blocks and their cache"),
        ({}, {"prefix_cache": "sometimes"}, "--prefix-cache sometimes: give one of auto, off, required"),
    ],
)
def test_flags_that_do_not_go_together(
    world: tuple[str, str],
    tmp_path: Path,
    changes: dict[str, Any],
    flags: dict[str, Any],
    problem: str,
) -> None:
    with pytest.raises(UserError, match=problem):
        train(recipe_for(world, **changes), tmp_path / "run", notify=lambda line: None, **flags)
    assert not (tmp_path / "run").exists()


def test_streaming_refuses_weights_of_other_names(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from hyperfit.prefix.stream import Shards

    saved = save_tiny(tmp_path / "model")
    weights = load_file(saved / "model.safetensors")
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"--streaming: model.layers.0.mlp.up_proj.weight is not in the safetensors"):
        Shards(str(saved), tiny_model())


# --- hyperfit cache ---


def test_list_and_clear(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = cached(tmp_path), cached(tmp_path, late_blocks=3)
    (tmp_path / ".0123456789abcdef.part").mkdir()
    (tmp_path / "something else").mkdir()
    (tmp_path / "2026112501020304").mkdir()
    (tmp_path / "2026112501020304" / "thesis.txt").touch()
    main(["cache", "list", "--cache-dir", str(tmp_path)])
    shown = capsys.readouterr().out
    assert one.entry.path.name in shown
    assert "6 × 16 × 32" in shown
    assert "0–3" in shown
    main(["cache", "list", "--cache-dir", str(tmp_path), "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["name"] for row in rows} == {one.entry.path.name, two.entry.path.name}
    assert {row["states"]["bytes"] for row in rows} == {6 * 16 * 32 * 4}
    with pytest.raises(SystemExit) as ended:
        main(["cache", "clear", "nothing", "neither", "--cache-dir", str(tmp_path)])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "nothing: no prefix cache of that name" in said
    assert "neither: no prefix cache of that name" in said
    main(["cache", "clear", two.entry.path.name, "--cache-dir", str(tmp_path)])
    assert f"removed {two.entry.path.name} (13." in capsys.readouterr().out
    assert [entry.path for entry in store.entries(tmp_path)] == [one.entry.path]
    assert one.states.read([0]).any()
    main(["cache", "clear", "--cache-dir", str(tmp_path)])
    capsys.readouterr()
    assert {path.name for path in tmp_path.iterdir()} == {"something else", "2026112501020304"}
    assert one.states.read([0]).any(), "a run that reads it goes on undisturbed"
    main(["cache", "list", "--cache-dir", str(tmp_path)])
    assert "no prefix caches in" in capsys.readouterr().out
