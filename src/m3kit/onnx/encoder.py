"""BGE-M3 in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from m3kit.backend import instructions
from m3kit.backend.checkpoint import read_checkpoint
from m3kit.backend.encoder import TextEncoder
from m3kit.backend.files import CheckpointError
from m3kit.backend.locate import locate
from m3kit.backend.pipeline import Kind, Pipeline
from m3kit.backend.reloading import reloadable
from m3kit.backend.tokenizer import load_tokenizer
from m3kit.onnx.metadata import PRECISIONS, Precision
from m3kit.onnx.model import load_model


class OnnxEncoder(TextEncoder):
    """
    BGE-M3, or a dense-only XLM-RoBERTa or BERT model, in ONNX Runtime; an `m3kit.Encoder`.

    It reads what `m3kit export` writes, on the CPU. One instance may serve many threads. In
    float32 its vectors equal those of `m3kit.torch.TorchEncoder` to 1e-5, and both name the model
    alike, so that an index made by one is searched by the other. The vectors of a text do not
    depend on other texts, to the last bit. A lone surrogate in a text counts as U+FFFD.
    Texts that are longer than the limit are cut, and a warning on the logger `m3kit` says how
    many, once per call.

    Pickled, as for a process that is spawned, it is loaded again from where it came.

    Created by `from_pretrained`, which documents the settings.
    """

    @classmethod
    @reloadable
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        precision: Precision | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        threads: int | None = None,
        query_max_length: int = 512,
        document_max_length: int = 8192,
        query_instruction: str | None = None,
        document_instruction: str | None = None,
        cls_every: None = None,
        batch_tokens: int = 2048,
        progress: bool = False,
    ) -> Self:
        """
        Open what `m3kit export` wrote: a folder, one uploaded to the Hugging Face hub, or "tiny".

        The weights stay mapped to their file: do not overwrite it in place while in use.

        Args:
            model: A folder, a name on the hub, or `"tiny"`, the small model that comes with
                m3kit; a folder of that name is `"./tiny"`.
            precision: "fp32", or "int8" for a quarter of the size and less exact vectors; by
                default "fp32" where there is such a graph.
            revision: Branch, tag or commit on the hub.
            cache_dir: Where downloads are stored, by default the hub's cache. Environment
                variables of the hub's client, like HF_HUB_OFFLINE, apply.
            threads: Threads of one forward pass; by default one for each physical core.
            query_max_length: Tokens of a query, special ones included; never above the model's
                limit.
            document_max_length: The same for a document.
            query_instruction: A prefix of every query, by default that of the checkpoint or of
                the model's family (M3: none).
            document_instruction: A prefix of every document, by default that of the
                checkpoint.
            cls_every: Must be None: the graph has a single CLS; `TorchEncoder` inserts more.
            batch_tokens: Tokens that are sorted by length and computed together; of those, texts
                of one length share a forward pass.
            progress: Whether to show a bar on stderr while encoding and downloading.

        Raises:
            CheckpointError: If there is no such model, or it has no graph that can be read.
            ValueError: If `cls_every` is given.
        """
        if cls_every is not None:
            raise ValueError(
                "the graph computes the dense vector from a single CLS; leave cls_every out, or "
                "load the model with m3kit.torch.TorchEncoder"
            )
        precisions = PRECISIONS if precision is None else (precision,)
        _, folder = locate(
            model,
            revision=revision,
            cache_dir=cache_dir,
            progress=progress,
            weights=[f"{name}.*" for name in precisions],
        )
        file = _graph(folder, precisions)
        tokenizer = load_tokenizer(folder, read_checkpoint(folder.name, folder).config)
        loaded = load_model(file, tokenizer, threads)
        checkpoint = read_checkpoint(loaded.facts.name, folder)
        if query_instruction is None:
            query_instruction = instructions.for_queries(checkpoint)
        if document_instruction is None:
            document_instruction = instructions.for_documents(checkpoint)
        return cls(
            loaded.facts.model,
            Pipeline(loaded, tokenizer, batch_tokens, progress),
            queries=Kind("query_max_length", query_max_length, query_instruction),
            documents=Kind("document_max_length", document_max_length, document_instruction),
        )


def _graph(folder: Path, precisions: Sequence[Precision]) -> Path:
    for precision in precisions:
        if (folder / f"{precision}.onnx").is_file():
            return folder / f"{precision}.onnx"
    others = [name for name in PRECISIONS if (folder / f"{name}.onnx").is_file()]
    remedy = (
        f"it has {others[0]}: precision={others[0]!r}"
        if others
        else "write one, where PyTorch is installed: `m3kit export MODEL FOLDER`"
    )
    raise CheckpointError(
        f"{folder} has no graph for ONNX Runtime in {' or '.join(precisions)}; {remedy}"
    )
