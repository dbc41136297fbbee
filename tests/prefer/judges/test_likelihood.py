"""The judge by log-likelihood, and what its preference goes with."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hyperfit.cli import main
from hyperfit.models.loading import load_model, load_tokenizer
from hyperfit.prefer.items.pairs import Pair
from hyperfit.prefer.judges.leanings import leanings
from hyperfit.prefer.judges.likelihood import judge_by_likelihood
from hyperfit.prefer.judges.settings import JudgeSettings
from hyperfit.prefer.reading.files import read_judgements
from tiny_models import save_tiny

LOOP = " the door and the door and the door and the door and the door and the door"
TEXTS = {"base-greedy": LOOP, "human": " a barge came, and nobody slept that night in the old mill"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "samples"
    folder.mkdir(parents=True)
    for name, text in TEXTS.items():
        rows = [
            {"context": f"She went to number {place}, to", "continuation": text, "model": name.partition("-")[0]}
            | ({"decoding": "greedy"} if name != "human" else {})
            for place in range(4)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "run"


def mean_log_probability(model: str, context: str, text: str) -> float:
    """One text at a time, straight from the logits."""
    tokenizer = load_tokenizer(model)
    network = load_model(model, device=torch.device("cpu"), dtype=torch.float32)
    encoded = tokenizer(context + text, return_offsets_mapping=True)
    ids = torch.tensor([encoded["input_ids"]])
    with torch.no_grad():
        logs = torch.log_softmax(network(ids).logits[0].float(), dim=-1)
    places = [place for place, (_, end) in enumerate(encoded["offset_mapping"]) if end > len(context) and place]
    return float(sum(logs[place - 1, ids[0, place]] for place in places) / len(places))


def test_margins_are_differences_of_mean_log_probabilities(run: Path, tmp_path: Path) -> None:
    model = str(save_tiny(tmp_path / "model", max_position_embeddings=512))
    judged = judge_by_likelihood([run], JudgeSettings(model=model))
    assert len(judged.pairs) == 4
    for pair, margin, one in zip(judged.pairs, judged.margins, judged.judgements, strict=True):
        expected = mean_log_probability(model, pair.context, pair.first_text) - mean_log_probability(
            model, pair.context, pair.second_text
        )
        assert margin == pytest.approx(expected, abs=1e-4)
        assert one.choice == ("first" if margin > 0 else "second")


def test_the_embedded_model_prefers_the_loop_and_says_what_that_is(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["judge", str(run), "--model", "builtin:tiny"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "not which one reads better" in shown
    assert "the loop is preferred on 100" in shown
    file = run / "judgements" / "log-likelihood-builtin-tiny-p1.jsonl"
    found = read_judgements([file])
    assert (found.people, found.models) == ([], {})
    assert list(found.likelihoods) == ["log-likelihood of builtin:tiny"]
    main(["prefer", "score", str(file)])
    assert "Log-likelihood under" in capsys.readouterr().out


def pair(number: int, first: str, second: str) -> Pair:
    return Pair(str(number), f"c{number}", "", "", "", "one", "two", first, second, 32)


def test_leanings_by_hand() -> None:
    """Loops against plain texts on three pairs, preferred on one and tied on another; preference by length."""
    loop, plain = [1, 2, 3] * 5, list(range(20))
    tokens = {"loop": loop, "plain": plain, "long": list(range(40)), "longer": list(range(60))}
    pairs = [pair(0, "loop", "plain"), pair(1, "plain", "loop"), pair(2, "loop", "long"), pair(3, "longer", "plain")]
    found = leanings(pairs, [1.0, 0.0, -1.0, 5.0], tokens)
    assert found.loops.value == pytest.approx((1 + 0.5 + 0) / 3)
    assert found.loops.n == 3
    longer, preferred = [-5, 5, -25, 40], [1.0, 0.0, -1.0, 5.0]
    ranks = [sorted(values).index(value) for values in (longer, preferred) for value in values]  # type: ignore[type-var]
    rho = 1 - 6 * sum((ranks[place] - ranks[place + 4]) ** 2 for place in range(4)) / (4 * 15)
    assert found.length.value == pytest.approx(rho)


def test_leanings_that_can_not_be_known() -> None:
    tokens = {"a": list(range(20)), "b": list(range(20))}
    found = leanings([replace(pair(0, "a", "b"))] * 3, [1.0, 1.0, 1.0], tokens)
    assert math.isnan(found.loops.value)
    assert math.isnan(found.length.value)
