"""GGUF files whose header leads beyond their end, or that describe another model than they hold: refused at once."""

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from hyperfit.errors import UserError
from hyperfit.models.files.folders import model_folder
from hyperfit.models.files.gguf_header import check_header

STRING, ARRAY, U32 = 8, 9, 4


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("HYPERFIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def value(name: str, kind: int, content: bytes) -> bytes:
    return string(name) + struct.pack("<I", kind) + content


def array(kind: int, count: int, content: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + content


def tensor(name: str, shape: list[int], kind: int = 0) -> bytes:
    return string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, 0)


def file(path: Path, values: list[bytes], tensors: list[bytes] | None = None, rest: bytes = bytes(512)) -> Path:
    tensors = tensors or []
    path.write_bytes(
        struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(values)) + b"".join([*values, *tensors]) + rest
    )
    return path


WHOLE = [
    value("a", STRING, string("b" * 9000)),
    value("numbers", ARRAY, array(U32, 3, bytes(12))),
    value("words", ARRAY, array(STRING, 2, string("犬").replace(b"\x01", b"\x03", 1) + string("x" * 4096))),
    value("small", 0, b"1"),
    value("large", 12, bytes(8)),
]


def test_what_gguf_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_token_list([f"token {number}" for number in range(500)])
    writer.add_array("scores", [0.5] * 500)
    writer.add_bool("yes", True)
    writer.add_uint64("large", 2**60)
    writer.add_tensor("one", np.zeros((3, 5), np.float32))
    writer.add_tensor(
        "two",
        gguf.quants.quantize(np.zeros((4, 32), np.float32), gguf.GGMLQuantizationType.Q8_0),
        raw_dtype=gguf.GGMLQuantizationType.Q8_0,
    )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    check_header(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="leads beyond the end"):
        check_header(path)


def test_what_fits_is_read(tmp_path: Path) -> None:
    check_header(file(tmp_path / "a.gguf", WHOLE, [tensor("t", [8, 16])]))


@pytest.mark.parametrize(
    ("values", "tensors", "reason"),
    [
        ([value("a", ARRAY, array(U32, 2**60))], [], "what stands before byte 49 leads beyond the end"),
        ([value("a", ARRAY, array(STRING, 2**60))], [], "leads beyond the end"),
        ([value("a", ARRAY, array(ARRAY, 2**60))], [], "a value of kind 9"),
        ([value("a", ARRAY, array(13, 2**60))], [], "a value of kind 13"),
        ([value("a", STRING, struct.pack("<Q", 2**60))], [], "leads beyond the end"),
        ([value("a", 99, b"")], [], "a value of kind 99"),
        ([value("a", ARRAY, array(STRING, 1, string("x" * 4097)))], [], "a string in an array has 4097 bytes"),
        ([], [tensor("t", [1] * 5)], "a tensor has 5 dimensions"),
        ([], [tensor("t", [2**20, 2**20])], "its tensors would take 4398046511104 bytes, and the file has "),
        ([], [tensor(f"t{number}", [8, 16]) for number in range(9)], "its tensors would take 4608 bytes"),
        ([], [tensor("t", [8], 99)], "99 is not a valid GGMLQuantizationType"),
    ],
)
def test_counts_and_lengths_beyond_the_end_are_refused(
    tmp_path: Path, values: list[bytes], tensors: list[bytes], reason: str
) -> None:
    path = file(tmp_path / "a.gguf", values, tensors)
    with pytest.raises(ValueError, match=reason):
        check_header(path)
    with pytest.raises(UserError, match=rf"a.gguf: cannot be read by transformers' reader of GGUF files .*{reason}"):
        model_folder(str(path))


@pytest.mark.parametrize("counts", [(2**60, 0), (0, 2**60), (2**63, 2**63)])
def test_so_are_more_values_and_tensors_than_there_are(tmp_path: Path, counts: tuple[int, int]) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, *counts))
    with pytest.raises(ValueError, match="leads beyond the end"):
        check_header(path)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGML" + bytes(60), b"GGUF\0\0\0\3" + bytes(60)])
def test_so_is_what_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.gguf").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"leads beyond the end|does not begin as one|version 50331648; known are 2, 3"
    ):
        check_header(tmp_path / "a.gguf")


def described(path: Path, **sizes: Any) -> Path:
    """A Llama of such sizes, with the weights of a small one."""
    about = {"block_count": 1, "context_length": 64, "embedding_length": 8, "feed_forward_length": 16} | sizes
    writer = gguf.GGUFWriter(path, "llama")
    for name, size in about.items():
        writer.add_uint32(f"llama.{name}", size)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_name("tiny")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b", "c"])
    writer.add_token_merges(["a b"])
    writer.add_tensor("token_embd.weight", np.zeros((3, 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({"embedding_length": 10_000_000}, r"it describes a model of \d+ parameters, and holds 24"),
        ({"feed_forward_length": 1_000_000_000}, r"it describes a model of \d+ parameters, and holds 24"),
        ({"vocab_size": 1_000_000_000}, r"it describes a model of \d+ parameters, and holds 24"),
        ({"block_count": 1_000_000_000}, "more than 1000 blocks are not built"),
    ],
)
def test_a_file_that_describes_a_larger_model_is_refused(tmp_path: Path, sizes: dict[str, int], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        model_folder(str(described(tmp_path / "a.gguf", **sizes)))
