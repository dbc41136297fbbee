"""Citation blocking against a dictionary of tuples, alone and inside ``generate`` of plain transformers models."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import LogitsProcessor

from hyperfit.errors import UserError
from hyperfit.generation.citations import build as indexing
from hyperfit.generation.citations.blocking import BlockCounts, CitationBlocker, first_best
from hyperfit.generation.citations.index import CitationIndex
from tiny_models import VOCABULARY, random_ids, tiny_model

PAD = 0
Citations = dict[tuple[int, ...], set[int]]

small_corpora = st.lists(st.lists(st.integers(0, 3), max_size=12), min_size=1, max_size=6)


def slow_index(sequences: Sequence[Sequence[int]], k: int) -> Citations:
    """The followers of every k tokens, in a dictionary."""
    citations = defaultdict(set)
    for sequence in sequences:
        for start in range(len(sequence) - k):
            citations[tuple(sequence[start : start + k])].add(sequence[start + k])
    return citations


class SlowBlocker(LogitsProcessor):
    """The same row by row; the context counts. Notes each choice it was shown: forbidden tokens and argmax."""

    def __init__(self, sequences: Sequence[Sequence[int]], k: int) -> None:
        self.citations, self.k = slow_index(sequences, k), k
        self.choices: list[tuple[set[int], int]] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # type: ignore[override]
        scores = scores.clone()
        for row, ids in enumerate(input_ids.tolist()):
            padding = next((place for place, token in enumerate(ids) if token != PAD), len(ids))
            text = ids[padding:]
            forbidden = self.citations.get(tuple(text[-self.k :]), set()) if len(text) >= self.k else set()
            self.choices.append((forbidden, int(scores[row].argmax())))
            scores[row, sorted(forbidden)] = -torch.inf
        return scores

    def counts(self) -> BlockCounts:
        blocked = [(forbidden, best) for forbidden, best in self.choices if forbidden]
        return BlockCounts(
            steps=len(self.choices), blocked=len(blocked), changed=sum(best in forbidden for forbidden, best in blocked)
        )


def contents(index: CitationIndex, prefixes: Citations) -> Citations:
    """What the index says of each prefix."""
    return {prefix: set(index.followers_of(prefix)) for prefix in prefixes}


def forbidden(blocker: CitationBlocker, *rows: Sequence[int], scores: Tensor | None = None) -> list[list[int]]:
    """The tokens that are forbidden after each row."""
    scores = torch.zeros(len(rows), 8) if scores is None else scores
    blocked = blocker(torch.tensor(rows), scores).isinf() & ~scores.isinf()
    return [row.nonzero().flatten().tolist() for row in blocked]


# The index


@given(small_corpora, st.integers(1, 6))
def test_the_index_holds_the_corpus_and_nothing_else(sequences: list[list[int]], k: int) -> None:
    citations = slow_index(sequences, k)
    if not citations:
        with pytest.raises(UserError, match=f"k={k}: no sequence has more than {k} tokens"):
            CitationIndex.build(sequences, k)
        return
    index = CitationIndex.build(sequences, k)
    assert contents(index, citations) == citations
    assert len(index.followers) == sum(map(len, citations.values()))
    assert len(index.offsets) == len(citations) + 1
    every = torch.cartesian_prod(*[torch.arange(-1, 5)] * k).view(-1, k)
    found, _ = index.find(every)
    assert {tuple(row) for row in every[found].tolist()} == set(citations)


@pytest.mark.parametrize(
    ("largest", "k", "levels"),
    [
        (255, 5, [5]),
        (2**17 - 1, 5, [3, 2]),  # 17 bits a token: three tokens fill a key, its rank leaves room for two
        (2**17 - 1, 8, [3, 3, 2]),  # few different ranks leave room for three
        (2**31 - 2, 6, [2, 1, 1, 1, 1]),
        (0, 6, [6]),
    ],
)
def test_large_ids_take_several_levels(largest: int, k: int, levels: list[int]) -> None:
    ids = torch.randint(0, 4, (40, 30), generator=torch.Generator().manual_seed(1))
    sequences = (largest - ids).clamp(min=0)
    index = CitationIndex.build(sequences, k)
    assert [level.tokens for level in index.levels] == levels
    citations = slow_index(sequences.tolist(), k)
    assert contents(index, citations) == citations
    strangers = (largest - torch.randint(0, 5, (2000, k), generator=torch.Generator().manual_seed(2))).clamp(min=-1)
    found, _ = index.find(strangers)
    assert found.tolist() == [tuple(row) in citations for row in strangers.tolist()]


def test_tokens_that_pack_alike_are_told_apart() -> None:
    """Without a look at their range, 4 and -1 would spill over into the bits of their neighbours."""
    index = CitationIndex.build([[1, 0, 3], [2, 3, 3]], 2)
    pairs = torch.cartesian_prod(torch.arange(-20, 20), torch.arange(-20, 20))
    found, _ = index.find(pairs)
    assert pairs[found].tolist() == [[1, 0], [2, 3]]


def chunks(ids: Tensor) -> Iterator[Any]:
    """The same sequences as chunks, lists, arrays and single tensors, one after the other."""
    yield ids[:5]
    yield ids[5].tolist()
    yield ids[6:8].numpy().astype(np.uint16)
    yield ids[8:8]
    yield from ids[8:]


def test_a_corpus_may_come_in_any_form() -> None:
    ids = random_ids(20, 30) % 5
    whole = CitationIndex.build(ids, 3).tensors()
    forms = (chunks(ids), ids.tolist(), ids.numpy(), list(ids), [ids[:9], ids[9:]], [[], *ids.tolist(), [1, 2]])
    for form in forms:
        tensors = CitationIndex.build(form, 3).tensors()
        assert all(torch.equal(tensors[name], whole[name]) for name in whole)


def test_work_in_pieces_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = random_ids(30, 40) % 6 * 40_000  # 18 bits a token, two levels
    whole = CitationIndex.build(ids, 5)
    assert len(whole.levels) == 2
    for size in (1, 7, 100, 1199):
        monkeypatch.setattr(indexing, "PIECE", size)
        tensors = CitationIndex.build(ids, 5).tensors()
        assert all(torch.equal(tensors[name], tensor) for name, tensor in whole.tensors().items())


@pytest.mark.parametrize(
    ("sequences", "k", "message"),
    [
        ([[1, 2]], 0, "k=0: give the number of tokens"),
        ([], 2, "k=2: no sequence has more than 2 tokens"),
        ([[1, 2, 3], [1, -1, 2]], 2, "item 1: holds -1 to 2"),
        ([[1, 2**31, 3]], 2, "item 0: holds 1 to 2147483648"),
        ([[1.5, 2.0, 3.0]], 2, "item 0: is float64"),
        (torch.zeros(2, 3, 4, dtype=torch.int64), 2, "give integers, one sequence"),
        ([3, 4, 5], 2, "give integers, one sequence"),
        ([[1, 2, 3], [[1, 2, 3], [1, 2]]], 2, "give sequences of different lengths one by one"),
    ],
)
def test_what_is_no_corpus_is_refused(sequences: Any, k: int, message: str) -> None:
    if isinstance(sequences, Tensor):
        sequences = [sequences]
    with pytest.raises(UserError, match=re.escape(message)):
        CitationIndex.build(sequences, k)


def test_followers_of_takes_k_tokens() -> None:
    index = CitationIndex.build([[1, 2, 3], [1, 2, 4]], 2)
    assert index.followers_of([1, 2]) == [3, 4]
    assert index.followers_of([2, 3]) == []
    with pytest.raises(UserError, match="prefix of 1 tokens: the index was built for 2"):
        index.followers_of([1])


# On disk


def test_a_saved_index_is_the_same(tmp_path: Path) -> None:
    index = CitationIndex.build(random_ids(30, 40) % 6 * 40_000, 5)
    index.save(tmp_path / "run" / "citations.safetensors")
    loaded = CitationIndex.load(tmp_path / "run" / "citations.safetensors")
    assert (loaded.k, loaded.bits, loaded.largest) == (5, index.bits, index.largest)
    assert [level.tokens for level in loaded.levels] == [level.tokens for level in index.levels]
    for name, tensor in index.tensors().items():
        assert torch.equal(loaded.tensors()[name], tensor)
        assert loaded.tensors()[name].dtype == tensor.dtype
    prefix = (random_ids(30, 40) % 6 * 40_000)[3, 7:12].tolist()
    assert loaded.followers_of(prefix) == index.followers_of(prefix) != []


def test_every_damaged_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "citations.safetensors"
    CitationIndex.build([[1, 2, 3, 4, 5], [1, 2, 3, 5, 4]], 3).save(path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            loaded = CitationIndex.load(path)
        except UserError:
            continue
        # what is left of the header is spelling, such as a space after a bracket
        assert contents(loaded, {(1, 2, 3): set()}) == {(1, 2, 3): {4, 5}}
        assert place < len(whole) - sum(tensor.nbytes for tensor in loaded.tensors().values())
    for size in (0, 8, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match="build the citation index again"):
            CitationIndex.load(path)


def test_other_files_are_no_index(tmp_path: Path) -> None:
    path = tmp_path / "citations.safetensors"
    with pytest.raises(UserError, match="cannot be read"):
        CitationIndex.load(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(UserError, match="is not a citation index of this version"):
        CitationIndex.load(path)
    index = CitationIndex.build([[1, 2, 3]], 2)
    index.save(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(index.tensors(), path, metadata={**metadata, "about": metadata["about"].replace('"k": 2', '"k": 1')})
    with pytest.raises(UserError, match="its checksum does not match"):
        CitationIndex.load(path)


# The processor, call by call


@given(small_corpora, st.integers(1, 6), st.lists(st.lists(st.integers(0, 4), min_size=8, max_size=8), min_size=1))
def test_forbids_what_the_dictionary_forbids(sequences: list[list[int]], k: int, rows: list[list[int]]) -> None:
    sequences = [*sequences, [3, 3, 0, 0, 1, 2, 1, 2]]
    blocker, slow = CitationBlocker(sequences, k, pad_token_id=PAD), SlowBlocker(sequences, k)
    scores = torch.randint(0, 3, (len(rows), 6), generator=torch.Generator().manual_seed(len(rows))).float()
    before = scores.clone()
    for width in range(1, 9):
        ids = torch.tensor(rows)[:, :width]
        assert torch.equal(blocker(ids, scores), slow(ids, scores))
    assert torch.equal(scores, before)
    assert blocker.counts() == slow.counts()


def test_never_across_the_ends_of_sequences() -> None:
    blocker = CitationBlocker([[1, 2, 3], [4, 5, 6]], 2)
    assert forbidden(blocker, [1, 2], [2, 3], [3, 4], [4, 5]) == [[3], [], [], [6]]


def test_padding_is_no_text() -> None:
    """The corpus holds the padding's id too: citations that would begin in the padding are none."""
    training = [[0, 0, 1, 2, 3], [1, 0, 0, 4]]
    blocker = CitationBlocker(training, 2, pad_token_id=PAD)
    assert forbidden(blocker, [0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 0, 0], [5, 0, 1]) == [[], [], [3], [1, 4], [2]]
    unpadded = CitationBlocker(training, 2)
    assert forbidden(unpadded, [0, 0, 0], [0, 0, 1], [0, 1, 2]) == [[1, 4], [2], [3]]


def test_without_the_context_only_generated_tokens_count() -> None:
    blocker = CitationBlocker([[1, 2, 3, 4, 5, 6]], 2, count_context=False)
    text = [1, 2, 3, 4, 5]
    assert [forbidden(blocker, text[:width]) for width in (2, 3, 4, 5)] == [[[]], [[]], [[5]], [[6]]]
    # a new context in the same object: shorter, as long, or of other rows
    assert [forbidden(blocker, text[:width]) for width in (3, 4, 5)] == [[[]], [[]], [[6]]]
    assert [forbidden(blocker, text[:width]) for width in (5, 5)] == [[[]], [[]]]
    assert forbidden(blocker, text[:4], text[:4]) == [[], []]
    assert forbidden(blocker, text, text) == [[], []]
    # as wide as the text that was generated: only the user knows
    for width in (2, 3, 4):
        forbidden(blocker, text[:width])
    blocker.reset()
    assert forbidden(blocker, text) == [[]]
    assert blocker.counts().steps == 1


def test_the_width_of_the_context_may_be_given() -> None:
    blocker = CitationBlocker([[1, 2, 3, 4, 5, 6]], 2, count_context=False, prompt_width=1)
    assert [forbidden(blocker, [1, 2, 3, 4][:width]) for width in (4, 3, 2)] == [[[5]], [[4]], [[]]]


def test_rows_that_ended_are_not_counted() -> None:
    blocker = CitationBlocker([[1, 2, 3], [2, 7, 3]], 2, eos_token_id=[6, 7], pad_token_id=PAD)
    assert forbidden(blocker, [7, 1, 2], [0, 2, 7]) == [[3], [3]]  # an end in the context ends nothing
    assert forbidden(blocker, [7, 1, 2, 7], [0, 2, 7, 1]) == [[], []]
    assert forbidden(blocker, [7, 1, 2, 7, 0], [0, 2, 7, 1, 2]) == [[], [3]]
    assert blocker.counts() == BlockCounts(steps=4, blocked=3, changed=0)  # of equal scores the first is best: token 0


def test_a_row_with_nothing_else_allowed_is_left() -> None:
    blocker = CitationBlocker([[1, 2, 3], [1, 2, 0], [4, 4, 1]], 2)
    scores = torch.full((3, 5), -torch.inf)
    scores[:, [0, 3]] = torch.tensor([1.0, 2.0])
    scores[2, 2] = -5.0
    blocked = blocker(torch.tensor([[1, 2], [4, 4], [1, 2]]), scores)
    assert torch.equal(blocked[:2], scores[:2])
    assert blocked[2].tolist() == [-torch.inf, -torch.inf, -5.0, -torch.inf, -torch.inf]
    assert blocker.counts() == BlockCounts(steps=3, blocked=2, changed=1)  # 1 is forbidden in row 1, and was so before


def test_of_equal_scores_the_first_is_the_argmax() -> None:
    blocker = CitationBlocker([[1, 2, 3]], 2)
    for scores, changed in (([0, 5, 0, 5], 0), ([0, 0, 0, 5], 1), ([0, 0, 0, 0], 0), ([-1, -1, -1, 0], 1)):
        blocker.reset()
        blocker(torch.tensor([[1, 2]]), torch.tensor([scores]).float())
        assert blocker.counts() == BlockCounts(steps=1, blocked=1, changed=changed)


@given(st.sampled_from([1, 50, 64, 192, 512, 1024, 1001]), st.integers(0, 99))
def test_first_best_is_argmax(columns: int, seed: int) -> None:
    scores = torch.randint(0, 1 + seed, (7, columns), generator=torch.Generator().manual_seed(seed)).float()
    scores[3] = -torch.inf
    assert torch.equal(first_best(scores), scores.argmax(1))


def test_half_precision_stays() -> None:
    scores = torch.zeros(1, 8, dtype=torch.bfloat16)
    blocked = CitationBlocker([[1, 2, 3]], 2)(torch.tensor([[1, 2]]), scores)
    assert blocked.dtype == torch.bfloat16
    assert blocked.isinf().nonzero().tolist() == [[0, 3]]


def test_what_does_not_fit_together_is_told_at_once() -> None:
    index = CitationIndex.build([[1, 2, 9]], 2)
    with pytest.raises(UserError, match=r"(?s)k=3: the index was built for 2.*word_starts: is torch.float32\[9\]"):
        CitationBlocker(index, 3, word_starts=torch.zeros(9))
    with pytest.raises(UserError, match="word_starts: has 9 entries, and the training data the id 9"):
        CitationBlocker(index, word_starts=torch.zeros(9, dtype=torch.bool))
    with pytest.raises(UserError, match="holds the token id 9, and the model has 8 tokens"):
        forbidden(CitationBlocker(index), [1, 2])
    assert CitationBlocker(index).k == 2
    assert CitationBlocker([list(range(7))]).k == 5


class Reading(LogitsProcessor):
    """Reads one number back from the device."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # type: ignore[override]
        return scores if scores.max().item() > 0 else -scores


@pytest.mark.parametrize("count_context", [True, False])
def test_nothing_is_read_back_to_the_host(count_context: bool) -> None:
    """On the meta device tensors have shapes and no contents: whoever asks for one fails, as a control shows."""
    index = CitationIndex.build(random_ids(30, 40) % 6 * 40_000, 5)
    blocker = CitationBlocker(index, count_context=count_context, pad_token_id=PAD, eos_token_id=3)
    ids, scores = torch.empty(4, 30, dtype=torch.int64, device="meta"), torch.empty(4, 200_064, device="meta")
    with pytest.raises(RuntimeError):
        Reading()(ids, scores)
    for width in range(3, 30):
        assert blocker(ids[:, :width], scores).shape == scores.shape
    with pytest.raises(NotImplementedError):
        blocker.counts()


# Words


def test_words_are_finished_before_a_citation_is_cut() -> None:
    # 1 "the", 2 " har", 3 "bour", 4 " master", 5 "."
    starts = torch.tensor([True, False, True, False, True, True, True, True])
    training = [[1, 2, 3, 4, 5], [1, 2, 4, 5, 5]]
    plain, words = CitationBlocker(training, 2), CitationBlocker(training, 2, word_starts=starts)
    rows = [1, 2], [2, 3], [3, 4], [4, 5]
    assert forbidden(plain, *rows) == [[3, 4], [4], [5], [5]]
    assert forbidden(words, *rows) == [[4], [4], [5], [5]]


def test_no_follower_may_begin_a_word() -> None:
    words = CitationBlocker([[1, 2, 3]], 2, word_starts=torch.zeros(8, dtype=torch.bool))
    assert forbidden(words, [1, 2]) == [[]]
    assert words.counts() == BlockCounts(steps=1, blocked=0, changed=0)


# Inside generate


def copied(texts: list[list[int]], contexts: list[list[int]], citations: Citations, k: int) -> int:
    """Generated tokens that the k tokens before them have before them in the corpus."""
    return sum(
        text[place] in citations.get(tuple(text[place - k : place]), ())
        for text, context in zip(texts, contexts, strict=True)
        for place in range(max(k, len(context)), len(text))
    )


DECODINGS: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "sampled": {"do_sample": True, "top_k": 20, "top_p": 0.9, "temperature": 0.7},
    "beams": {"do_sample": False, "num_beams": 3},
    "sampled beams": {"do_sample": True, "num_beams": 2},
}


@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("k", [1, 3])
def test_in_generate_nothing_is_copied(decoding: str, k: int) -> None:
    """The corpus is what the model itself writes, with contexts of several lengths, padded on the left."""
    model = tiny_model()
    contexts = [random_ids(length, seed=length).tolist() for length in (4, 9, 6)]
    ids = torch.tensor([[PAD] * (9 - len(row)) + row for row in contexts])
    settings = {**DECODINGS[decoding], "attention_mask": (ids != PAD).long(), "max_new_tokens": 24}
    settings |= {"pad_token_id": PAD, "eos_token_id": None}

    def texts(**more: Any) -> list[list[int]]:
        torch.manual_seed(3)
        output = model.generate(ids, **settings, **more)  # type: ignore[operator]
        return [row[9 - len(context) :] for row, context in zip(output.tolist(), contexts, strict=True)]

    free = texts()
    citations = slow_index(free, k)
    assert copied(free, contexts, citations, k) == 3 * 24
    blocker, slow = CitationBlocker(free, k, pad_token_id=PAD), SlowBlocker(free, k)
    blocked = texts(logits_processor=[blocker])
    assert copied(blocked, contexts, citations, k) == 0
    assert blocked == texts(logits_processor=[slow])
    counts = blocker.counts()
    assert counts == slow.counts()
    assert counts.steps == 3 * 24 * DECODINGS[decoding].get("num_beams", 1)
    assert counts.steps > counts.blocked >= counts.changed
    assert counts.changed or decoding == "sampled"


def test_in_generate_the_context_may_be_left_out() -> None:
    """k = 1: with the context the first new token is another one, without it the second."""
    model = tiny_model()
    ids = random_ids(2, 5)
    settings: dict[str, Any] = {"do_sample": False, "max_new_tokens": 6, "pad_token_id": PAD, "eos_token_id": None}
    generate: Any = model.generate
    free = generate(ids, **settings)
    blocker = CitationBlocker(free, 1, count_context=False)
    for _ in range(2):  # the object may be used again
        blocked = generate(ids, logits_processor=[blocker], **settings)
        assert torch.equal(blocked[:, :6], free[:, :6])
        assert not (blocked[:, 6] == free[:, 6]).any()
    first = generate(ids, logits_processor=[CitationBlocker(free, 1)], **settings)
    assert not (first[:, 5] == free[:, 5]).any()


def test_generate_may_keep_the_raw_logits() -> None:
    model = tiny_model()
    ids = random_ids(1, 5)
    generate: Any = model.generate
    settings = {"do_sample": False, "max_new_tokens": 1, "return_dict_in_generate": True, "output_logits": True}
    free = generate(ids, **settings, output_scores=True)
    blocked = generate(ids, **settings, output_scores=True, logits_processor=[CitationBlocker(free.sequences, 5)])
    assert torch.equal(blocked.logits[0], free.logits[0])
    assert blocked.scores[0].isinf().nonzero().tolist() == [[0, int(free.sequences[0, -1])]]
    assert free.logits[0].shape == (1, VOCABULARY)
