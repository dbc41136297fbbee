"""What the studies of long texts, copying, sharpness, the mechanism, dynamics and stopping say of made-up numbers."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_answers_of_studies import Logged, model, results

from hyperfit.errors import UserError
from hyperfit.metrics.text.words import Lexicon
from hyperfit.numbers import style_of
from hyperfit.recipes.recipe import Recipe
from hyperfit.studies.catalogue import load_study
from hyperfit.studies.grid.store import key_of
from hyperfit.studies.grid.training import Trained
from hyperfit.studies.measures.results import Model
from hyperfit.studies.measures.weights import distances
from hyperfit.studies.questions.mechanism import inside as mechanism
from hyperfit.studies.questions.mechanism import sharpening
from hyperfit.studies.questions.texts import long_range, memorisation
from hyperfit.studies.questions.texts import main as main_study
from hyperfit.studies.questions.training import dynamics, sensitivity, stopping
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Trial
from hyperfit.training.stopping import loss_below, variety_settled
from hyperfit.training.train import train
from small_runs import quiet, recipe_for


def trained(tmp_path: Path, rows: list[dict[str, Any]], seed: int = 0) -> Trained[Trial]:
    run = Logged(tmp_path)
    object.__setattr__(run, "rows", rows)
    return Trained(
        trial=Trial("a", Recipe(model="m", data="d", seed=seed)), run=run, parameters=1, epochs=len(rows) - 1,
        reason="loss", train_loss=0.05, epoch_seconds=1.0, cache_seconds=0.0,
    )  # fmt: skip


# Copying


def copying(long: float, *, overlap: float = 5.0) -> Model:
    """Eight texts, of which a share holds a run of 20 tokens."""
    count = round(8 * long)
    one = model(0.5, overlap=overlap, ways=("greedy", "nucleus", "greedy+blocked"))
    for way in one.written.values():
        way["values"]["longest_overlap"] = [20.0] * count + [5.0] * (8 - count)
        way["values"]["long_overlap_share"] = [1.0] * count + [0.0] * (8 - count)
    return one


@pytest.mark.parametrize(("long", "said"), [(1.0, "No"), (0.25, "Partly")])
def test_recitation_is_more_than_a_quarter_of_texts(long: float, said: str) -> None:
    known = results({memorisation.LABEL: copying(long)}, ways=("greedy", "nucleus", "greedy+blocked"))
    found = memorisation.tell(known)
    assert found.answer == said
    assert f"with citations blocked {100 * long:.0f} %, " in found.sentence
    runs = next(line for line in found.charts[0].lines if line.name == "hyperfitted, greedy")
    assert [(least, value.value) for least, value in runs.points if least in (4, 6, 16, 24)] == [
        (4, 1.0), (6, long), (16, long), (24, 0.0),
    ]  # fmt: skip
    ours = next(row for row in found.tables[0].rows if row.name == "hyperfitted, greedy" and not row.source)
    assert ours.cells["most_overlap"].value == 20.0
    papers = [row for row in found.tables[0].rows if row.source]
    assert [row.cells["longest_overlap"].value for row in papers] == [4.0, 5.8]


# Sharpness


@pytest.mark.parametrize(("entropy", "loss", "said"), [(1.5, 3.0, "Yes"), (1.5, 1.0, "Partly"), (3.5, 3.0, "No")])
def test_sharper_and_less_likely(entropy: float, loss: float, said: str) -> None:
    tuned = model(0.5, loss=loss)
    known = results({sharpening.LABEL: tuned})
    for one, value in ((known.base, 3.0), (tuned, entropy)):
        one.predictions["entropy"] = (value + np.linspace(-0.02, 0.02, 8)).tolist()
        one.predictions["top1_mass"] = [0.5] * 8
        one.extra[sharpening.NAME] = {"of": [{"context": "It was", "next": [[" a", 0.25], [" the", 0.125]]}]}
    found = sharpening.tell(known)
    assert found.answer == said
    assert f"from 3.00 to {entropy:.2f} nats" in found.sentence
    assert found.passages[0].heading == "It was"
    assert found.passages[0].texts["base"] == "“ a” 25 %, “ the” 12 %"


# Long texts


@pytest.mark.parametrize(
    ("last", "said", "told"), [(0.55, "Yes", ".550, .000 [.000, .000]"), (0.3, "No", ".300, −.250 [−.250, −.250]")]
)
def test_variety_lasts_if_the_last_window_is_as_varied(last: float, said: str, told: str) -> None:
    tuned = model(0.5)
    known = results({long_range.LABEL: tuned})
    count = len(long_range.windows(known.settings))
    for one, (first, end) in ((known.base, (0.2, 0.1)), (tuned, (0.55, last))):
        one.extra[long_range.NAME] = {
            "ttr": [[first, *[0.4] * (count - 2), end]] * 8,
            "words": [[0.99, *[0.97] * (count - 2), end]] * 7 + [[None] * count],
        }
    found = long_range.tell(known)
    assert found.answer == said
    assert f"goes from .550 to {told}" in found.sentence
    assert "from .200 to .100, −.100" in found.sentence
    assert [row.name for row in found.tables[0].rows] == ["base", "hyperfitted"]
    cells = found.tables[0].rows[1].cells
    shares = [cells[name].value for name in ("first_words", "middle_words", "last_words")]
    assert shares == pytest.approx([0.99, 0.97, last])
    assert (cells["last_words"].n, cells["last_window"].n) == (7, 8), "a text without a word has no share"


def test_words_of_a_window_are_looked_up_with_those_of_the_context() -> None:
    tokenizer = SimpleNamespace(decode=lambda ids, **_: " the Sorcha boat zzk was"[: len(ids)])
    read: Any = tokenizer
    lexicon = Lexicon("en", frozenset({"the", "boat"}))
    assert long_range.words(read, [0] * 24, "In Sorcha we", lexicon) == 3 / 4
    assert long_range.words(read, [0] * 24, "In here we", lexicon) == 2 / 4
    assert np.isnan(long_range.words(read, [0], "", None))


def test_windows_lie_behind_the_context_and_are_whole() -> None:
    known = results({}).settings
    starts = long_range.windows(known)
    assert starts[:3] == [0, 96, 192]
    assert starts[-1] + 96 <= long_range.tokens_of(known) - known.context < starts[-1] + 2 * 96


# The mechanism


def numbers(**changes: float) -> dict[str, Any]:
    known = dict.fromkeys(mechanism.READ, 0.2) | {
        "TTR, hyperfitted greedy": 0.6, "change of dimension at the last block's output": 90.0,
    } | {name.replace("_", " "): value for name, value in changes.items()}  # fmt: skip
    return {name: {"value": value, "low": value - 0.01, "high": value + 0.01, "n": 8} for name, value in known.items()}


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ([numbers(), numbers()], "Yes"),
        (
            [numbers(), numbers() | {"TTR, base greedy at T*": {"value": 0.6, "low": 0.5, "high": 0.7, "n": 8}}],
            "Partly",
        ),
        (
            [
                numbers()
                | {"TTR, base with static bias 0.5 on all tokens": {"value": 0.6, "low": 0.5, "high": 0.7, "n": 8}},
                numbers(),
            ],
            "Partly",
        ),
    ],
)
def test_more_than_temperature_and_bias(seeds: list[dict[str, Any]], said: str) -> None:
    known = results({mechanism.LABEL: model(0.6)})
    known.models[mechanism.LABEL] = [Model(extra={mechanism.NAME: one}) for one in seeds]
    found = mechanism.tell(known)
    assert found.answer == said
    cells = {row.name: row.cells for row in found.tables[0].rows}
    assert cells["TTR, hyperfitted greedy"]["ours"].n == 2
    assert cells["TTR, hyperfitted greedy"]["paper"].value == 0.684
    shares = {row.name: row.cells for row in found.tables[1].rows}
    assert not shares.keys() & cells.keys()
    assert shares.keys() | cells.keys() == mechanism.READ.keys()
    assert shares["choices from below rank 10"]["ours_share"].value == 0.2
    assert style_of("ours_share")(0.2) == "20.0"


def test_words_are_those_of_the_same_texts() -> None:
    texts = {"hyperfitted/greedy": {"ttr": 0.6, "word_share": 0.98}, "base/greedy": {"ttr": 0.2}}
    studies = {"temperature": {"diversity": texts}}
    assert mechanism.READ["words, hyperfitted greedy"](studies) == 0.98
    assert mechanism.READ["words, base greedy"](studies) is None, "it was not measured"


def test_a_bias_on_all_tokens_is_read_beside_that_on_the_promoted() -> None:
    studies = {"bias": {"0.5": {"ttr": 0.25, "bigram_repetition": 0.7}}, mechanism.EVERYWHERE: {"0.5": {"ttr": 0.21}}}
    assert mechanism.READ["TTR, base with static bias 0.5"](studies) == 0.25
    assert mechanism.READ["TTR, base with static bias 0.5 on all tokens"](studies) == 0.21
    assert mechanism.READ["bigram repetition, base with static bias 0.5"](studies) == 0.7
    assert mechanism.PAPER["bigram repetition, base with static bias 0.5"] == 0.706


def test_the_main_table_has_every_decoding_blocked_or_not_and_what_the_mechanism_adds() -> None:
    known = results({main_study.LABEL: model(0.6)})
    known.models[main_study.LABEL] = [Model(predictions={"loss": [1.0]}, extra={mechanism.NAME: numbers()})]
    table = main_study.table("main", "", known, extra=True)
    ours = [row.name for row in table.rows if not row.source]
    written = [name for name in ours if name.startswith(("base, ", "hyperfitted, ")) and "static" not in name]
    assert len([name for name in written if "T*" not in name]) == 10 + 10 + 10
    assert "hyperfitted, contrastive, citations blocked" in ours
    assert {"base, greedy at T*", "base, sampled at T*", "base, static bias 0.5 on all tokens"} <= {*ours}
    (cold,) = [row for row in table.rows if row.name == "base, greedy at T*" and not row.source]
    assert (cold.cells["bigram_repetition"].value, cold.cells["word_share"].value) == (0.2, 0.2)


def test_over_seeds_the_range_covers_all() -> None:
    found = mechanism.over_seeds(
        [{"value": 1.0, "low": 0.5, "high": 1.5, "n": 8}, {"value": 2.0, "low": 1.9, "high": 2.1}]
    )
    assert (found.value, found.low, found.high, found.n) == (1.5, 0.5, 2.1, 2)
    assert mechanism.over_seeds([0.5, 0.7]).low == 0.5
    assert np.isnan(mechanism.over_seeds([{"value": None, "low": None, "high": None}]).value)


# Dynamics


def test_as_many_epochs_as_li_et_al_trained_for_can_be_asked_for() -> None:
    plain, decayed = dynamics.trials(StudySettings(model="builtin:tiny", epochs=130))
    assert (plain.recipe.epochs, plain.recipe.stop_loss) == (260, None)
    assert (decayed.recipe.epochs, decayed.recipe.weight_decay) == (260, 0.1)
    with pytest.raises(UserError, match="--epochs 0: give a whole number of 1 or more"):
        StudySettings(model="builtin:tiny", epochs=0)


def test_half_the_epochs_are_those_of_the_same_training(tmp_path: Path) -> None:
    """Of 7 epochs the third is kept, and no other training takes place."""
    trials = sensitivity.trials(StudySettings(model="builtin:tiny"))
    half = next(trial for trial in trials if trial.label == sensitivity.HALF_THE_EPOCHS)
    assert half.epoch is not None
    run = trained(tmp_path, [{"epoch": epoch} for epoch in range(8)]).run
    assert half.epoch(run) == 3
    assert key_of(half.recipe) == key_of(trials[0].recipe)


@pytest.mark.parametrize(("epochs", "half", "compared"), [(1, 1, 1), (4, 2, 2)])
def test_half_of_one_epoch_is_no_change(tmp_path: Path, epochs: int, half: int, compared: int) -> None:
    labels = (sensitivity.REFERENCE, "rank 8", sensitivity.HALF_THE_EPOCHS)
    one = trained(tmp_path, [])
    known = results({label: model(0.5) for label in labels})
    known.trained[sensitivity.REFERENCE].append(replace(one, epochs=epochs))
    known.trained[sensitivity.HALF_THE_EPOCHS].append(replace(one, epochs=half))
    found = sensitivity.tell(known)
    assert f"Of {compared} changes" in found.sentence
    assert len(found.tables[0].rows) == 3 + compared, "base, as it is, human"


# Order


@pytest.mark.parametrize(("samples", "told"), [(4, True), (5, False)])
def test_where_one_batch_holds_all_there_is_no_order(samples: int, told: bool) -> None:
    settings = StudySettings(model="builtin:tiny", samples=samples)
    assert settings.recipe.batch_size * settings.recipe.accumulate == 4
    said = "--samples 4: an update reads 4 sequences, so that their order changes nothing; give at least 5"
    assert load_study("order").hinders(settings) == (said if told else None)


def course(*val: float) -> list[dict[str, Any]]:
    return [
        {"epoch": epoch, "train_loss": 1 / (epoch + 1), "val_loss": loss, "ttr": 0.5, "entropy": 2.0}
        for epoch, loss in enumerate(val)
    ]


@pytest.mark.parametrize(
    ("val", "share"),
    [
        ((4.0, 3.0, 4.0, 5.0, 6.0), 0.0),
        ((4.0, 3.0, 4.0, 5.0, 4.9), 0.05),
        ((4.0, 3.0, 4.0, 5.0, 4.7), 0.15),
        ((4.0, 3.0, 4.0, 5.0, 2.9, 3.5), 1.05),
        ((4.0, 3.5, 3.0, 2.5, 2.0), np.nan),
        ((4.0, 3.0, 3.05, 2.9, 2.8), np.nan),
    ],
    ids=["rises", "wavers", "comes down a little", "below its first best", "only falls", "wavers as it falls"],
)
def test_what_share_of_its_rise_the_validation_loss_undoes(val: tuple[float, ...], share: float) -> None:
    assert dynamics.undone(course(*val)) == pytest.approx(share, nan_ok=True)


@pytest.mark.parametrize(
    ("ends", "said", "told"),
    [
        ((4.98, 4.94, 4.96), "No", "of its rise 2 [0, 4] % is undone"),
        ((4.5, 4.4, 4.6), "Yes", "of its rise 25 [13, 37] % is undone"),
        ((4.9, 4.6, 4.7), "Partly", "of its rise 13 [0, 32] % is undone"),
        ((4.7,), "Not shown", "of its rise 15 % is undone (n = 1 seeds)"),
    ],
    ids=["stays", "comes back", "open", "one seed"],
)
def test_something_comes_back_by_an_interval_over_seeds(
    tmp_path: Path, ends: tuple[float, ...], said: str, told: str
) -> None:
    """From 3 to 5 and back to these; Student's 97.5 % of two degrees is 4.303."""
    known = results({dynamics.PLAIN: model(0.5)})
    known.models[dynamics.PLAIN][0].extra[dynamics.WEIGHTS] = {
        "2": {"weight_norm": 10.0, "weight_distance": 1.0}, "4": {"weight_norm": 11.0, "weight_distance": 2.5},
    }  # fmt: skip
    known.trained[dynamics.PLAIN] += [trained(tmp_path, course(4.0, 3.0, 4.0, 5.0, one)) for one in ends]
    found = dynamics.tell(known)
    assert found.answer == said
    assert told in found.sentence
    cells = found.tables[0].rows[0].cells
    assert cells["undone"].value == pytest.approx(np.mean([(5 - one) / 2 for one in ends]))
    assert cells["weight_distance"].value == 2.5
    moved = next(chart for chart in found.charts if chart.measure == "weight_distance")
    assert [(epoch, value.value) for epoch, value in moved.lines[0].points] == [(2.0, 1.0), (4.0, 2.5)]


def test_where_the_loss_never_rises_nothing_can_come_back(tmp_path: Path) -> None:
    known = results({dynamics.PLAIN: model(0.5)})
    known.trained[dynamics.PLAIN] += [trained(tmp_path, course(4.0, 3.0, 2.0)) for _ in range(2)]
    found = dynamics.tell(known)
    assert found.answer == "Not shown"
    assert "2.00 in the end; it never rises" in found.sentence


def test_how_far_weights_have_moved(world: tuple[str, str], tmp_path: Path) -> None:
    """Of all parameters by hand from the files; of adapters as the product of their two factors."""
    whole = train(recipe_for(world, method="full", epochs=1, stop_loss=None), tmp_path / "full", notify=quiet)
    before, after = (load_file(Path(folder) / "model.safetensors") for folder in (world[0], whole.result))
    changed = [name for name in after if not torch.equal(after[name], before[name].to(after[name].dtype))]
    assert changed
    moved = torch.cat([(after[name].double() - before[name].double()).flatten() for name in changed])
    found = distances(whole)
    assert found["weight_distance"] == pytest.approx(float(moved.norm()), rel=1e-5)
    adapters = train(recipe_for(world, method="lora", epochs=1, stop_loss=None), tmp_path / "lora", notify=quiet)
    factors = load_file(adapters.result / "adapter_model.safetensors")
    products = [
        factors[name.replace("lora_A", "lora_B")].double() @ factors[name].double()
        for name in factors
        if "lora_A" in name
    ]
    recipe = adapters.recipe
    scale = recipe.lora_alpha / recipe.rank
    norm = scale * float(torch.cat([product.flatten() for product in products]).norm())
    assert distances(adapters)["weight_distance"] == pytest.approx(norm, rel=1e-3)


# When to stop


def stops(*ttr: float, long: Any = None) -> list[dict[str, Any]]:
    return [
        {"epoch": epoch, "train_loss": loss, "ttr": value, "val_loss": 4.0, "long_overlap_share": share}
        for epoch, (value, loss, share) in enumerate(
            zip(ttr, (3.0, 1.0, 0.4, 0.2, 0.1), long or [0.0] * 5, strict=True), start=1
        )
    ]


def test_regret_and_epochs_saved_by_hand() -> None:
    one, other = stops(0.2, 0.4, 0.5, 0.6, 0.55), stops(0.2, 0.4, 0.5, 0.45, 0.9, long=[0, 0, 0, 0, 0.5])
    rule = loss_below(0.4)
    assert stopping.ideal(one) == 0.6
    assert stopping.ideal(other) == 0.5, "the last recites"
    assert stopping.regret(rule, [one, other]).value == pytest.approx((0.1 + 0.0) / 2)
    assert stopping.epochs_saved(rule, [one, other]).value == pytest.approx(0.4)
    reciting = stops(0.2, 0.4, 0.5, 0.45, 0.9, long=[0, 0.5, 0, 0, 0])
    assert stopping.epochs_saved(rule, [reciting]).value == pytest.approx(0.6), "the one that recites was trained, too"
    assert stopping.merit(rule, [one]) == pytest.approx(0.1 + 0.06)


def test_a_rule_is_chosen_on_the_first_seed_and_tested_on_the_others(tmp_path: Path) -> None:
    early = stops(0.2, 0.6, 0.6, 0.6, 0.6)
    known = results({"as it is": model(0.5)})
    known.trained["as it is"] = [trained(tmp_path, [{"epoch": 0}, *early], seed) for seed in range(3)]
    found = stopping.tell(known)
    assert found.answer == "Yes"
    assert [table.unit for table in found.tables] == ["runs", "runs"]
    assert "On 2 runs with other seeds it ends .000" in found.sentence
    row = next(row for row in found.tables[0].rows if row.name == variety_settled(2, 0.5).name)
    assert row.cells["epoch"].value == 4, "two looks without a record, at a loss of .2"
    assert row.cells["epochs_saved"].value == pytest.approx(0.2)
    known.trained["as it is"] = known.trained["as it is"][:2]
    assert stopping.tell(known).answer == "Not shown", "one run has no interval"
    known.trained["as it is"] = known.trained["as it is"][:1]
    assert stopping.tell(known).answer == "Not shown", "nothing to test on"
