"""Yes, No, Partly or Not shown: each study's rule, in cases worked by hand."""

from typing import Any

from hyperfit.mechanism.settings import STUDIES
from hyperfit.report.tables.mechanism.answers import QUESTIONS, RULES, answer
from small_mechanism import about, mechanism, undefined

MODELS = {"blocks": 4, "shared_blocks": 0}


def word(study: Any, *changes: tuple[str, Any], models: dict[str, int] | None = None) -> str:
    """The answer of the small result with some values changed; a path's steps stand between slashes."""
    found = mechanism()["studies"][study]
    for path, value in changes:
        *steps, last = path.split("/")
        place = found
        for step in steps:
            place = place[int(step) if isinstance(place, list) else step]
        place[int(last) if isinstance(place, list) else last] = value
    return answer(study, found, models or MODELS).word


def test_every_study_has_a_question_that_yes_or_no_answers_a_rule_and_an_answer() -> None:
    for study in STUDIES:
        assert QUESTIONS[study].split()[0] in ("Is", "Are", "Do")
        assert QUESTIONS[study].endswith("?")
        assert "Yes if" in RULES[study] or "Yes" in RULES[study]
        told = answer(study, mechanism()["studies"][study], MODELS)
        assert told.finding.endswith(".")
        assert "nan" not in told.finding


def test_temperature() -> None:
    assert word("temperature") == "No", "1.5 of 2.0 nats stay at equal entropy, and 57 % agree"
    assert word("temperature", ("divergence/one", about(0.9))) == "Partly", "0.9 of 2.0: less than half"
    assert word("temperature", ("divergence/one", about(1.0))) == "No", "half is not less than half"
    assert word("temperature", ("agreement", about(0.995, 0.005))) == "Yes"
    assert word("temperature", ("agreement", about(0.98, 0.015))) == "Not shown", "[96.5, 99.5] % holds 99 %"
    assert word("temperature", ("one/matched", False), ("divergence/one", about(0.1))) == "No"
    assert word("temperature", ("agreement", about(0.57, n=7))) == "Not shown", "seven texts are too few"
    assert word("temperature", ("agreement", undefined())) == "Not shown"


def test_bias() -> None:
    best = "curves/promoted 500/diversity/0.5/ttr"
    assert word("bias") == "Partly", ".50 lies above .40 and the control's .38, and below .70"
    assert word("bias", (best, about(0.67))) == "Yes", "[.65, .69] comes up to [.68, .72]"
    assert word("bias", (best, about(0.43))) == "No", "the best is now .43, [.41, .45], and reaches down to [.38, .42]"
    assert word("bias", (best, about(0.56, 0.2))) == "Not shown", "[.36, .76] leaves all open"
    assert word("bias", ("curves/random 500/diversity/0.5/ttr", about(0.49))) == "No", "random tokens do as much"
    assert word("bias", ("hyperfitted/ttr", about(0.43))) == "Not shown", "there is no gain to explain"


def test_ranks() -> None:
    deep = "free_running/deep/10"
    assert word("ranks") == "Yes", "13 ± 2 %"
    assert word("ranks", (deep, about(0.06))) == "Partly", "[4, 8] %"
    assert word("ranks", (deep, about(0.005, 0.004))) == "No", "[0.1, 0.9] %"
    assert word("ranks", (deep, about(0.01, 0.005))) == "Not shown", "[0.5, 1.5] % holds 1 %"


def test_geometry() -> None:
    everywhere, behind = ("all/layers/4/delta_dim", "behind_context/layers/4/delta_dim")
    assert word("geometry") == "Yes", "+8 at the last block, both ways; what lies after the norm does not count"
    assert word("geometry", (behind, about(-5))) == "Partly"
    assert word("geometry", (everywhere, about(-5)), (behind, about(-5))) == "No"
    assert word("geometry", (everywhere, about(0, 0)), (behind, about(0, 0))) == "No", "nothing has changed"
    assert word("geometry", (everywhere, about(0.01)), (behind, about(-5))) == "Not shown"


def test_lens() -> None:
    assert word("lens") == "Yes", "[3.3, 3.7] of 4 blocks: in the last quarter"
    assert word("lens", ("summary/parts", about(3.1, 0.2))) == "Partly", "[2.9, 3.3] is not beyond 3"
    assert word("lens", ("summary/parts", about(1.5, 0.2))) == "No", "before block 2"
    assert word("lens", ("summary/parts", undefined())) == "Not shown", "they choose alike everywhere"


def test_intervention() -> None:
    assert word("intervention") == "Yes", "the last third of 4 blocks is 2; .65 has .25 of the gain of .30: 83 %"
    assert word("intervention", models={"blocks": 4, "shared_blocks": 1}) == "Partly", "of 3 it is 1, and .50 has 33 %"
    assert word("intervention", ("points/2", point(0.43))) == "No", "10 %, and [.41, .45] reaches down to [.38, .42]"
    assert word("intervention", ("points/2", point(0.50, 0.2))) == "Not shown", "33 %, but [.30, .70]"
    assert word("intervention", ("gain", about(0.01))) == "Not shown"
    assert word("intervention", models={"blocks": 4, "shared_blocks": 3}) == "Not shown", "one block was trained"


def point(ttr: float, half: float = 0.02) -> dict[str, Any]:
    return {"curve": "graft", "amount": 2, "ttr": about(ttr, half), "surviving": (ttr - 0.4) / 0.3}


def test_encouragement() -> None:
    rank, leads = "log_rank_change", "leads_change"
    assert word("encouragement") == "No", "the rank grows and it leads less often"
    assert word("encouragement", (rank, about(-0.5)), (leads, about(0.05))) == "Yes"
    assert word("encouragement", (rank, about(-0.5))) == "Partly"
    assert word("encouragement", (rank, about(0.01)), (leads, about(0.01))) == "Not shown"


def test_placement() -> None:
    everywhere = "trials/2/ttr_difference"
    assert word("placement") == "Yes", ".70 against .40, and all blocks give .01 less"
    assert word("placement", (everywhere, about(0.05))) == "Partly", "[+.03, +.07] more with all blocks"
    assert word("placement", (everywhere, None)) == "Not shown", "that training diverged"
    assert word("placement", ("trials/0/measures/ttr", about(0.35))) == "No", "no higher than the base model"
    assert word("placement", ("trials/0/train_loss", 0.3)) == "Not shown", "it is not hyperfitted"
    assert word("placement", ("trials/0/measures", {})) == "Not shown", "it diverged"
