"""How far training has moved a model's weights from where they started."""

import math

import torch
from peft import PeftModel

from hyperfit.models.loading import load_model
from hyperfit.models.structure.layout import inner_model
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any

CPU = torch.device("cpu")


def distances(run: RunDir) -> dict[str, float]:
    """``weight_norm`` of the weights that training has changed, and their ``weight_distance`` from the base model's.

    Both are Frobenius norms over all of them together, in fp32, 0 or more; an adapter counts as what it adds to the
    weights of its layer. Of a run without a change both are 0.
    """
    trained = load_any(str(run.path), device=CPU, precision="fp32")
    if isinstance(trained, PeftModel):
        trained = trained.merge_and_unload()
    base = load_model(run.recipe.model, device=CPU, dtype=torch.float32)
    started = dict(inner_model(base).named_parameters())
    norm = distance = 0.0
    with torch.no_grad():
        for name, weight in inner_model(trained).named_parameters():
            change = float((weight.double() - started[name].double()).square().sum())
            if change:
                norm, distance = norm + float(weight.double().square().sum()), distance + change
    return {"weight_norm": math.sqrt(norm), "weight_distance": math.sqrt(distance)}
