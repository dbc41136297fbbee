"""Files that are zip archives (.npz, .xlsx): what they unpack to, before anything is unpacked."""

import zipfile
from pathlib import Path

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of packing, that such files use; by others a piece can unpack to any size before it is counted."""


def unpacked_size(path: Path) -> int:
    """Bytes of all that is in the archive, as its directory says; nothing reads more of it than that.

    Raises BadZipFile for no archive, and for one that is packed in another way than such files are.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if strange := [entry.filename for entry in entries if entry.compress_type not in METHODS]:
        raise zipfile.BadZipFile(f"{strange[0]} in it is packed in a way that such files are not")
    return sum(entry.file_size for entry in entries)
