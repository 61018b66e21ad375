"""FlagEmbedding's choice of a class by the model's name."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from m3kit.backend.checkpoint import read_checkpoint
from m3kit.backend.locate import locate
from m3kit.flag.dense import FlagModel
from m3kit.flag.m3 import BGEM3FlagModel
from m3kit.flag.options import Devices
from m3kit.flag.reranker import FlagReranker

_FORMATS = {"multilingual-e5-large-instruct": "Instruct: {}\nQuery: {}"}
_M3, _DENSE = "encoder-only-m3", "encoder-only-base"


class FlagAutoModel:
    """Chooses between `BGEM3FlagModel` and `FlagModel`; see `from_finetuned`."""

    def __init__(self) -> None:
        raise OSError("FlagAutoModel is made by FlagAutoModel.from_finetuned(model)")

    @classmethod
    def from_finetuned(
        cls,
        model_name_or_path: str,
        model_class: str | None = None,
        normalize_embeddings: bool = True,
        use_fp16: bool = True,
        use_bf16: bool = False,
        query_instruction_for_retrieval: str | None = None,
        devices: Devices = None,
        pooling_method: str | None = None,
        trust_remote_code: bool | None = None,
        query_instruction_format: str | None = None,
        truncate_dim: int | None = None,
        **options: Any,
    ) -> BGEM3FlagModel | FlagModel:
        """
        Load a model by the class that it needs.

        FlagEmbedding knows models by their names; here the checkpoint's own files decide, so that
        a folder of any name will do.

        Args:
            model_name_or_path: A folder, or a name on the Hugging Face hub.
            model_class: `"encoder-only-base"` or `"encoder-only-m3"`; by default the latter where
                the checkpoint has the heads of M3.
            normalize_embeddings: As the class has it; so are the others.
            use_fp16: As the class has it.
            use_bf16: As the class has it.
            query_instruction_for_retrieval: As the class has it.
            devices: As the class has it.
            pooling_method: By default that of sentence-transformers' files, or else `"cls"`.
            trust_remote_code: Not used.
            query_instruction_format: By default what the model was trained with.
            truncate_dim: As the class has it.
            options: Further arguments of the class.

        Raises:
            CheckpointError: If there is no such checkpoint, or it is not one that can be read.
            ValueError: If `model_class` is none of the two.
        """
        if model_class is None:
            cache_dir = options.get("cache_dir")
            name, folder = locate(
                model_name_or_path, revision=None, cache_dir=cache_dir, progress=False
            )
            model_class = _M3 if read_checkpoint(name, folder).head_files() else _DENSE
        if model_class not in (_M3, _DENSE):
            raise ValueError(f'model_class is "{_M3}" or "{_DENSE}" here, not {model_class!r}')
        name = PurePath(model_name_or_path).name
        options |= {
            "normalize_embeddings": normalize_embeddings,
            "use_fp16": use_fp16,
            "use_bf16": use_bf16,
            "query_instruction_for_retrieval": query_instruction_for_retrieval,
            "query_instruction_format": query_instruction_format or _FORMATS.get(name, "{}{}"),
            "devices": devices,
            "trust_remote_code": bool(trust_remote_code),
            "truncate_dim": truncate_dim,
        }
        if model_class == _M3:
            return BGEM3FlagModel(
                model_name_or_path, pooling_method=pooling_method or "cls", **options
            )
        return FlagModel(model_name_or_path, pooling_method=pooling_method, **options)


class FlagAutoReranker:
    """Loads a `FlagReranker`; see `from_finetuned`."""

    def __init__(self) -> None:
        raise OSError("FlagAutoReranker is made by FlagAutoReranker.from_finetuned(model)")

    @classmethod
    def from_finetuned(
        cls,
        model_name_or_path: str,
        model_class: str | None = None,
        use_fp16: bool = False,
        trust_remote_code: bool | None = None,
        **options: Any,
    ) -> FlagReranker:
        """
        Load a reranker.

        Args:
            model_name_or_path: A folder, or a name on the Hugging Face hub.
            model_class: `"encoder-only-base"`, the one that there is here.
            use_fp16: As `FlagReranker` has it.
            trust_remote_code: Not used.
            options: Further arguments of `FlagReranker`.

        Raises:
            CheckpointError: If there is no such checkpoint, or it is not one that can be read.
            ValueError: If `model_class` is another one.
        """
        if model_class not in (None, _DENSE):
            raise ValueError(f'model_class is "{_DENSE}" here, not {model_class!r}')
        return FlagReranker(
            model_name_or_path,
            use_fp16=use_fp16,
            trust_remote_code=bool(trust_remote_code),
            **options,
        )
