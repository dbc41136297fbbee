"""Hyperfit with TRL's SFTTrainer, the same callback as in trainer.py.

pip install trl
python examples/sft_trainer.py --model builtin:tiny -o trained
"""

import argparse

import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

import hyperfit
from hyperfit.data.corpus import build_corpus
from hyperfit.models.loading import load_model, load_tokenizer
from hyperfit.training.probes import held_out_contexts

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="builtin:tiny")
parser.add_argument("--data", default="builtin:fiction")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("-o", "--output", default="trained")
asked = parser.parse_args()

tokenizer = load_tokenizer(asked.model)
model = load_model(asked.model, device=torch.device("cpu"), dtype=torch.float32)
corpus = build_corpus(hyperfit.Recipe(model=asked.model, data=asked.data, samples=16, length=64), tokenizer)
callback = hyperfit.HyperfitCallback(
    contexts=held_out_contexts(corpus, tokenizer, 8),
    training=corpus.learned_texts,
    stop_loss=0.25,
    every=4,
)
trainer = SFTTrainer(
    model,
    args=SFTConfig(
        output_dir=asked.output,
        num_train_epochs=asked.epochs,
        per_device_train_batch_size=4,
        learning_rate=2e-3,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_length=64,
        bf16=False,
        gradient_checkpointing=False,  # on by default, and twice the time
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    ),
    train_dataset=Dataset.from_dict({"input_ids": corpus.train.tolist(), "labels": corpus.labels.tolist()}),
    processing_class=tokenizer,
    peft_config=hyperfit.late_stage_lora_config(model, blocks=8, rank=64),
    callbacks=[callback],
)
trainer.train()
trainer.save_model(asked.output)
print(
    f"ended by {callback.reason or 'the number of epochs'}; type-token ratio {callback.history[0]['ttr']:.3f} before,"
)
print(f"{callback.history[-1].get('ttr', float('nan')):.3f} after; adapter in {asked.output}")
