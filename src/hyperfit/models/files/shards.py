"""The shards of a model's weights, by the index that names them."""

import json
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from hyperfit.errors import UserError

INDEX = ".safetensors.index.json"
"""How the names of such files end."""


def shards_in(index: Path) -> list[str]:
    """The names of the shards, in order; none of an index that cannot be read, of which others tell.

    They are relative to the folder of the index. Raises UserError for one that leads out of it.
    """
    try:
        named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        shards = sorted({shard for shard in named if isinstance(shard, str)})
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []
    if out := [shard for shard in shards if leads_out(shard)]:
        raise UserError(
            f"{index}: names {out[0]!r} as a file of weights, which leads out of the model's folder; put it into that "
            "folder, and correct its name there"
        )
    return shards


def leads_out(name: str) -> bool:
    """Whether a name can be none of a file inside a folder, on whichever system."""
    kinds = (PurePosixPath(name), PureWindowsPath(name))
    return bool(re.search("[\0\ud800-\udfff]", name)) or any(
        path.drive or path.root or ".." in path.parts for path in kinds
    )


def check_weights_name(explicit: Any) -> None:
    """Raises UserError where a config names a file of weights (``transformers_weights``) by a path, or by none."""
    if explicit is not None and (not isinstance(explicit, str) or re.search(r"[/\\:\0]", explicit)):
        raise UserError(
            f"transformers_weights in its config is {explicit!r}; give the name of a file in the model's folder"
        )


def check_hub_shards(where: str, explicit: str | None) -> None:
    """Raises UserError where the index of a hub model's weights leads out of its folder; downloads what it looks at.

    explicit: the file that the model's config names as that of its weights.
    """
    if Path(where).is_dir():  # whose files have been looked at
        return
    from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME
    from transformers.utils.hub import cached_file

    if explicit is None and cached_file(where, SAFE_WEIGHTS_NAME, _raise_exceptions_for_missing_entries=False):
        return
    name = explicit or SAFE_WEIGHTS_INDEX_NAME
    if name.endswith(INDEX) and (index := cached_file(where, name, _raise_exceptions_for_missing_entries=False)):
        shards_in(Path(index))
