"""Decodings as a user spells them: defaults, canonical spelling, and a problem named for each mistake."""

import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperfit.errors import UserError
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.generation.decodings import DECODINGS, Decoding, decoding_problems, parse_decoding
from hyperfit.generation.settings import GenerationSettings

DEFAULTS: dict[str, dict[str, float]] = {
    "greedy": {},
    "nucleus": {"top_p": 0.9, "temperature": 0.7, "top_k": 50},
    "top-k": {"top_k": 40, "temperature": 1},
    "min-p": {"min_p": 0.1, "temperature": 1},
    "typical": {"typical_p": 0.95, "temperature": 1},
    "eta": {"eta_cutoff": 0.0009, "temperature": 1},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
    "beam": {"num_beams": 5, "length_penalty": 1},
    "repetition-penalty": {"repetition_penalty": 1.2},
    "no-repeat-ngram": {"no_repeat_ngram_size": 3},
}


def test_defaults_are_those_of_the_papers() -> None:
    assert {name: Decoding(name).settings for name in DECODINGS} == DEFAULTS
    assert all(str(Decoding(name)) == name for name in DECODINGS)


@pytest.mark.parametrize("name", DECODINGS)
def test_every_parameter_has_a_default_in_range_and_a_meaning(name: str) -> None:
    for key, parameter in DECODINGS[name].items():
        assert parameter.low <= parameter.default <= parameter.high
        assert parameter.what
        assert key.replace("_", "").isalpha()


@pytest.mark.parametrize(
    ("text", "settings", "canonical"),
    [
        ("nucleus:top_p=0.95", {"top_p": 0.95, "temperature": 0.7, "top_k": 50}, "nucleus:top_p=0.95"),
        ("nucleus:temperature=1.0,top_p=0.90", {"top_p": 0.9, "temperature": 1, "top_k": 50}, "nucleus:temperature=1"),
        ("nucleus: top_k = 0 , top_p=1", {"top_p": 1, "temperature": 0.7, "top_k": 0}, "nucleus:top_p=1,top_k=0"),
        ("nucleus:top_k=50", DEFAULTS["nucleus"], "nucleus"),
        ("eta:eta_cutoff=3e-4", {"eta_cutoff": 0.0003, "temperature": 1}, "eta:eta_cutoff=0.0003"),
        ("beam:num_beams=2,length_penalty=-.5", {"num_beams": 2, "length_penalty": -0.5}, None),
    ],
)
def test_spellings(text: str, settings: dict[str, float], canonical: str | None) -> None:
    decoding = parse_decoding(text)
    assert decoding.settings == settings
    assert str(decoding) == (canonical or "beam:num_beams=2,length_penalty=-0.5")
    assert parse_decoding(str(decoding)) == decoding
    assert Decoding(decoding.name, tuple(settings.items())) == decoding
    assert pickle.loads(pickle.dumps(decoding)) == decoding


@given(data=st.data(), name=st.sampled_from(sorted(DECODINGS)))
def test_what_is_printed_reads_back_as_the_same(data: Any, name: str) -> None:
    values = []
    for key, parameter in DECODINGS[name].items():
        whole = isinstance(parameter.default, int)
        low, high = parameter.low, parameter.high
        number = st.integers(int(low), int(high)) if whole else st.floats(low, high)
        if data.draw(st.booleans()):
            values.append((key, data.draw(number)))
    decoding = Decoding(name, tuple(values))
    assert dict(values).items() <= decoding.settings.items()
    assert parse_decoding(str(decoding)) == decoding
    assert hash(parse_decoding(str(decoding))) == hash(decoding)
    assert not set(decoding.file_name) & set('/\\:*?"<>| ')


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hot", ["--decoding hot: no such decoding", "greedy, nucleus, top-k", "no-repeat-ngram"]),
        ("", ["no such decoding"]),
        ("Greedy", ["no such decoding"]),
        ("nucleus:", ["'' is no parameter=value", "nucleus takes top_p, temperature, top_k"]),
        ("nucleus:0.9", ["'0.9' is no parameter=value"]),
        ("nucleus:top_p=0.9,", ["'' is no parameter=value"]),
        ("greedy:top_p=0.9", ["no parameter top_p; greedy takes no parameters"]),
        ("nucleus:topp=0.9", ["no parameter topp; nucleus takes top_p, temperature, top_k"]),
        ("nucleus:top_p=much", ["top_p cannot be much; give a number from 0 to 1"]),
        ("nucleus:top_p=", ["top_p cannot be empty"]),
        ("nucleus:top_p=1.01", ["top_p cannot be 1.01; give a number from 0 to 1"]),
        ("nucleus:top_p=nan", ["top_p cannot be nan"]),
        ("nucleus:temperature=0", ["temperature cannot be 0; give a number from 0.01 to 100"]),
        ("nucleus:temperature=inf", ["temperature cannot be inf"]),
        ("top-k:top_k=2.5", ["top_k cannot be 2.5; give a whole number from 1"]),
        ("top-k:top_k=0", ["top_k cannot be 0"]),
        ("beam:num_beams=1", ["num_beams cannot be 1; give a whole number from 2"]),
        ("no-repeat-ngram:no_repeat_ngram_size=0", ["no_repeat_ngram_size cannot be 0"]),
        ("nucleus:top_p=0.9,top_p=0.8", ["top_p is given twice"]),
    ],
)
def test_a_mistake_is_named_with_what_would_do(text: str, parts: list[str]) -> None:
    (problem,) = decoding_problems([text], "--decoding")
    assert all(part in problem for part in parts), problem
    with pytest.raises(UserError) as raised:
        parse_decoding(text)
    assert raised.value.problems == (problem,)


def test_all_mistakes_are_named_at_once() -> None:
    problems = decoding_problems(["nucleus:top_p=2,top_k=x", "greedy", "hot", "min-p:p=1"], "--decodings")
    assert len(problems) == 4
    assert all(problem.startswith("--decodings ") for problem in problems)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_bad_value_is_refused_in_python_too(value: float) -> None:
    with pytest.raises(UserError, match="top_p cannot be"):
        Decoding("nucleus", (("top_p", value),))


def test_requests_name_every_bad_decoding_and_size() -> None:
    with pytest.raises(UserError) as raised:
        EvaluationSettings(decodings=("greedy", "hot", "nucleus:top_p=3"), batch_size=0)
    assert [problem.split(":")[0] for problem in raised.value.problems] == [
        "--batch-size 0",
        "--decodings hot",
        "--decodings nucleus",
    ]
    with pytest.raises(UserError, match="--decoding beam:num_beams=x: num_beams cannot be x"):
        GenerationSettings(model="m", prompt=("p",), decoding="beam:num_beams=x")
    assert EvaluationSettings().batch_size is GenerationSettings(model="m", prompt=("p",)).batch_size is None
