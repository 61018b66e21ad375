"""The arguments of LangChain's Hugging Face embeddings: what each means here, or why it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from m3kit_langchain.options import check_known

MODEL_KWARGS = (
    "device",
    "devices",
    "precision",
    "pooling",
    "revision",
    "cache_dir",
    "query_max_length",
    "document_max_length",
    "batch_tokens",
    "cls_every",
)
"""Options of `TorchEncoder.from_pretrained`, passed on."""

_ENCODE_KWARGS = ("batch_size", "normalize_embeddings", "prompt", "show_progress_bar")

_REFUSED_OF_A_MODEL = {
    "trust_remote_code": "m3kit runs no code of a checkpoint, and BGE-M3 needs none",
    "local_files_only": "set the environment variable HF_HUB_OFFLINE=1, or give the model's folder",
    "token": "set the environment variable HF_TOKEN",
    "use_auth_token": "set the environment variable HF_TOKEN",
    "truncate_dim": "M3's vectors are whole",
    "prompts": "give query_instruction and embed_instruction",
    "default_prompt_name": "give query_instruction and embed_instruction",
    "model_kwargs": "for torch_dtype give precision",
    "tokenizer_kwargs": "for the length give query_max_length and document_max_length",
    "processor_kwargs": "for the length give query_max_length and document_max_length",
    "config_kwargs": "the checkpoint's configuration is used as it is",
    "modules": "give model_name",
    "similarity_fn_name": "M3's vectors are compared by their inner product",
    "model_card_data": "it has no effect on vectors",
}
_REFUSED_OF_A_CALL = {
    "prompt_name": "give query_instruction or embed_instruction",
    "device": "give it in model_kwargs",
    "output_value": "for all representations use the encoder itself, embeddings.encoder",
    "truncate_dim": "M3's vectors are whole",
    "pool": "give model_kwargs={'devices': […]}",
    "chunk_size": "give batch_size",
}
_NEUTRAL = {
    "output_value": "sentence_embedding",
    "similarity_fn_name": "cosine",
    "precision": "float32",
    "backend": "torch",
    "convert_to_numpy": True,
}
"""Values that say what is done anyway, besides None and False."""


def model_options(model_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """
    Return the options of `TorchEncoder.from_pretrained`.

    Raises:
        TypeError: If one is unknown, or asks for what is not done here, with the reason.
    """
    options = dict(model_kwargs or {})
    if options.get("backend") == "onnx":
        raise TypeError("backend: give encoder=m3kit.onnx.OnnxEncoder.from_pretrained(…)")
    return _checked(options, MODEL_KWARGS, {**_REFUSED_OF_A_MODEL, "backend": ""}, "model_kwargs")


def encode_options(kwargs: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
    """
    Return `batch_size` and `prompt`, those that are given.

    Raises:
        TypeError: If one is unknown, or asks for what is not done here, with the reason.
        ValueError: If the vectors are not to be normalised, or the batch size is below 1.
    """
    neutral = ("convert_to_numpy", "convert_to_tensor", "precision")
    reasons = {**_REFUSED_OF_A_CALL, **dict.fromkeys(neutral, "vectors are lists of floats")}
    options = _checked(dict(kwargs or {}), _ENCODE_KWARGS, reasons, what)
    if not options.pop("normalize_embeddings", True):
        raise ValueError("the dense vectors are unit vectors; leave normalize_embeddings True")
    options.pop("show_progress_bar", None)
    size = options.get("batch_size")
    if size is not None and size < 1:
        raise ValueError(f"batch_size is at least 1, not {size}")
    return options


def _checked(
    options: Mapping[str, Any], known: tuple[str, ...], refused: Mapping[str, str], what: str
) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    for name, value in options.items():
        if name not in refused:
            taken[name] = value
        elif value not in (None, False, _NEUTRAL.get(name)):
            raise TypeError(f"{what}: {name}={value!r} has no counterpart here; {refused[name]}")
    check_known(taken, known, what)
    return taken
