"""The recipe: kept exactly, checked as a whole, and every field of it in use."""

import ast
import dataclasses
import inspect
import json
import math
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hyperfit
from hyperfit.commands.train import PresetName
from hyperfit.errors import UserError
from hyperfit.recipes.presets import PRESETS, carlsson2025, li2026
from hyperfit.recipes.recipe import Recipe

NAME = st.text(min_size=1, max_size=20)
SHARE = st.floats(0, 0.9)
COUNT = st.integers(1, 10_000)
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "model": NAME,
    "data": NAME,
    "text_column": st.none() | NAME,
    "image_column": st.none() | NAME,
    "skip_unusable": st.booleans(),
    "samples": st.none() | COUNT,
    "length": st.integers(2, 10_000),
    "chunking": st.sampled_from(["start", "packed"]),
    "heldout": SHARE,
    "heldout_seed": st.none() | st.integers(0, 2**40),
    "method": st.sampled_from(["late-lora", "late-full", "lora", "full"]),
    "late_blocks": COUNT,
    "blocks": st.just(()),
    "target_modules": st.lists(NAME, max_size=3).map(tuple),
    "rank": COUNT,
    "alpha": st.none() | POSITIVE,
    "lr": st.none() | st.floats(0, 1, exclude_min=True),
    "weight_decay": st.floats(min_value=0, allow_infinity=False),
    "clip": st.none() | POSITIVE,
    "batch_size": COUNT,
    "accumulate": COUNT,
    "unlikelihood": st.floats(min_value=0, allow_infinity=False),
    "epochs": COUNT,
    "stop_loss": st.none() | POSITIVE,
    "stop": st.just("loss"),
    "stop_copying": st.none() | st.floats(0, 1),
    "probe_every": st.integers(0, 100),
    "greedy_every": st.integers(0, 100),
    "probe_texts": COUNT,
    "validation_samples": COUNT,
    "checkpoint_every": COUNT,
    "keep_every": st.integers(0, 100),
    "seed": st.integers(0, 2**40),
    "order_seed": st.none() | st.integers(0, 2**40),
    "order_swaps": st.integers(0, 100),
    "device": NAME,
    "compile": st.booleans(),
    "precision": st.sampled_from(["auto", "bf16", "fp32"]),
}
"""What each field may hold."""

BAD: dict[str, list[Any]] = {
    "model": [""],
    "data": [""],
    "samples": [0, -3],
    "length": [1, 0],
    "chunking": ["sliding", ""],
    "heldout": [-0.1, 0.95, 1, math.nan],
    "method": ["dora", ""],
    "late_blocks": [0],
    "blocks": [(0,)],
    "rank": [0, -1],
    "alpha": [0.0, -1.0, math.inf, math.nan],
    "lr": [0.0, -1e-4, 1.5, math.inf, math.nan],
    "weight_decay": [-0.1, math.inf, math.nan],
    "clip": [0.0, math.nan],
    "batch_size": [0],
    "accumulate": [0],
    "unlikelihood": [-0.1, math.inf, math.nan],
    "epochs": [0],
    "stop_loss": [0.0, -1.0, math.nan],
    "stop": ["never", ""],
    "stop_copying": [-0.1, 1.1, math.nan],
    "probe_every": [-1],
    "greedy_every": [-1],
    "probe_texts": [0],
    "validation_samples": [0],
    "checkpoint_every": [0],
    "keep_every": [-1],
    "seed": [-1],
    "heldout_seed": [-1],
    "order_seed": [-1],
    "order_swaps": [-1],
    "precision": ["fp16"],
}
"""What it may not; the fields that are left out are checked where they are used."""


def recipe(**changes: Any) -> Recipe:
    return Recipe(**{"model": "builtin:tiny", "data": "builtin:fiction", **changes})


def test_stopping_by_probes_needs_probes() -> None:
    assert recipe(stop="auto").stop == "auto"
    for missing in ({"probe_every": 0}, {"greedy_every": 0}):
        with pytest.raises(UserError, match="--stop auto: auto reads the probes; give --probe-every and --greedy"):
            recipe(stop="auto", **missing)


def flag(field: str) -> str:
    return "--" + field.replace("_", "-")


def test_these_tests_know_every_field() -> None:
    names = [field.name for field in dataclasses.fields(Recipe)]
    assert list(GOOD) == names
    assert set(BAD) == set(names) - {
        "text_column",
        "image_column",
        "skip_unusable",
        "target_modules",
        "device",
        "compile",
    }


@settings(max_examples=40)
@given(values=st.fixed_dictionaries(GOOD))
def test_json_gives_back_the_recipe(values: dict[str, Any]) -> None:
    first = Recipe(**values)
    again = Recipe.from_dict(json.loads(json.dumps(first.to_dict())))
    assert again == first
    assert hash(again) == hash(first)
    assert dataclasses.asdict(again) == values


def test_what_is_left_out_is_the_default() -> None:
    assert Recipe.from_dict({"model": "m", "data": "d"}) == Recipe(model="m", data="d")


def test_unknown_settings_are_named() -> None:
    with pytest.raises(UserError, match=r"does not know: dropout, warmup$"):
        Recipe.from_dict({**recipe().to_dict(), "warmup": 3, "dropout": 0.1})


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_bad_field_is_named_by_its_flag_with_its_value_and_a_remedy(name: str, value: Any) -> None:
    with pytest.raises(UserError) as caught:
        recipe(**{name: value})
    assert len(caught.value.problems) == 1
    start, _, remedy = str(caught.value).partition(": ")
    assert start == f"{flag(name)} {' '.join(map(str, value)) if isinstance(value, tuple) else value}"
    assert remedy


@pytest.mark.parametrize("blocks", [(-1, 0), (2, 2)])
def test_blocks_count_from_0_and_are_named_once(blocks: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=f"^--blocks {blocks[0]} {blocks[1]}: "):
        recipe(method="lora", blocks=blocks)
    assert Recipe.from_dict(recipe(method="lora", blocks=(4, 2)).to_dict()).blocks == (4, 2)


def test_all_bad_fields_are_named_at_once() -> None:
    with pytest.raises(UserError) as caught:
        Recipe(**{name: values[0] for name, values in BAD.items()})
    assert {problem.split()[0] for problem in caught.value.problems} == {flag(name) for name in BAD}
    assert len(caught.value.problems) == len(BAD)
    assert str(caught.value) == "\n".join(caught.value.problems)


def test_defaults_that_follow_from_other_fields() -> None:
    assert recipe(lr=0.5).learning_rate == 0.5
    with pytest.raises(ValueError, match="width"):
        recipe().learning_rate  # noqa: B018
    assert recipe(late_blocks=3).last_blocks == 3
    with pytest.raises(ValueError, match="depth"):
        recipe().last_blocks  # noqa: B018
    assert recipe(rank=16).lora_alpha == 16
    assert recipe(rank=16, alpha=8.0).lora_alpha == 8


def test_recipe_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe().rank = 3  # type: ignore[misc]


# Every field is in use

READ_AS = {"lr": "learning_rate", "alpha": "lora_alpha", "late_blocks": "last_blocks"}
"""Fields that the rest of the code reads through a property, which knows their default."""


def reads(tree: ast.AST) -> set[str]:
    """Attributes that code reads from something called recipe, such as ``recipe.rank`` and ``job.recipe.rank``."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and "recipe" in (getattr(node.value, "id", ""), getattr(node.value, "attr", ""))
    }


def test_reads_are_found() -> None:
    code = "recipe.rank + job.recipe.lr; recipe.seed = other.alpha; recipe['clip']; f(recipe).length"
    assert reads(ast.parse(code)) == {"rank", "lr"}


def test_every_field_is_read_where_the_work_is_done() -> None:
    package = Path(hyperfit.__file__).parent
    known = {*(package / "recipes").iterdir(), *(package / "commands").iterdir()}
    elsewhere = [path for path in package.rglob("*.py") if path not in known]
    found = set().union(*(reads(ast.parse(path.read_text(encoding="utf-8"))) for path in elsewhere))
    unread = [field.name for field in dataclasses.fields(Recipe) if READ_AS.get(field.name, field.name) not in found]
    assert unread == []
    for field, name in READ_AS.items():
        assert f"self.{field}" in inspect.getsource(getattr(Recipe, name).fget)


# Presets


@pytest.mark.parametrize("name", PRESETS)
def test_preset_builds_and_says_where_it_comes_from(name: str) -> None:
    made = PRESETS[name]("some/model", "some/data")
    assert (made.model, made.data) == ("some/model", "some/data")
    assert Recipe.from_dict(made.to_dict()) == made
    assert PRESETS[name].__name__.replace("_", "-") == name
    assert PRESETS[name].__doc__


def test_the_command_line_offers_every_preset() -> None:
    assert get_args(PresetName) == tuple(PRESETS)


def test_presets_of_the_papers() -> None:
    first = carlsson2025("m", "d")
    assert (first.method, first.samples, first.length, first.epochs) == ("full", 2000, 256, 20)
    assert (first.batch_size, first.learning_rate, first.weight_decay, first.stop_loss) == (8, 1e-6, 0.0, None)
    second = li2026("m", "d")
    assert (second.method, second.late_blocks, second.samples, second.epochs) == ("late-lora", 5, 2000, 260)
