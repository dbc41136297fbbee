"""The loop: its arithmetic, the stop rule, probes, reproducibility, kept epochs, NaN."""

import dataclasses
import itertools
import math
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from hyperfit.data.corpus import build_corpus
from hyperfit.errors import UserError
from hyperfit.generation.continuations import continue_contexts
from hyperfit.metrics.copying.memorisation import longest_overlaps
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.text.words import lexicon_of, word_shares
from hyperfit.models.loading import load_model, load_tokenizer
from hyperfit.recipes.recipe import Precision, Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any
from hyperfit.training.lines import copying_line, epoch_line, unjudged, verdict
from hyperfit.training.loop import epoch_order
from hyperfit.training.train import train
from small_runs import assert_same, events, quiet, recipe_for, weights


def test_every_sequence_is_in_every_epoch_exactly_once(world: tuple[str, str]) -> None:
    recipe = recipe_for(world, batch_size=3, accumulate=2)
    first, second = (epoch_order(recipe, epoch, 20, 1) for epoch in (0, 1))
    assert [len(rows) for rows in first] == [6, 6, 6, 2]
    assert sorted(itertools.chain(*first)) == sorted(itertools.chain(*second)) == list(range(20))
    assert first != second
    assert first == epoch_order(recipe, 0, 20, 1)


def test_full_training_equals_a_plain_loop(world: tuple[str, str], tmp_path: Path) -> None:
    """Ten lines of torch, no accelerate, no batching over the texts: the same weights within rounding."""
    from hyperfit.data.corpus import build_corpus
    from hyperfit.models.loading import load_tokenizer

    recipe = recipe_for(world, method="full", epochs=2, batch_size=5)
    train(recipe, tmp_path / "run", notify=quiet)
    rows = build_corpus(recipe, load_tokenizer(recipe.model)).train
    model = load_model(recipe.model, device=torch.device("cpu"), dtype=torch.float32)
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.lr or 0)
    losses = []
    for epoch in range(2):
        total = 0.0
        for update in epoch_order(recipe, epoch, len(rows), 1):
            optimizer.zero_grad()
            loss = torch.stack(
                [F.cross_entropy(model(row[None]).logits[0, :-1], row[1:]) for row in rows[update]]
            ).mean()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(update)
        losses.append(total / len(rows))
    trained = weights(tmp_path / "run")
    for name, parameter in model.named_parameters():
        if name in trained:
            torch.testing.assert_close(trained[name], parameter.detach(), rtol=1e-3, atol=2e-4)
    logged = [event["train_loss"] for event in events(tmp_path / "run") if event["event"] == "epoch"][1:]
    assert logged == pytest.approx(losses, abs=1e-4)


def test_accumulation_changes_nothing_but_rounding(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.optim, "AdamW", torch.optim.SGD)
    train(recipe_for(world, method="full", batch_size=4), tmp_path / "whole", notify=quiet)
    train(recipe_for(world, method="full", batch_size=2, accumulate=2), tmp_path / "parts", notify=quiet)
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=2e-4)


def test_stops_at_the_goal_and_says_so(world: tuple[str, str], tmp_path: Path) -> None:
    said: list[str] = []
    run = train(
        recipe_for(world, epochs=400, stop_loss=1.0, method="full", probe_every=0), tmp_path / "run", notify=said.append
    )
    rows = events(run.path)
    end, last = rows[-1], rows[-2]
    assert end["event"] == "end"
    assert end["reason"] == "loss"
    assert last["train_loss"] <= 1.0  # type: ignore[operator]
    assert all(row["train_loss"] is None or row["train_loss"] > 1.0 for row in rows[:-2])  # type: ignore[operator]
    assert last["val_loss"] is not None, "the last epoch is always probed"
    assert "goal (at most 1) reached" in said[-1]


def test_probes_see_what_was_copied_and_the_index_is_built_once(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, said = list[int](), list[str]()

    class Counted(TrainingIndex):
        def __init__(self, training: Any) -> None:
            built.append(len(training))
            super().__init__(training)

    monkeypatch.setattr("hyperfit.training.checks.TrainingIndex", Counted)
    recipe = recipe_for(world, epochs=3, greedy_every=1)
    run = train(recipe, tmp_path / "run", notify=said.append)
    tokenizer = load_tokenizer(world[0])
    corpus = build_corpus(recipe, tokenizer)
    assert built == [len(corpus.train)]
    contexts = corpus.validation[:2, :15].tolist()
    written = continue_contexts(load_any(str(run.path), device=torch.device("cpu")), tokenizer, contexts, new_tokens=49)
    overlaps = longest_overlaps(written, corpus.train.tolist())
    last = run.events("epoch")[-1]
    assert last["longest_overlap"] == pytest.approx(overlaps.mean())
    assert last["long_overlap_share"] == pytest.approx((overlaps > 10).mean())
    lexicon = lexicon_of(tokenizer.batch_decode(corpus.train))
    shares = [share for share in word_shares(tokenizer, contexts, written, lexicon) if not math.isnan(share)]
    assert last["word_share"] == (pytest.approx(sum(shares) / len(shares), abs=1e-6) if shares else None)
    assert {"longest_overlap", "long_overlap_share", "word_share"} <= run.events("epoch")[0].keys()
    assert f"copied {overlaps.mean():.1f}  >10: {(overlaps > 10).mean():.0%}".replace("%", " %") in said[-3]
    assert said[-1].endswith(copying_line(last, len(written)))


def test_what_is_said_of_copies_by_hand() -> None:
    def said(overlap: float | None, share: float | None) -> str:
        return copying_line({"longest_overlap": overlap, "long_overlap_share": share}, 32)

    assert said(None, None) == copying_line({}, 32) == ""
    few = said(5.8, 0)
    assert "5.8 tokens on average" in few
    assert "more than 10 in 0 of 32 texts" in few
    assert "--block-citations" not in few
    for much in (said(5.81, 0), said(4, 1 / 32)):
        assert "more samples, a smaller --lr or --block-citations when generating" in much
    assert "more than 10 in 1 of 32" in said(4, 1 / 32)
    event = {"epoch": 2, "train_loss": 0.5, "ttr": 0.6, "word_share": 0.97, "longest_overlap": 5.1}
    line = epoch_line(event | {"long_overlap_share": 0.04}, 9, 1.0)
    assert line == "epoch   2 of at most 9  train 0.500  TTR .600  words 97 %  copied 5.1  >10: 4 %  1.0 s"


def test_it_is_said_where_copying_could_not_end_a_run() -> None:
    often = Recipe(model="m", data="d")
    assert unjudged(often) == unjudged(dataclasses.replace(often, stop_copying=None, greedy_every=0)) == ""
    assert "judged only here, at the end (--greedy-every 0)" in unjudged(dataclasses.replace(often, greedy_every=0))


def test_where_texts_recite_nothing_is_advised_that_would_add_to_it() -> None:
    much, little = (copying_line({"longest_overlap": tokens, "long_overlap_share": 0.0}, 12) for tokens in (9.0, 4.0))
    assert verdict("epochs", 0.3, 0.25, much, "") == "goal (at most 0.25) NOT reached"
    assert "a larger --lr" in verdict("epochs", 0.3, 0.25, little, "")
    assert verdict("epochs", 0.2, 0.25, little, "") == "goal (at most 0.25) reached"
    assert verdict("epochs", 0.3, None, much, "") == "all epochs done"
    assert verdict("auto", 0.3, None, little, "a rule") == "ended by --stop auto (a rule)"


def test_says_when_the_goal_was_not_reached(world: tuple[str, str], tmp_path: Path) -> None:
    said: list[str] = []
    run = train(recipe_for(world, epochs=1, stop_loss=0.05), tmp_path / "run", notify=said.append)
    assert run.end is not None
    assert run.end["reason"] == "epochs"
    assert "NOT reached (more --epochs, a larger --lr or --rank, or a higher --stop-loss would reach it)" in said[-1]


@pytest.mark.parametrize("method", ["late-lora", "late-full", "full"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_command_gives_the_same_bytes(
    world: tuple[str, str], tmp_path: Path, method: str, precision: str
) -> None:
    recipe = recipe_for(world, method=method, precision=precision)
    for name in ("one", "two"):
        train(recipe, tmp_path / name, notify=quiet)
    assert events(tmp_path / "one") == events(tmp_path / "two")
    assert_same(tmp_path / "one", tmp_path / "two")


def test_trained_weights_are_saved_in_fp32_even_under_bf16(world: tuple[str, str], tmp_path: Path) -> None:
    for method in ("late-lora", "late-full", "full"):
        train(recipe_for(world, method=method, precision="bf16", epochs=1), tmp_path / method, notify=quiet)
        assert {tensor.dtype for tensor in weights(tmp_path / method).values()} == {torch.float32}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_does_not_learn_is_saved_as_it_was(world: tuple[str, str], tmp_path: Path, precision: str) -> None:
    """Bit for bit that of the base, which is in fp32, although training under bf16 holds it rounded."""
    recipe = recipe_for(world, method="late-full", precision=precision, epochs=1)
    run = train(recipe, tmp_path / "run", notify=quiet)
    base, trained = load_file(Path(world[0]) / "model.safetensors"), weights(run.path)
    late = ("model.norm.", "model.layers.4.", "model.layers.5.")
    assert base.keys() == trained.keys()
    assert {name for name in base if not torch.equal(base[name], trained[name])} == {
        name for name in base if name.startswith(late)
    }
    under: Precision = "bf16" if precision == "bf16" else "fp32"
    loaded = load_any(str(run.path), device=torch.device("cpu"), precision=under)
    kinds = {p.dtype for name, p in loaded.named_parameters() if not name.startswith(late)}
    assert kinds == {torch.bfloat16 if precision == "bf16" else torch.float32}, "as in training"
    for name, parameter in loaded.named_parameters():
        assert torch.equal(parameter, trained[name].to(parameter.dtype))
        assert not name.startswith(late) or parameter.dtype == torch.float32


def test_another_seed_gives_another_run(world: tuple[str, str], tmp_path: Path) -> None:
    for seed in (0, 1):
        train(recipe_for(world, seed=seed, epochs=1), tmp_path / str(seed), notify=quiet)
    one, two = weights(tmp_path / "0"), weights(tmp_path / "1")
    assert any(not torch.equal(one[name], two[name]) for name in one)


def test_no_validation_without_held_out_texts(world: tuple[str, str], tmp_path: Path) -> None:
    run = train(recipe_for(world, heldout=0, epochs=1), tmp_path / "run", notify=quiet)
    assert run.events("epoch")[-1]["val_loss"] is None
    assert run.events("epoch")[-1]["ttr"] is None
    assert run.events("epoch")[-1]["longest_overlap"] is None


@pytest.mark.parametrize("method", ["late-lora", "late-full", "full"])
def test_a_kept_epoch_is_the_run_that_was_to_end_there(world: tuple[str, str], tmp_path: Path, method: str) -> None:
    recipe = recipe_for(world, method=method, epochs=4, probe_every=3, greedy_every=0)
    run = train(dataclasses.replace(recipe, keep_every=2), tmp_path / "long", notify=quiet)
    short = train(dataclasses.replace(recipe, epochs=2), tmp_path / "short", notify=quiet)
    assert list(run.kept) == [2], "the last epoch is the result itself"
    kept = run.kept[2]
    assert_same(kept.path, short.path)
    assert events(kept.path) == events(short.path)
    assert kept.recipe == short.recipe
    assert kept.environment == short.environment | {"prefix_cache": kept.environment["prefix_cache"]}
    assert kept.result.name == short.result.name
    assert {file.name for file in kept.result.iterdir()} == {file.name for file in short.result.iterdir()}
    before = run.kept[2].events_file.read_bytes()
    train(kept.recipe, kept.path, resume=True, notify=quiet)
    assert kept.events_file.read_bytes() == before, "it has ended"


def test_kept_epochs_survive_an_interruption(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hyperfit.training.saving import Saving

    recipe = recipe_for(world, epochs=4, keep_every=1, checkpoint_every=4)
    whole = train(recipe, tmp_path / "whole", notify=quiet)
    real = Saving.keep

    def keep_and_fail(saving: Saving, loss: float, event: dict[str, object]) -> None:
        real(saving, loss, event)
        if saving.state.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Saving, "keep", keep_and_fail)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "broken", notify=quiet)
    monkeypatch.undo()
    broken = train(recipe, tmp_path / "broken", resume=True, notify=quiet)
    assert list(broken.kept) == list(whole.kept) == [1, 2, 3]
    for epoch, kept in whole.kept.items():
        assert_same(kept.path, broken.kept[epoch].path)
        assert events(kept.path) == events(broken.kept[epoch].path)


def test_adapters_below_the_last_blocks_have_a_prefix_too(world: tuple[str, str], tmp_path: Path) -> None:
    recipe = recipe_for(world, method="lora", blocks=(2, 3))
    runs = [train(recipe, tmp_path / mode, prefix_cache=mode, notify=quiet) for mode in ("required", "off")]  # type: ignore[arg-type]
    assert runs[0].environment["prefix_cache"]["blocks"] == 2
    assert runs[0].environment["adapted_blocks"] == [2, 3]
    assert_same(runs[0].path, runs[1].path)
    assert events(runs[0].path) == events(runs[1].path)


def test_an_interrupted_epoch_counts_all_its_seconds(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock that goes forward by one second an update."""
    import hyperfit.training.loop as module

    now, real = 0, module.Loop.update

    def ticking(*arguments: object) -> bool:
        nonlocal now
        now += 1
        if now == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module.Loop, "update", ticking)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: float(now)))
    stop_at = 0
    whole = train(recipe_for(world), tmp_path / "whole", notify=quiet)
    seconds = [event["seconds"] for event in whole.events("epoch")]
    assert len(set(seconds[1:])) == 1
    assert seconds[1] > 2
    stop_at = now + int(seconds[1]) + 2
    with pytest.raises(KeyboardInterrupt):
        train(recipe_for(world), tmp_path / "broken", notify=quiet)
    broken = train(recipe_for(world), tmp_path / "broken", resume=True, notify=quiet)
    assert [event["seconds"] for event in broken.events("epoch")] == seconds


@pytest.mark.parametrize(("call", "where"), [(5, "loss"), (4, "gradient"), (8, "gradient")])
def test_nan_stops_and_keeps_the_last_good_state(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, where: str
) -> None:
    """NaN in a loss, and in the gradients of an epoch's last update (4 updates an epoch), where no loss shows it."""
    import hyperfit.training.loop as module

    real = module.SequenceLoss.forward
    calls = 0

    def failing(*arguments: object) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal calls
        calls += 1
        loss, part = real(*arguments)  # type: ignore[arg-type]
        if calls == call and where == "loss":
            return loss * math.nan, part * math.nan
        if calls == call:
            part.register_hook(lambda gradient: gradient * math.nan)
        return loss, part

    monkeypatch.setattr(module.SequenceLoss, "forward", failing)
    with pytest.raises(UserError, match=r"--lr 0.01: loss or weights became NaN.*smaller --lr"):
        train(recipe_for(world), tmp_path / "run", prefix_cache="off", notify=quiet)
    run = RunDir.open(tmp_path / "run")
    assert run.end is not None
    assert run.end["reason"] == "nan"
    checkpoint = run.newest_checkpoint(quiet)
    assert (checkpoint is None) == (call == 4), "the last good state is that of the epoch before"
    if checkpoint is not None:
        saved = load_file(checkpoint.path / "state.safetensors")
        assert all(torch.isfinite(tensor).all() for tensor in saved.values())
    with pytest.raises(UserError, match="training diverged"):
        train(recipe_for(world), tmp_path / "run", resume=True, notify=quiet)
