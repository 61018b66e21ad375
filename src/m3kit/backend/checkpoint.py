"""
A checkpoint in the published layout, read from its folder.

    config.json                        the backbone: XLM-RoBERTa or BERT
    model.safetensors                  its weights (or pytorch_model.bin; or several files, which
                                       model.safetensors.index.json names)
    sparse_linear.pt                   the head of the lexical weights (or .safetensors)
    colbert_linear.pt                  the head of the ColBERT vectors (or .safetensors)
    tokenizer.json                     and tokenizer_config.json beside it
    modules.json, 1_Pooling/           the pooling of sentence-transformers, if present
    config_sentence_transformers.json  its prompts, if present
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from m3kit.backend.files import CheckpointError, expect, read_json, samples

Pooling: TypeAlias = Literal["cls", "mean"]
"""How the token vectors become the dense one."""

_SUPPORTED = ("xlm-roberta", "bert")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_HEADS = ("sparse_linear", "colbert_linear")
_SUFFIXES = (".pt", ".safetensors")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """
    A folder whose `config.json` this encoder understands; see `read_checkpoint`.

    Args:
        name: Its name for users.
        folder: Where its files are.
        config: The content of `config.json`.
        pooled: A pooling that overrides the one of the files.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    pooled: Pooling | None = None

    @property
    def model_type(self) -> str:
        """`"xlm-roberta"` or `"bert"`."""
        return str(self.config.get("model_type"))

    def weights_files(self) -> list[Path]:
        """
        Return the files of the backbone's weights.

        Raises:
            CheckpointError: If there are none, or one of several is missing.
        """
        for name in _WEIGHTS:
            if (self.folder / name).is_file():
                return [self.folder / name]
            if (index := self.folder / f"{name}.index.json").is_file():
                return self._shards(index)
        raise CheckpointError(f"{self.folder} has no weights: neither {' nor '.join(_WEIGHTS)}")

    def head_files(self) -> list[Path]:
        """
        Return the files of the sparse and the ColBERT head; none where there is neither.

        Raises:
            CheckpointError: If one of the two is missing.
        """
        heads = self._heads()
        missing = [name for name, file in heads.items() if file is None]
        if len(missing) == 1:
            raise CheckpointError(
                f"{self.folder} lacks {missing[0]}{_SUFFIXES[0]} and has the other head; an M3 "
                f"checkpoint has {' and '.join(f'{name}{_SUFFIXES[0]}' for name in _HEADS)}, a "
                "dense one neither"
            )
        return [file for file in heads.values() if file is not None]

    def pooling(self) -> Pooling:
        """
        Return the pooling of the files of sentence-transformers, or CLS without any.

        Raises:
            CheckpointError: If it is another one, or not the only module.
        """
        if self.pooled is not None:
            return self.pooled
        modules = self._modules()
        paths = [] if modules else ["1_Pooling"]
        for kind, path in modules:
            if kind == "Pooling":
                paths.append(path)
            elif kind not in {"Transformer", "Normalize"}:
                raise CheckpointError(
                    f"{self.folder / 'modules.json'} has a module {kind!r}, which this encoder "
                    "does not compute; it knows Transformer, Pooling and Normalize"
                )
        modes = [mode for path in paths for mode in _modes(self.folder / path / "config.json")]
        match modes or ["cls"]:
            case ["cls"]:
                return "cls"
            case ["mean"]:
                return "mean"
            case _:
                raise CheckpointError(
                    f"{self.folder} pools by {' and '.join(modes)}; this encoder by cls or mean"
                )

    def prompt(self, *names: str) -> str:
        """Return the first prompt of sentence-transformers with one of these names, or ''."""
        path = self.folder / "config_sentence_transformers.json"
        value = read_json(path, dict, optional=True).get("prompts") or {}
        prompts = expect(value, dict, f"'prompts' in {path}")
        return next((str(prompts[name]) for name in names if prompts.get(name)), "")

    def fingerprint(self) -> str:
        """
        Hash the content of the model, wherever its files are: 8 hexadecimal digits.

        The small files count in full, the weights by their size and 64 samples.
        """
        digest = hashlib.sha256(self.pooling().encode())
        small = [self.folder / name for name in ("config.json", "tokenizer.json")]
        for path in (*small, *self._heads().values()):
            digest.update(path.read_bytes() if path is not None and path.is_file() else b"-")
        for file in self.weights_files():
            for sample in samples(file):
                digest.update(sample)
        return digest.hexdigest()[:8]

    def _heads(self) -> dict[str, Path | None]:
        files = {name: [self.folder / f"{name}{suffix}" for suffix in _SUFFIXES] for name in _HEADS}
        return {
            name: next((path for path in paths if path.is_file()), None)
            for name, paths in files.items()
        }

    def _shards(self, index: Path) -> list[Path]:
        by_tensor = expect(read_json(index, dict).get("weight_map"), dict, f"weight_map in {index}")
        files = [self.folder / Path(str(name)).name for name in dict.fromkeys(by_tensor.values())]
        missing = [file.name for file in files if not file.is_file()]
        if missing or not files:
            raise CheckpointError(
                f"{index} names {missing[0] if missing else 'no file'}, which is not there; "
                "download it again"
            )
        return files

    def _modules(self) -> list[tuple[str, str]]:
        """Kind and folder of each module that sentence-transformers runs one after another."""
        file = self.folder / "modules.json"
        modules = []
        for module in read_json(file, list, optional=True):
            entry = expect(module, dict, f"a module in {file}")
            if missing := [key for key in ("type", "path") if key not in entry]:
                raise CheckpointError(
                    f"a module in {file} has no {missing[0]!r}; download it again"
                )
            modules.append((str(entry["type"]).rpartition(".")[2], str(entry["path"])))
        return modules


def read_checkpoint(name: str, folder: Path, pooling: Pooling | None = None) -> Checkpoint:
    """
    Read a folder's `config.json`; `pooling` overrides that of its files.

    Raises:
        CheckpointError: If it is missing, broken, or of another architecture.
        ValueError: If there is no such pooling.
    """
    if pooling not in {None, *get_args(Pooling)}:
        raise ValueError(f'pooling is "cls" or "mean", not {pooling!r}')
    if not (folder / "config.json").is_file():
        names = ", ".join(sorted(path.name for path in folder.iterdir())[:8])
        raise CheckpointError(
            f"{folder} is not a checkpoint: config.json is missing; it holds {names or 'nothing'}"
        )
    checkpoint = Checkpoint(name, folder, read_json(folder / "config.json", dict), pooling)
    if checkpoint.model_type not in _SUPPORTED:
        raise CheckpointError(
            f"{folder} holds a model of the type {checkpoint.model_type!r}; this encoder computes "
            f"{' and '.join(_SUPPORTED)}"
        )
    return checkpoint


def _modes(path: Path) -> list[str]:
    settings = read_json(path, dict, optional=True)
    named = settings.get("pooling_mode", [])  # the newer spelling; it was a flag for each mode
    flags = [key for key, on in settings.items() if key.startswith("pooling_mode_") and on]
    older = {"cls_token": "cls", "mean_tokens": "mean"}
    modes = [named] if isinstance(named, str) else expect(named, list, f"'pooling_mode' in {path}")
    return [str(mode) for mode in modes] or [
        older.get(key.removeprefix("pooling_mode_"), key) for key in flags
    ]
