"""A tokenizer of pieces as SentencePiece makes them, small enough to train on the spot."""

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaTokenizer
from transformers.tokenization_utils_base import generate_merges

from tiny_tokenizers import SENTENCES

SPECIAL = ["<unk>", "<s>", "</s>"]
SIZE = 400


def tiny_pieces() -> LlamaTokenizer:
    """SIZE tokens: three special ones, the bytes, letters, and pieces of SENTENCES; a text begins with ``<s>``."""
    bpe = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    bpe.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    single = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    bpe.train_from_iterator(SENTENCES, trainers.BpeTrainer(vocab_size=SIZE, special_tokens=single, show_progress=False))
    vocabulary = bpe.get_vocab()
    scores = {token: -number for token, number in vocabulary.items()}
    merges = generate_merges(vocabulary, scores)  # all pairs that make a piece, as SentencePiece would take them
    return LlamaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True)
