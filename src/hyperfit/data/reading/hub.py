"""What a name that is nothing here may be on the Hugging Face hub, asked once before clients try it for long."""

from pathlib import Path
from typing import Any, Literal

from hyperfit.errors import UserError, naming

PATIENCE = 5.0
"""Seconds in which the hub has to answer."""


def check_hub(name: str, kind: Literal["model", "dataset"] = "model") -> None:
    """Raises UserError for a name that no repository of the hub can have, that none has, or that cannot be asked for.

    Nothing is asked where the hub's client is offline by HF_HUB_OFFLINE, or has it in its cache.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UserError(
            f"{name}: nothing of this name is here, and it cannot be a hub id, ORG/NAME ({error})"
        ) from error
    if constants.HF_HUB_OFFLINE or is_cached(name, kind):
        return
    try:
        HfApi().repo_info(name, repo_type=kind, timeout=PATIENCE)
    except GatedRepoError:
        pass  # it is there; whether its files are, their download says
    except RepositoryNotFoundError as error:
        raise UserError(
            f"{name}: nothing of this name is here, and the hub has no such {kind}; mend the name, or, if it is "
            "private, log in (hf auth login)"
        ) from error
    except HfHubHTTPError:
        pass  # the hub is busy, or answers in another way: its client knows how to wait
    except Exception as error:  # no network: the kinds are those of the client below the hub's
        raise UserError(
            f"{name}: nothing of this name is here, and the hub cannot be reached ({type(error).__name__}: {error}); "
            "mend the name or the network, or give what lies on this machine"
        ) from error


def is_cached(name: str, kind: Literal["model", "dataset"]) -> bool:
    """Whether a model's config, or something of a data set, was downloaded before."""
    if kind == "model":
        from huggingface_hub import try_to_load_from_cache

        return isinstance(try_to_load_from_cache(name, "config.json"), str)
    from datasets import config

    return (Path(config.HF_DATASETS_CACHE) / name.replace("/", "___")).is_dir()


def load_hub(source: str) -> Any:
    """The ``datasets.Dataset`` ORG/NAME[:CONFIG[:SPLIT]]; its part train if none is named. Raises UserError if none."""
    import datasets

    name, config, split = [*source.split(":", 2), "", ""][:3]
    if not Path(name).exists():
        with naming("--data"):
            check_hub(name, "dataset")
    try:
        return datasets.load_dataset(name, config or None, split=split or "train")
    except Exception as error:  # the hub client raises dozens of unrelated kinds
        raise UserError(
            f"--data {source}: neither a file or folder here nor a hub data set that could be loaded as "
            f"ORG/NAME[:CONFIG[:SPLIT]] ({type(error).__name__}: {error}); name another"
        ) from error
