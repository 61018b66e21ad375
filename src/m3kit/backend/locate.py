"""Find the folder of a model: shipped with m3kit, local, or on the Hugging Face hub."""

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
    "sparse_linear.safetensors",
    "colbert_linear.pt",
    "colbert_linear.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    "modules.json",
    "*_Pooling/config.json",
    "config_sentence_transformers.json",
]
_WEIGHTS = ("model.safetensors", "model-*.safetensors", "pytorch_model.bin", "pytorch_model-*.bin")


def locate(
    model: str | Path,
    *,
    revision: str | None,
    cache_dir: str | Path | None,
    progress: bool,
    weights: Sequence[str] = _WEIGHTS,
) -> tuple[str, Path]:
    """
    Return the name and the folder of a checkpoint, which is downloaded if necessary.

    Args:
        model: A shipped model, a folder, or a name on the hub.
        revision: Branch, tag or commit on the hub.
        cache_dir: Where downloads are stored.
        progress: Whether to show a bar.
        weights: Patterns of the files to download; the first that the hub has is enough.

    Raises:
        CheckpointError: If there is no such folder, or the download fails.
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
    """Return the name of a folder, or of the model for a folder in the hub's cache."""
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
    from huggingface_hub import (
        snapshot_download,
    )  # takes a second, and local folders do not need it
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
        raise CheckpointError(_reason(model, revision, error)) from error
    return folder


def _reason(model: str, revision: str | None, error: Exception) -> str:
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():
            reason = "access is restricted: ask for it on the model's page, then `hf auth login`"
        case errors.RepositoryNotFoundError():
            reason = "there is no such model, or it is private (`hf auth login`)"
        case errors.RevisionNotFoundError():
            reason = f"it has no revision {revision!r}"
        case errors.LocalEntryNotFoundError() | errors.OfflineModeIsEnabled():
            reason = "it is not in the cache, and the hub is out of reach or HF_HUB_OFFLINE is set"
        case _:
            reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
    return (
        f"cannot get {model!r} from the Hugging Face hub: {reason}. A local folder works too, as a "
        f"path ({'./' + model!r}), and so does {_SHIPPED[0]!r}, which is shipped"
    )
