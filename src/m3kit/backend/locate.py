"""From a model's name to the folder that holds it: shipped, local, or on the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from m3kit.backend.files import CheckpointError

_SHIPPED = ("tiny",)
_SMALL_FILES = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "sparse_linear.pt",
    "colbert_linear.pt",
    "modules.json",
    "*_Pooling/config.json",
    "config_sentence_transformers.json",
]


def locate(
    model: str | Path,
    *,
    revision: str | None,
    cache_dir: str | Path | None,
    progress: bool,
    weights: Sequence[str] = ("model.safetensors", "pytorch_model.bin"),
) -> tuple[str, Path]:
    """
    Return the name and the folder of a checkpoint, downloading what is not there yet.

    Args:
        model: A shipped model, a folder, or a name on the hub.
        revision: Branch, tag or commit on the hub.
        cache_dir: Where downloads are kept.
        progress: Whether to show a bar.
        weights: Patterns of the files to download; the first that the hub has is enough.

    Raises:
        CheckpointError: If there is no such folder, or the hub does not give it.
    """
    if isinstance(model, str) and model in _SHIPPED:
        return model, Path(str(files("m3kit").joinpath("checkpoints", model)))
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _folder_name(folder), folder
    if isinstance(model, Path) or folder.exists() or _looks_like_a_path(model):
        wrong = "is not a folder" if folder.exists() else "does not exist"
        raise CheckpointError(
            f"the folder {str(model)!r} {wrong}; give a checkpoint's folder or its name on the hub"
        )
    return model, _download(
        model, revision=revision, cache_dir=cache_dir, progress=progress, weights=weights
    )


def _folder_name(folder: Path) -> str:
    """Name a folder by its last part, and one in the hub's cache by the model it came from."""
    folder = folder.resolve()
    cached = re.fullmatch(r"models--(.+)", folder.parent.parent.name)
    return cached[1].replace("--", "/") if cached else folder.name


def _looks_like_a_path(model: str) -> bool:
    return model.startswith((".", "/", "~")) or "\\" in model or model.count("/") > 1


def _download(
    model: str,
    *,
    revision: str | None,
    cache_dir: str | Path | None,
    progress: bool,
    weights: Sequence[str],
) -> Path:
    from huggingface_hub import snapshot_download  # a second, which local folders need not wait
    from tqdm import tqdm  # type: ignore[import-untyped]  # it ships no types

    class Silent(tqdm):  # type: ignore[misc]  # so its base is Any
        """The hub's bar, never shown."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})

    def fetch(*patterns: str) -> Path:
        return Path(
            snapshot_download(
                model,
                revision=revision,
                cache_dir=cache_dir,
                allow_patterns=list(patterns),
                tqdm_class=None if progress else Silent,
            )
        )

    try:
        for pattern in weights:
            folder = fetch(*_SMALL_FILES, pattern)
            if any(folder.glob(pattern)):
                break
    except (OSError, ValueError) as error:
        raise CheckpointError(_why(model, revision, error)) from error
    return folder


def _why(model: str, revision: str | None, error: Exception) -> str:
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():
            why = "access is restricted: ask for it on the model's page, then `hf auth login`"
        case errors.RepositoryNotFoundError():
            why = "there is no such model, or it is private (`hf auth login`)"
        case errors.RevisionNotFoundError():
            why = f"it has no revision {revision!r}"
        case errors.LocalEntryNotFoundError() | errors.OfflineModeIsEnabled():
            why = "it is not in the cache, and the hub is out of reach or HF_HUB_OFFLINE is set"
        case _:
            why = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
    return (
        f"cannot get {model!r} from the Hugging Face hub: {why}. A local folder works too, as a "
        f"path ({'./' + model!r}), and so does {_SHIPPED[0]!r}, which is shipped"
    )
