"""Tokenizers small enough to train on the spot."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

BEGIN = "<s>"
END = "</s>"
SENTENCES = (
    "The harbour master counted nine boats at dusk and ten at dawn.",
    "Nobody would sell her the blue bicycle, so she built a green one.",
    "It rained on the market, and the cheese was moved under the bridge.",
    "Two brothers repaired clocks, and neither of them was ever on time.",
)


def tiny_bpe(*, begins: bool) -> PreTrainedTokenizerFast:
    """A byte-level BPE of 300 tokens; with ``begins`` it puts a token in front of every text."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=300, special_tokens=[BEGIN, END], initial_alphabet=alphabet, show_progress=False
        ),
    )
    if begins:
        front = [(BEGIN, bpe.token_to_id(BEGIN))]
        bpe.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=front)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=BEGIN, eos_token=END)
