"""Where to adapt: which trainings are compared, how they are trained and taken up again, and what is measured."""

import dataclasses
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hyperfit.prefix.plan as prefix_plan
import hyperfit.studies.grid.training as grid
import hyperfit.training.loop as training
from hyperfit.errors import UserError
from hyperfit.mechanism.pair.continuations import Continuing
from hyperfit.metrics.copying.memorisation import longest_overlaps
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.estimate import estimate, share_estimate
from hyperfit.metrics.text.diversity import type_token_ratio
from hyperfit.metrics.text.words import Lexicon, word_shares
from hyperfit.models.loading import load_model, load_tokenizer
from hyperfit.recipes.defaults import default_rate
from hyperfit.recipes.recipe import Recipe
from hyperfit.report.look import IN_FILE
from hyperfit.report.plots.placement import placement_panels, sweep
from hyperfit.report.tables.mechanism.placement import placement_tables
from hyperfit.runs.directory import RunDir
from hyperfit.runs.json_values import json_values
from hyperfit.runs.result import load_any
from hyperfit.studies.grid.training import Trained
from hyperfit.studies.placement.design import Design, PlacementTrial
from hyperfit.studies.placement.findings import Placement
from hyperfit.studies.placement.measure import measured, placement
from hyperfit.studies.placement.sentence import sentence
from hyperfit.studies.placement.train import train_trials
from hyperfit.training.train import train
from small_runs import assert_same, quiet, recipe_for
from tiny_models import BLOCKS, WIDTH, save_tiny

CPU = torch.device("cpu")


def design(**changes: object) -> Design:
    settings: dict[str, object] = {"recipe": Recipe(model="m", data="d", rank=8, alpha=4.0, late_blocks=2)}
    return Design(**{**settings, "depth": 6, "width": 32, **changes})  # type: ignore[arg-type]


def trials_of(one: Design) -> list[PlacementTrial]:
    return [trial for place in one.trials() for trial in place]


# Which trainings


def test_the_trials_by_hand() -> None:
    found = {trial.name: (trial.blocks, trial.recipe.rank) for trial in trials_of(design(depths=(1, 3)))}
    assert found == {
        "last-02-rank": ((4, 5), 8),
        "last-01-rank": ((5,), 8),
        "last-01-parameters": ((5,), 16),
        "last-03-rank": ((3, 4, 5), 8),
        "last-06-rank": ((0, 1, 2, 3, 4, 5), 8),
        "first-02-rank": ((0, 1), 8),
        "middle-02-rank": ((2, 3), 8),
        "late-full-01-rank": ((5,), 8),
        "late-full-02-rank": ((4, 5), 8),
        "late-full-03-rank": ((3, 4, 5), 8),
        "full-06-rank": ((0, 1, 2, 3, 4, 5), 8),
    }
    assert next(iter(found)) == "last-02-rank", "the reference comes first"
    wide = Recipe(model="m", data="d", rank=30, late_blocks=2)
    ranks = {trial.name: trial.recipe.rank for trial in trials_of(design(recipe=wide)) if trial.equal == "parameters"}
    assert ranks == {
        "last-03-parameters": 20,
        "last-04-parameters": 15,
        "last-05-parameters": 12,
        "last-06-parameters": 10,
    }
    assert {len(trial.blocks) for trial in trials_of(design()) if trial.place == "last"} == set(range(1, 7)), "1 to all"
    assert {len(trial.blocks) for trial in trials_of(design()) if trial.place == "late-full"} == set(range(1, 6))
    for trial in trials_of(design()):
        assert trial.recipe.method == {"full": "full", "late-full": "late-full"}.get(trial.place, "lora")
        assert trial.recipe.late_blocks == (len(trial.blocks) if trial.place == "late-full" else 5)


def test_around_a_run_of_whole_late_blocks_by_hand() -> None:
    """It is the reference; adapters in as many blocks are one of the others, and none has its number of parameters."""
    recipe = Recipe(model="m", data="d", rank=8, late_blocks=2, method="late-full", lr=0.3)
    trials = trials_of(design(recipe=recipe, depths=(1, 3)))
    assert [trial.name for trial in trials] == [
        *("late-full-02-rank", "last-01-rank", "last-02-rank", "last-03-rank", "last-06-rank"),
        *("first-02-rank", "middle-02-rank", "late-full-01-rank", "late-full-03-rank", "full-06-rank"),
    ]
    assert (trials[0].recipe.method, trials[0].recipe.late_blocks, trials[0].recipe.lr) == ("late-full", 2, 0.3)


@given(depth=st.integers(1, 40), late=st.integers(1, 12), rank=st.integers(1, 64), width=st.integers(64, 128))
def test_equal_parameters_are_equal_up_to_rounding_and_the_width(depth: int, late: int, rank: int, width: int) -> None:
    late = min(late, depth)
    recipe = Recipe(model="m", data="d", rank=rank, late_blocks=late, probe_every=1, keep_every=2)
    trials = trials_of(design(recipe=recipe, depth=depth, width=width))
    assert len({trial.name for trial in trials}) == len({trial.recipe for trial in trials}) == len(trials)
    for trial in trials:
        assert trial.recipe.blocks == (() if trial.place in ("full", "late-full") else trial.blocks)
        assert set(trial.blocks) <= set(range(depth))
        assert (trial.recipe.seed, trial.recipe.data, trial.recipe.lora_alpha) == (recipe.seed, recipe.data, rank)
        assert trial.place == "full" or trial.recipe.rank <= width
        if trial.equal == "parameters":
            assert trial.recipe.rank * len(trial.blocks) == pytest.approx(rank * late, rel=0.05)
        if trial.place in ("first", "middle"):
            assert len(trial.blocks) == late
    assert ("first" in {trial.place for trial in trials}) == (late < depth)
    assert ("middle" in {trial.place for trial in trials}) == (late < depth - 1)


def test_learning_rates_are_the_runs_where_it_trained_like_that() -> None:
    def rates(one: Design) -> tuple[float | None, float | None]:
        trials = trials_of(one)
        assert len({trial.recipe.lr for trial in trials if trial.recipe.adapters}) == 1
        return next(trial.recipe.lr for trial in trials if trial.recipe.adapters), trials[-1].recipe.lr

    adapted = Recipe(model="m", data="d", lr=0.01, late_blocks=5)
    whole = Recipe(model="m", data="d", lr=0.02, method="full")
    assert rates(design(recipe=adapted)) == (0.01, default_rate("full", WIDTH))
    assert rates(design(recipe=whole)) == (default_rate("lora", WIDTH), 0.02)
    assert rates(design(recipe=adapted, full_lr=0.5)) == (0.01, 0.5)
    assert rates(design(recipe=whole, full_lr=0.5, adapter_lr=0.3)) == (0.3, 0.5)
    late = Recipe(model="m", data="d", lr=0.03, method="late-full", late_blocks=2)
    assert rates(design(recipe=late)) == (default_rate("lora", WIDTH), pytest.approx(0.01))


@given(late=st.integers(1, 40), rate=st.floats(1e-7, 1e-2))
def test_fewer_blocks_learn_whole_at_a_larger_rate(late: int, rate: float) -> None:
    """In proportion; at the run's own number of blocks it is the run's to the bit, and it is never above 1."""
    run = Recipe(model="m", data="d", lr=rate, method="late-full", late_blocks=late)
    own = design(recipe=run, depth=40)
    assert own.full_rate(late) == rate
    for count in range(1, 41):
        assert own.full_rate(count) * count == pytest.approx(rate * late)
        assert design(full_lr=rate, depth=40).full_rate(count) * count == pytest.approx(rate * 40)
    assert design(full_lr=0.5, depth=40).full_rate(40) == 0.5
    assert design(full_lr=0.5, depth=40).full_rate(1) == 1
    # by hand on a model of 30 blocks, whose rate for all is 1e-4: 1.5e-4 to 2e-4 for 20 blocks, 4e-4 for 10
    assert [design(full_lr=1e-4, depth=30).full_rate(count) for count in (20, 10)] == pytest.approx([1.5e-4, 3e-4])


def test_a_run_without_late_blocks_is_held_against_the_papers_five() -> None:
    assert len(design(recipe=Recipe(model="m", data="d", method="full"), depth=12).reference.blocks) == 5
    assert len(design(recipe=Recipe(model="m", data="d", method="lora"), depth=3).reference.blocks) == 3


# Their training


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory, world: tuple[str, str]) -> tuple[str, str]:
    """The tiny Llama with room for 96 tokens behind a context, and the fourteen texts."""
    return str(save_tiny(tmp_path_factory.mktemp("wide"), max_position_embeddings=256)), world[1]


@pytest.fixture(scope="module")
def run(wide: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return train(recipe_for(wide, epochs=2), tmp_path_factory.mktemp("runs") / "run", notify=quiet)


@contextmanager
def clock_of_work() -> Iterator[None]:
    """Training's clock: an update takes a second for every block from the first one that learns, filling takes none."""
    now, real = 0.0, training.Loop.update

    def update(loop: Any, *rest: Any) -> bool:
        nonlocal now
        recipe = loop.checked.recipe
        now += recipe.late_blocks if recipe.late else BLOCKS - min(recipe.blocks, default=0)
        return real(loop, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.Loop, "update", update)
        patch.setattr(training, "time", SimpleNamespace(monotonic=lambda: now))
        patch.setattr(prefix_plan, "time", SimpleNamespace(monotonic=lambda: 0.0))
        yield


@pytest.fixture(scope="module")
def bench(run: RunDir, tmp_path_factory: pytest.TempPathFactory) -> tuple[Design, Path, list[Trained]]:
    one = design(recipe=run.recipe, depth=BLOCKS, width=32, depths=(1,), full_lr=1e-3)
    folder = tmp_path_factory.mktemp("placement")
    with clock_of_work():
        return one, folder, train_trials(one, folder)


@pytest.fixture(scope="module")
def found(bench: tuple[Design, Path, list[Trained]], wide: tuple[str, str]) -> Placement:
    return measure(bench[2], wide)


def test_the_reference_is_the_run(run: RunDir, bench: tuple[Design, Path, list[Trained]]) -> None:
    assert_same(run.path, bench[2][0].run.path)


def test_each_trial_trains_its_blocks_and_no_cache_stays(bench: tuple[Design, Path, list[Trained]]) -> None:
    _, folder, done = bench
    for one in done:
        assert one.run.environment["adapted_blocks"] == list(one.trial.blocks)
        assert one.parameters == one.run.environment["trainable_parameters"]
        assert one.reason == "epochs"
    of = {one.trial.name: one.parameters for one in done}
    assert of["first-02-rank"] == of["middle-02-rank"] == of["last-02-rank"] == 2 * of["last-01-rank"]
    assert of["last-01-parameters"] == of["last-02-rank"]
    assert sorted(path.name for path in folder.iterdir()) == sorted({one.run.path.name for one in done})


def test_equal_time_by_hand(bench: tuple[Design, Path, list[Trained]]) -> None:
    """Two epochs of two blocks: one block trains twice as fast, four at half, and six at a third of the speed."""
    epochs = {one.trial.name: one.epochs for one in bench[2] if one.trial.equal == "time"}
    assert epochs == {
        "last-01-time": 4,
        "last-06-time": 1,
        "first-02-time": 1,
        "middle-02-time": 1,
        "late-full-01-time": 4,
        "late-full-02-time": 2,
        "full-06-time": 1,
    }
    of = {one.trial.name: one for one in bench[2]}
    for name, timed in of.items():
        if timed.trial.equal == "time":
            whole = of[name.replace("time", "rank")]
            assert timed.seconds == timed.epochs * whole.epoch_seconds
            shared = min(timed.epochs, whole.epochs) + 1
            losses = [[event["train_loss"] for event in one.run.events("epoch")[:shared]] for one in (timed, whole)]
            assert losses[0] == losses[1], "a part of the same training"


@pytest.mark.parametrize(
    ("seconds", "epochs"), [(0.0, 1), (4.9, 1), (5.0, 1), (7.0, 2), (8.99, 2), (9.0, 3), (23.0, 10)]
)
def test_epochs_within_by_hand(bench: tuple[Design, Path, list[Trained]], seconds: float, epochs: int) -> None:
    one = Trained(
        trial=bench[2][0].trial, run=bench[2][0].run, parameters=1, epochs=4, reason="epochs", train_loss=1.0,
        epoch_seconds=2.0, cache_seconds=3.0,
    )  # fmt: skip
    assert one.seconds == 11.0
    assert one.epochs_within(seconds) == epochs
    assert dataclasses.replace(one, reason="loss").epochs_within(seconds) == min(epochs, 4), "it has come to its goal"


def marked(done: list[Trained], folder: Path) -> set[str]:
    """Put a mark into every trial's folder; a folder that is made anew has none."""
    names = {one.run.path.name for one in done}
    for name in names:
        (folder / name / "mark").touch()
    return names


def test_what_is_done_is_not_trained_again(bench: tuple[Design, Path, list[Trained]], tmp_path: Path) -> None:
    one, folder, done = bench
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    names = marked(done, tmp_path)
    said: list[str] = []
    again = train_trials(one, tmp_path, notify=said.append)
    assert [(t.trial.name, t.epochs, t.train_loss) for t in again] == [
        (t.trial.name, t.epochs, t.train_loss) for t in done
    ]
    assert all((tmp_path / name / "mark").exists() for name in names)
    assert "9 trainings, and up to 7 more" in said[0]
    assert all(line.endswith("(trained before)") for line in said[1:])


@pytest.mark.parametrize(
    "damage", ["recipe.json", "environment.json", "events.jsonl", "adapter/adapter_model.safetensors"]
)
def test_what_is_damaged_is_trained_anew(
    bench: tuple[Design, Path, list[Trained]], tmp_path: Path, damage: str
) -> None:
    one, folder, done = bench
    shutil.copytree(folder / done[0].run.path.name, tmp_path / done[0].run.path.name)
    marked(done[:1], tmp_path)
    file = tmp_path / done[0].run.path.name / damage
    if file.suffix == ".safetensors":
        file.unlink()
    else:
        file.write_text("{\n")
    again = grid.train_trial(one.reference, tmp_path)
    assert not again.found
    assert not (again.run.path / "mark").exists()
    assert_same(again.run.path, done[0].run.path)


def test_another_recipe_is_trained_in_its_place(
    run: RunDir, bench: tuple[Design, Path, list[Trained]], tmp_path: Path
) -> None:
    _, folder, done = bench
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    names = marked(done, tmp_path)
    with clock_of_work():
        train_trials(design(recipe=run.recipe, depth=BLOCKS, width=32, depths=(1,), full_lr=2e-3), tmp_path)
    anew = {name for name in names if not (tmp_path / name / "mark").exists()}
    assert anew == {"full-06-rank", "full-06-time", "late-full-01-rank", "late-full-01-time", "late-full-02-rank"}


def test_a_tie_is_no_epoch_less() -> None:
    for hundredths in range(1, 300):
        one = Trained(
            trial=design().reference, run=RunDir(Path("-")), parameters=1, epochs=3, reason="epochs", train_loss=1.0,
            epoch_seconds=hundredths / 100, cache_seconds=0.5,
        )  # fmt: skip
        assert one.epochs_within(one.seconds) == 3


def test_a_trial_that_diverges_does_not_end_the_study(wide: tuple[str, str], tmp_path: Path) -> None:
    recipe = recipe_for(wide, epochs=2, probe_every=0)
    one = design(recipe=recipe, depth=BLOCKS, width=32, depths=(1,), full_lr=1.0)
    real = grid.train

    def diverging(recipe: Recipe, path: Path, **rest: object) -> RunDir:
        if recipe.method != "full":
            return real(recipe, path, **rest)  # type: ignore[arg-type]
        lost = RunDir.create(path, recipe, {**RunDir(path.parent / "last-02-rank").environment})
        lost.append({"event": "epoch", "epoch": 0, "step": 0, "train_loss": None, "seconds": 0.0})
        lost.append({"event": "end", "epoch": 0, "step": 1, "reason": "nan"})
        raise UserError("--lr 1.0: loss or weights became NaN")

    trials = trials_of(one)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "train", diverging)
        patch.setattr(Design, "trials", lambda self: iter([(trials[0],), (trials[-1],)]))
        done = train_trials(one, tmp_path / "trials")
    assert [t.diverged for t in done] == [False, True], "and nothing of it is trained at equal time"
    lost = done[-1]
    assert math.isnan(lost.train_loss)
    found = measure(done, wide)
    assert found.trials[-1].measures == {}
    assert found.trials[-1].ttr_difference is None
    assert found.find("full", "rank") is None
    told = json_values(found)
    assert "all parameters without" not in sentence(found)
    names = [row.name for row in placement_tables(told)[0].rows if not row.source]
    assert names[-2:] == ["all parameters (diverged)", "human"]
    placement_panels(told, IN_FILE)


def test_what_training_refuses_is_told(wide: tuple[str, str], tmp_path: Path) -> None:
    one = design(recipe=recipe_for(wide, length=10_000), depth=BLOCKS, width=32)
    with pytest.raises(UserError, match="--length 10000"):
        train_trials(one, tmp_path)


# What is measured


def texts_of(world: tuple[str, str]) -> torch.Tensor:
    return torch.randint(3, 250, (3, 104), generator=torch.Generator().manual_seed(0))


def measure(done: list[Trained], world: tuple[str, str]) -> Placement:
    return placement(
        done,
        lambda name: load_any(name, device=CPU),
        load_tokenizer(world[0]),
        texts_of(world),
        Continuing(context=8),
        depth=BLOCKS,
        lexicon=Lexicon("en", frozenset({"a", "i"})),
        index=TrainingIndex(texts_of(world)[:1, 8:].tolist()),
    )


def test_measures_are_those_of_a_plain_forward_pass(wide: tuple[str, str]) -> None:
    model, texts = load_model(wide[0], device=CPU, dtype=torch.float32), texts_of(wide)
    values, choices = measured(model, load_tokenizer(wide[0]), texts, Continuing(context=8))
    with torch.no_grad():
        logits = model(input_ids=texts).logits[:, 7:-1]
        written = model.generate(texts[:, :8], max_new_tokens=96, do_sample=False, pad_token_id=0)[:, 8:]
    log_p = logits.log_softmax(-1)
    assert torch.equal(choices, logits.argmax(-1).double())
    assert values["entropy"] == pytest.approx(-(log_p.exp() * log_p).sum(-1).mean(1).numpy(), rel=1e-5)
    losses = -log_p.gather(-1, texts[:, 8:, None]).squeeze(-1)
    assert values["loss"] == pytest.approx(losses.mean(1).numpy(), rel=1e-5)
    assert values["ttr"] == pytest.approx([type_token_ratio(row) for row in written.tolist()])


def test_every_trial_is_measured_on_the_same_texts(
    wide: tuple[str, str], bench: tuple[Design, Path, list[Trained]], found: Placement
) -> None:
    assert [trial.name for trial in found.trials] == [t.run.path.name for t in bench[2]]
    assert found.trials[0].ttr_difference is not None
    assert found.trials[0].ttr_difference.value == 0
    assert found.base["top1_agreement_with_base"].value == 1
    reference = found.trials[0].measures["ttr"]
    with torch.no_grad():
        base = load_any(wide[0], device=CPU)(input_ids=texts_of(wide)).logits[:, 7:-1].argmax(-1)
    for trial, one in list(zip(found.trials, bench[2], strict=True))[1::4]:
        model = load_any(str(one.run.path), device=CPU)
        values, _ = measured(model, load_tokenizer(wide[0]), texts_of(wide), Continuing(context=8))
        assert trial.measures["ttr"].value == pytest.approx(np.mean(values["ttr"]))
        assert trial.measures["perplexity"].value == pytest.approx(math.exp(np.mean(values["loss"])))
        assert trial.ttr_difference is not None
        assert trial.ttr_difference.value == pytest.approx(trial.measures["ttr"].value - reference.value)
        with torch.no_grad():
            same = model(input_ids=texts_of(wide)).logits[:, 7:-1].argmax(-1) == base
        assert trial.measures["top1_agreement_with_base"].value == pytest.approx(float(same.double().mean()))
    assert min(trial.measures["top1_agreement_with_base"].value for trial in found.trials) < 0.9
    told, said = json_values(found), sentence(found)
    for part in (
        f"Adapters in the last 2 of {BLOCKS} blocks: ",
        "in the first 2: ",
        "67 % fewer parameters",
        "0 of the 9 trainings",
        "all parameters of the last 2: ",
        "; with all their parameters for ",
    ):
        assert part in said
    top = max(sweep(told, "parameters"), key=lambda trial: trial["measures"]["ttr"]["value"])
    assert f"{len(top['blocks'])} at equal parameters (" in said
    assert [len(trial["blocks"]) for trial in sweep(told, "rank")] == [1, 2, 6]
    assert [len(trial["blocks"]) for trial in sweep(told, "parameters")] == [1, 2], "rank 4 · 2 / 6 is none"
    assert [trial["name"] for trial in sweep(told, "rank", "late-full")] == [
        *("late-full-01-rank", "late-full-02-rank", "full-06-rank"),
    ]
    assert [len(trial["blocks"]) for trial in sweep(told, "time", "late-full")] == [1, 2, 6]


def test_the_fewest_blocks_that_come_to_the_goal_by_hand(found: Placement) -> None:
    """Whatever they were measured to write: of each kind, the smallest number with a loss near zero."""
    losses = {"last-02-rank": 0.04, "last-06-rank": 0.05, "full-06-rank": 0.01, "last-01-time": 0.06}
    changed = [
        dataclasses.replace(
            trial,
            train_loss=0.04
            if (trial.place, trial.equal) == ("last", "time") and len(trial.blocks) == 6
            else losses.get(trial.name, 1.0),
        )
        for trial in found.trials
    ]
    told = sentence(dataclasses.replace(found, trials=changed))
    assert (
        " The fewest last blocks with which it did: 2 with adapters (2 at equal time), 6 with all their parameters "
        "(none at equal time)." in told
    )
    assert "The fewest" not in sentence(found)


def test_around_whole_late_blocks_all_is_told_against_them(wide: tuple[str, str], tmp_path: Path) -> None:
    """The run's own kind is the reference, in the sentence, the curves and the table."""
    recipe = recipe_for(wide, method="late-full", epochs=1, lr=1e-3)
    trials = trials_of(design(recipe=recipe, depth=BLOCKS, width=32, depths=(1,)))
    picked = {trial.name: trial for trial in trials}
    names = ("late-full-02-rank", "last-02-rank", "first-02-rank", "full-06-rank")
    found = measure([grid.train_trial(picked[name], tmp_path) for name in names], wide)
    told, said = json_values(found), sentence(found)
    for part in (
        "Adapters" not in said,
        f"All parameters of the last 2 of {BLOCKS} blocks: " in said,
        "; adapters in the last 2: " in said,
        "; adapters in the first 2: " in said,
        "fewer parameters than the whole model has" in said,
        "with adapters for 2 at equal rank (" in said,
        said.count("longest run of training data") == said.count("perplexity") == len(names),
        "; with all their parameters for " in said,
    ):
        assert part
    assert [len(trial["blocks"]) for trial in sweep(told, "time", "late-full")] == [2], (
        "the reference is in every curve"
    )
    assert [len(trial["blocks"]) for trial in sweep(told, "rank", "late-full")] == [2, 6]
    assert [row.name for row in placement_tables(told)[1].rows] == [
        *("all parameters of the last 2", "LoRA, last 2", "LoRA, first 2", "all parameters"),
    ]
    placement_panels(told, IN_FILE)


def test_what_learns_nothing_is_the_base(wide: tuple[str, str], tmp_path: Path) -> None:
    recipe = recipe_for(wide, epochs=1, lr=1e-30)
    trials = trials_of(design(recipe=recipe, depth=BLOCKS, width=32, full_lr=1e-30))
    found = measure([grid.train_trial(trial, tmp_path) for trial in (trials[0], trials[-1])], wide)
    for trial in found.trials:
        assert trial.measures == found.base | {"top1_agreement_with_base": trial.measures["top1_agreement_with_base"]}
        assert trial.measures["top1_agreement_with_base"].value == 1
        assert trial.ttr_difference is not None
        assert trial.ttr_difference.value == 0


def test_words_and_copies_stand_beside_the_ratio(found: Placement, wide: tuple[str, str]) -> None:
    human = texts_of(wide)[:, 8:].tolist()
    overlaps = longest_overlaps(human, human[:1])
    assert found.human["longest_overlap"].value == pytest.approx(overlaps.mean())
    assert overlaps[0] == len(human[0])
    assert found.human["long_overlap_share"] == share_estimate((overlaps > 10).astype(float).tolist())
    shares = word_shares(
        load_tokenizer(wide[0]), texts_of(wide)[:, :8].tolist(), human, Lexicon("en", frozenset({"a", "i"}))
    )
    assert found.human["word_share"] == estimate(shares)
    for measures in (found.base, *(trial.measures for trial in found.trials if trial.measures)):
        assert {"word_share", "longest_overlap", "long_overlap_share"} <= measures.keys()
    places, trainings = placement_tables(json_values(found))
    for sheet in (places, trainings):
        assert {"ttr", "word_share", "longest_overlap"} <= {measure.key for measure in sheet.measures}


def test_tables_stand_beside_the_paper(found: Placement) -> None:
    places, trainings = placement_tables(json_values(found))
    both = ["Li et al. 2026, TinyLlama", "Li et al. 2026, Qwen2.5-1.5B"]
    assert [row.source or row.name for row in places.rows] == [
        *("base", *both, "LoRA, last 2", *both, "LoRA, all 6", *both, "LoRA, first 2", "LoRA, middle 2"),
        *("all parameters of the last 2", "all parameters", both[0], "LoRA, all 6, equal time"),
        *("LoRA, first 2, equal time", "LoRA, middle 2, equal time", "all parameters of the last 2, equal time"),
        *("all parameters, equal time", "human"),
    ]
    assert [row.name for row in trainings.rows][:2] == ["LoRA, last 2", "LoRA, last 1"]
    assert len(trainings.rows) == len(found.trials)
