"""Upload of an exported folder to the Hugging Face hub, by the hub's own client."""

from pathlib import Path

from hyperfit.errors import UserError


def check_push(repository: str) -> None:
    """Raises UserError unless the hub knows who we are: found out before an hour's work, not after it."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import LocalTokenNotFoundError

    try:
        HfApi().whoami()
    except LocalTokenNotFoundError as error:
        raise UserError(f"--push {repository}: you are not logged in to the hub; hf auth login") from error
    except Exception as error:  # no network, a token that has expired: the kinds are those of the client below
        raise UserError(f"--push {repository}: the hub does not answer as it should ({told(error)})") from error


def push(folder: Path, repository: str, *, public: bool) -> str:
    """Upload the folder to a repository, made private, or public, if there is none of that name; its address.

    Raises UserError if the hub refuses; the folder stays as it is.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        address = api.create_repo(repository, repo_type="model", private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=repository, repo_type="model", folder_path=folder, commit_message="Upload by hyperfit export"
        )
    except Exception as error:  # as above
        raise UserError(
            f"--push {repository}: the upload failed ({told(error)}); {folder} is whole, so mend that, and hf upload "
            f"{repository} {folder}"
        ) from error
    return str(address)


def told(error: Exception) -> str:
    """An error's kind and first line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
