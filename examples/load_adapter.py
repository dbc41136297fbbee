"""A run's adapter in plain PEFT: loaded, merged, and at half its strength.

hyperfit train builtin:tiny --data builtin:fiction --preset tiny -o run
python examples/load_adapter.py run
"""

import argparse

import torch
from peft import PeftModel

import hyperfit
from hyperfit.models.loading import load_model, load_tokenizer

parser = argparse.ArgumentParser()
parser.add_argument("run")
parser.add_argument("--prompt", default="The ferry was late again, and")
asked = parser.parse_args()

run = hyperfit.RunDir.open(asked.run)
tokenizer = load_tokenizer(run.recipe.model)
prompt = tokenizer(asked.prompt, return_tensors="pt")


def greedy(model: torch.nn.Module) -> str:
    """What the model writes after the prompt."""
    written = model.generate(**prompt, max_new_tokens=48, do_sample=False, pad_token_id=tokenizer.pad_token_id)
    return str(tokenizer.decode(written[0], skip_special_tokens=True))


# AutoModelForCausalLM.from_pretrained does as well for a folder or a hub id
base = load_model(run.recipe.model, device=torch.device("cpu"), dtype=torch.float32)
print("base:", greedy(base))
model = PeftModel.from_pretrained(base, f"{asked.run}/adapter").eval()
text = greedy(model)
print("hyperfitted:", text)
assert greedy(model.merge_and_unload()) == text, "merged in fp32 it writes the same"
print("at half its strength:", greedy(hyperfit.load_any(asked.run, strength=0.5)))
