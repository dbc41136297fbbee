"""A model's weights on disk, read one at a time."""

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightRenaming, rename_source_key

from hyperfit.errors import UserError
from hyperfit.models.files.weights import weight_files
from hyperfit.models.loading import UNREADABLE


class Shards:
    """A model's weights in its safetensors files, read tensor by tensor."""

    def __init__(self, name: str, model: PreTrainedModel) -> None:
        """name: folder, hub id or builtin:NAME. Raises UserError if a weight of ``model`` is not in the files."""
        self.files = {key: file for file in weight_files(name) for key in keys_of(file)}
        renamings = [change for change in get_model_conversion_mapping(model) if isinstance(change, WeightRenaming)]
        known = model.state_dict()
        named = {rename_source_key(key, renamings, [], model.base_model_prefix, known)[0]: key for key in self.files}
        self.keys: dict[str, str] = {}
        """The model's names of weights → those in the files, as transformers renames them; a shared weight once."""
        for weight, _ in model.named_parameters():
            if weight not in named:
                raise UserError(
                    f"--streaming: {weight} is not in the safetensors files of {name} under this name, so the model "
                    "cannot be read block by block; train without --streaming"
                )
            self.keys[weight] = named[weight]

    def read(self, weight: str, dtype: torch.dtype) -> Tensor:
        """A tensor by the model's name of it, copied out of the file."""
        key = self.keys[weight]
        with safe_open(self.files[key], framework="pt") as file:
            tensor: Tensor = file.get_tensor(key)
            return tensor.to(dtype, copy=True)


def keys_of(file: Path) -> list[str]:
    """The tensors in a safetensors file. Raises UserError if it is damaged."""
    try:
        with safe_open(file, framework="pt") as opened:
            return list(opened.keys())
    except UNREADABLE as error:
        raise UserError(f"{file}: cannot be read ({error}); copy or download it again") from error
