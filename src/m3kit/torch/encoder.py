"""BGE-M3 in PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch

from m3kit.backend import instructions
from m3kit.backend.checkpoint import read_checkpoint
from m3kit.backend.encoder import TextEncoder
from m3kit.backend.locate import locate
from m3kit.backend.pipeline import Kind, Pipeline
from m3kit.backend.tokenizer import load_tokenizer
from m3kit.torch.model import load_model


class TorchEncoder(TextEncoder):
    """
    BGE-M3, or a dense-only XLM-RoBERTa or BERT model, in PyTorch; an `m3kit.Encoder`.

    One instance may serve many threads. Vectors are computed in float32 and equal those of
    FlagEmbedding. A lone surrogate in a text counts as U+FFFD. Texts that are longer than the
    limit are cut, and a warning on the logger `m3kit` says how many, once per call.

    Made by `from_pretrained`; the arguments there say what can be set.
    """

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        device: str | None = None,
        query_max_length: int = 512,
        document_max_length: int = 8192,
        query_instruction: str | None = None,
        document_instruction: str | None = None,
        batch_tokens: int = 2048,
        progress: bool = False,
    ) -> Self:
        """
        Load a checkpoint: from a folder, from the Hugging Face hub, or the one that is shipped.

        The weights stay mapped to their file: do not overwrite it in place while in use.

        Args:
            model: A folder, a name on the hub (`"BAAI/bge-m3"`), or `"tiny"`, the small model
                that comes with m3kit; a folder of that name is `"./tiny"`.
            revision: Branch, tag or commit on the hub.
            cache_dir: Where downloads are kept, if not in the hub's usual place. Environment
                variables of the hub's client, like HF_HUB_OFFLINE, apply.
            device: As PyTorch names it; by default CUDA or MPS where there is one, else the CPU.
            query_max_length: Tokens of a query, special ones included; never above the model's
                own limit.
            document_max_length: The same for a document.
            query_instruction: What goes in front of every query; by default what the checkpoint
                or the model's family asks for (M3: nothing).
            document_instruction: What goes in front of every document; by default what the
                checkpoint asks for.
            batch_tokens: Tokens in one forward pass; a longer text is alone in its own.
            progress: Whether to show a bar on stderr while encoding and downloading.

        Raises:
            CheckpointError: If there is no such checkpoint, or it is not one that can be read.
        """
        name, folder = locate(model, revision=revision, cache_dir=cache_dir, progress=progress)
        checkpoint = read_checkpoint(name, folder)
        tokenizer = load_tokenizer(folder, checkpoint.config)
        if query_instruction is None:
            query_instruction = instructions.for_queries(checkpoint)
        if document_instruction is None:
            document_instruction = instructions.for_documents(checkpoint)
        loaded = load_model(checkpoint, tokenizer, torch.device(device or _best_device()))
        return cls(
            f"{name}@{checkpoint.fingerprint()}",
            Pipeline(loaded, tokenizer, batch_tokens, progress),
            queries=Kind("query_max_length", query_max_length, query_instruction),
            documents=Kind("document_max_length", document_max_length, document_instruction),
        )


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
