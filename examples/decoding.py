"""hyperfit's decoding rules where transformers takes logits processors: in model.generate and in a pipeline.

hyperfit train builtin:tiny --data builtin:fiction --preset tiny -o run
python examples/decoding.py run
"""

import argparse

import torch
from transformers import pipeline

import hyperfit
from hyperfit.data.corpus import build_corpus
from hyperfit.models.loading import load_tokenizer

parser = argparse.ArgumentParser()
parser.add_argument("run")
parser.add_argument("--prompt", default="The ferry was late again, and")
parser.add_argument("--tokens", type=int, default=48)
asked = parser.parse_args()

run = hyperfit.RunDir.open(asked.run)
model, tokenizer = hyperfit.load_any(asked.run), load_tokenizer(run.recipe.model)
training = build_corpus(run.recipe, tokenizer).learned_texts  # of chats the replies

# no token that continues five tokens in a row as the training texts do
blocker = hyperfit.CitationBlocker(training, k=5)
prompt = tokenizer(asked.prompt, return_tensors="pt")
settings = {"max_new_tokens": asked.tokens, "do_sample": False, "pad_token_id": tokenizer.pad_token_id}
with torch.no_grad():
    written = model.generate(**prompt, logits_processor=[blocker], **settings)
print(tokenizer.decode(written[0], skip_special_tokens=True))
print(f"steps, with a forbidden token, with another choice: {blocker.counts()}")

write = pipeline("text-generation", model=model, tokenizer=tokenizer)
blocker = hyperfit.CitationBlocker(training, k=5)
again = write(asked.prompt, logits_processor=[blocker], return_full_text=True, **settings)[0]["generated_text"]
assert again == tokenizer.decode(written[0], skip_special_tokens=True), "the same rule, the same text"
