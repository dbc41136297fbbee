"""The stream of tokens beside plain loops over the models: ids, alternatives, probabilities, ranks; decodings."""

from collections import defaultdict
from functools import partial

import pytest
import torch

from hyperfit.generation.continuations import continue_contexts
from hyperfit.generation.decodings import DECODINGS, parse_decoding
from hyperfit.mechanism.pair.pair import SIDES, Pair, Side
from hyperfit.models.structure.layout import inner_model
from hyperfit.play.tokens.choosing import Stopped, chooser
from hyperfit.play.tokens.stream import ALTERNATIVES, Step, other_of, write
from tiny_models import END, VOCABULARY, random_ids, tiny_tokenizer
from tiny_pairs import adapter_pair, whole_pair

NEW = 20
CONTEXT = random_ids(12).tolist()
TOKENIZER = tiny_tokenizer()


def streamed(
    pair: Pair, decoding: str = "greedy", context: list[int] = CONTEXT, new: int = NEW
) -> dict[Side, list[Step]]:
    choose = {
        side: chooser(pair, side, TOKENIZER, context, parse_decoding(decoding), new_tokens=new, seed=3)
        for side in SIDES
    }
    found: dict[Side, list[Step]] = defaultdict(list)
    for step in write(pair, context, choose, new):
        found[step.side].append(step)
    return found


def tokens(steps: list[Step]) -> list[int]:
    return [step.chosen.token for step in steps if step.chosen is not None]


def chances(pair: Pair, side: Side, ids: list[int]) -> list[float]:
    """What a side expects next, read from the beginning, without a cache and alone."""
    with pair.side(side) as model, torch.no_grad():
        logits = inner_model(model)(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
    return torch.softmax(logits.double(), -1).tolist()


@pytest.mark.parametrize(
    "make", [adapter_pair, whole_pair, partial(adapter_pair, "gemma3_text"), partial(whole_pair, "gpt2")]
)
def test_every_step_is_that_of_a_plain_greedy_loop(make: partial[Pair]) -> None:
    pair = make()
    found = streamed(pair)
    for side in SIDES:
        ids = list(CONTEXT)
        for step in found[side]:
            own, other = chances(pair, side, ids), chances(pair, other_of(side), ids)
            order = sorted(range(VOCABULARY), key=lambda token: -own[token])
            others = sorted(range(VOCABULARY), key=lambda token: -other[token])
            assert step.chosen is not None
            assert step.chosen.token == order[0] != END
            assert [one.token for one in step.alternatives] == order[:ALTERNATIVES]
            for one in (step.chosen, *step.alternatives):
                assert one.rank == order.index(one.token) + 1
                assert one.other_rank == others.index(one.token) + 1
                assert one.probability == pytest.approx(own[one.token], rel=1e-3)
                assert one.other_probability == pytest.approx(other[one.token], rel=1e-3)
            ids.append(order[0])
        ranks = [(one.rank, one.other_rank) for step in found[side] for one in step.alternatives]
        assert any(rank != other for rank, other in ranks), "else the sides may have been one"


@pytest.mark.parametrize("decoding", DECODINGS)
def test_every_decoding_writes_what_it_writes_elsewhere(decoding: str) -> None:
    pair = adapter_pair()
    found = streamed(pair, decoding)
    for side in SIDES:
        with pair.side(side) as model:
            (text,) = continue_contexts(
                model, TOKENIZER, [CONTEXT], new_tokens=NEW, decoding=decoding, seed=3, stop_at_end=True
            )
        assert tokens(found[side]) == text


def test_a_side_that_ends_lets_the_other_go_on() -> None:
    pair = adapter_pair()
    scripts: dict[Side, list[int]] = {"base": [65, 66], "tuned": [70, 71, 72, 73]}
    lines = {side: iter(script) for side, script in scripts.items()}
    choose = {side: (lambda ids, logits, line=line: next(line, None)) for side, line in lines.items()}
    found = list(write(pair, CONTEXT, choose, 9))
    assert [(step.side, step.chosen and step.chosen.token) for step in found] == [
        ("base", 65), ("tuned", 70), ("base", 66), ("tuned", 71), ("base", None), ("tuned", 72), ("tuned", 73),
        ("tuned", None),
    ]  # fmt: skip
    last = found[6].chosen
    assert last is not None
    own, other = chances(pair, "tuned", [*CONTEXT, 70, 71, 72]), chances(pair, "base", [*CONTEXT, 70, 71, 72])
    assert last.probability == pytest.approx(own[73], rel=1e-3)
    assert last.other_rank == sum(chance > other[73] for chance in other) + 1


def test_the_end_token_ends_a_text_and_is_not_told() -> None:
    pair = adapter_pair()
    with pair.side("base") as model:
        head = inner_model(model).get_output_embeddings()
    with torch.no_grad():
        head.weight[END] = 0
        head.weight[END] += 50 * head.weight[tokens(streamed(pair, new=1)["base"])[0]]
    found = streamed(pair)
    assert [step.chosen for step in found["base"]] == [None]


def test_a_search_is_stopped() -> None:
    with pytest.raises(Stopped):
        chooser(
            adapter_pair(),
            "base",
            TOKENIZER,
            CONTEXT,
            parse_decoding("beam"),
            new_tokens=NEW,
            seed=0,
            stopped=lambda: True,
        )
