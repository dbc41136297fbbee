"""Every measure of one text's token ids, by name."""

from collections.abc import Callable, Sequence
from functools import partial

from hyperfit.metrics.text.diversity import diversity, ngram_repetition, type_token_ratio
from hyperfit.metrics.text.lexical import hdd, mattr, mtld
from hyperfit.metrics.text.loops import ends_in_loop, loop_onset, loop_period

TEXT_MEASURES: dict[str, Callable[[Sequence[int]], float]] = {
    "ttr": type_token_ratio,
    "bigram_repetition": partial(ngram_repetition, n=2),
    "trigram_repetition": partial(ngram_repetition, n=3),
    "diversity": diversity,
    "mattr": mattr,
    "mtld": mtld,
    "hdd": hdd,
    "loop_share": ends_in_loop,
    "loop_period": loop_period,
    "loop_onset": loop_onset,
}
"""Name → function of a text's token ids; NaN where it is undefined."""
SHARES = frozenset({"loop_share"})
"""Those that are 0 or 1, whose mean is a share and takes ``share_estimate``."""
