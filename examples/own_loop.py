"""The prefix cache in a loop of your own: the frozen blocks run once, losses and gradients stay the same bit for bit.

python examples/own_loop.py --model builtin:tiny
"""

import argparse
import time

import torch
from peft import get_peft_model

import hyperfit
from hyperfit.data.corpus import build_corpus
from hyperfit.models.loading import load_model, load_tokenizer

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="builtin:tiny")
parser.add_argument("--data", default="builtin:fiction")
parser.add_argument("--cache", default="prefix-cache")
asked = parser.parse_args()

tokenizer = load_tokenizer(asked.model)
base = load_model(asked.model, device=torch.device("cpu"), dtype=torch.float32)
model = get_peft_model(base, hyperfit.late_stage_lora_config(base, blocks=3))
corpus = build_corpus(hyperfit.Recipe(model=asked.model, data=asked.data, samples=8, length=64), tokenizer)


def epoch(optimizer: torch.optim.Optimizer | None = None) -> list[float]:
    """The loss of each batch of an epoch; with an optimiser, trained on."""
    losses = []
    for batch, labels in zip(corpus.train.split(4), corpus.labels.split(4), strict=True):  # of chats replies alone
        loss = model(input_ids=batch, labels=labels, use_cache=False).loss
        losses.append(loss.item())
        if optimizer is not None:
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return losses


model.eval()  # no dropout
whole = epoch()
with hyperfit.cache_prefix(model, corpus.train, asked.cache, batch_size=4):
    assert epoch() == whole, "the cache changes nothing"
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-3, weight_decay=0)
    for number in range(1, 4):
        started = time.monotonic()
        print(f"epoch {number}: mean loss {sum(epoch(optimizer)) / 2:.3f}, {time.monotonic() - started:.2f} s")
# outside of the block the model is whole again
started = time.monotonic()
print(f"epoch 4, without the cache: mean loss {sum(epoch(optimizer)) / 2:.3f}, {time.monotonic() - started:.2f} s")
