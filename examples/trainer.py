"""Hyperfit with transformers' Trainer: a Late-Stage LoRA config, and a callback that ends training at near-zero loss.

python examples/trainer.py --model builtin:tiny -o trained
"""

import argparse

import torch
from peft import get_peft_model
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

import hyperfit
from hyperfit.data.corpus import Corpus, build_corpus
from hyperfit.models.loading import load_model, load_tokenizer
from hyperfit.training.probes import held_out_contexts

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="builtin:tiny")
parser.add_argument("--data", default="builtin:fiction")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("-o", "--output", default="trained")
asked = parser.parse_args()


class Sequences(Dataset[dict[str, torch.Tensor]]):
    """Token ids, and labels, which the model shifts itself: the same ids, but -100 for what of a chat is only read."""

    def __init__(self, corpus: Corpus) -> None:
        self.rows, self.labels = corpus.train, corpus.labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.rows[place], "labels": self.labels[place]}


tokenizer = load_tokenizer(asked.model)  # AutoTokenizer.from_pretrained does as well for a folder or a hub id
model = load_model(asked.model, device=torch.device("cpu"), dtype=torch.float32)
model = get_peft_model(model, hyperfit.late_stage_lora_config(model, blocks=8, rank=64))

corpus = build_corpus(hyperfit.Recipe(model=asked.model, data=asked.data, samples=16, length=64), tokenizer)
callback = hyperfit.HyperfitCallback(
    contexts=held_out_contexts(corpus, tokenizer, 8),
    training=corpus.learned_texts,
    stop_loss=0.25,
    every=4,
)
trainer = Trainer(
    model,
    TrainingArguments(
        asked.output,
        num_train_epochs=asked.epochs,
        per_device_train_batch_size=4,
        learning_rate=2e-3,
        lr_scheduler_type="constant",  # hyperfitting wants neither warm-up, nor decay, nor weight decay
        weight_decay=0.0,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    ),
    train_dataset=Sequences(corpus),
    processing_class=tokenizer,
    callbacks=[callback],
)
trainer.train()
trainer.save_model(asked.output)
print(
    f"ended by {callback.reason or 'the number of epochs'}; type-token ratio {callback.history[0]['ttr']:.3f} before,"
)
print(f"{callback.history[-1].get('ttr', float('nan')):.3f} after; adapter in {asked.output}")
print(callback.history[-1].get("sample"))
