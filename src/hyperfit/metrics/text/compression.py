"""How well texts compress: what repeats, within a text or between texts, is written once."""

import gzip
import math
from collections.abc import Sequence


def compression_ratio(texts: str | Sequence[str]) -> float:
    """Bytes of the text in UTF-8 / bytes of it compressed by gzip: above 0; the higher, the more it repeats itself.

    Several texts are joined by a space and compressed together, so that what they share counts too.
    gzip adds 18 bytes and looks back 32 KiB: ratios compare only between texts of about one length,
    and short texts can be below 1. NaN for no bytes. Level 9.
    Source: Shaib et al. (2024), who take all texts of a model together; their package compresses the
    compressed bytes once more, which adds some 34 bytes and so gives lower ratios for little text.
    """
    data = (texts if isinstance(texts, str) else " ".join(texts)).encode("utf-8")
    return len(data) / len(gzip.compress(data, compresslevel=9, mtime=0)) if data else math.nan
