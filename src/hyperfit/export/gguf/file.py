"""A model and its tokenizer as one GGUF file."""

from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel

from hyperfit.export.about import TAGS, About
from hyperfit.export.gguf.architectures import ARCHITECTURES, add_sizes, weights
from hyperfit.export.gguf.vocabulary import Vocabulary
from hyperfit.export.settings import GGUFKind


def write_gguf(model: PreTrainedModel, vocabulary: Vocabulary, file: Path, kind: GGUFKind, about: About) -> None:
    """Write the file; kind: of its matrices, F16, or Q8_0: blocks of 32 weights in 8 bits each, with a scale.

    Vectors stay in 32 bits, as llama.cpp wants them, and a matrix whose rows are no whole blocks goes in 16.
    """
    from gguf import GGML_QUANT_VERSION, GGMLQuantizationType, GGUFWriter, LlamaFileType, quantize

    writer = GGUFWriter(str(file), ARCHITECTURES[str(model.config.model_type)].name)
    writer.add_type("model")
    writer.add_name(about.name)
    if about.licence is not None:
        writer.add_license(about.licence)
    writer.add_base_model_count(1)
    writer.add_base_model_name(0, about.base)
    writer.add_tags(TAGS)
    add_sizes(writer, model.config)
    writer.add_file_type(LlamaFileType[f"MOSTLY_{kind}"])
    writer.add_quantization_version(GGML_QUANT_VERSION)
    vocabulary.add_to(writer)
    for name, values in weights(model):
        stored = GGMLQuantizationType[stored_as(values, kind)]
        writer.add_tensor(name, quantize(values.float().contiguous().numpy(), stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def stored_as(values: Tensor, kind: GGUFKind) -> str:
    """The type in which a weight is stored, as gguf.GGMLQuantizationType names it."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    if values.dim() == 1:
        return "F32"
    block, _ = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
    return kind if values.shape[-1] % block == 0 else "F16"
