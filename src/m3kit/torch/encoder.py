"""BGE-M3 in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import torch

from m3kit.backend import instructions
from m3kit.backend.checkpoint import Pooling, read_checkpoint
from m3kit.backend.encoder import TextEncoder
from m3kit.backend.locate import locate
from m3kit.backend.mcls import check_cls_every
from m3kit.backend.pipeline import Kind, Model, Pipeline
from m3kit.backend.reloading import reloadable
from m3kit.backend.tokenizer import load_tokenizer
from m3kit.torch import kernels
from m3kit.torch.devices import LANES, best_device
from m3kit.torch.devices import batch_tokens as default_tokens
from m3kit.torch.model import load_model
from m3kit.torch.out_of_memory import Halving
from m3kit.torch.shards import Shards


class TorchEncoder(TextEncoder):
    """
    BGE-M3, or a dense-only XLM-RoBERTa or BERT model, in PyTorch; an `m3kit.Encoder`.

    One instance may serve many threads. By default vectors are computed in float32 and equal those
    of FlagEmbedding. A lone surrogate in a text counts as U+FFFD. Texts that are longer than the
    limit are cut, and a warning on the logger `m3kit` says how many, once per call.

    Pickled, as for a process that is spawned, it is loaded again from where it came. A forked
    process computes on the CPU by one thread, and cannot use an accelerator.

    Created by `from_pretrained`, which documents the settings.
    """

    @classmethod
    @reloadable
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        device: str | None = None,
        devices: Sequence[str] | None = None,
        precision: Literal["fp32", "bf16", "fp16", "int8", "auto"] = "fp32",
        pooling: Pooling | None = None,
        query_max_length: int = 512,
        document_max_length: int = 8192,
        query_instruction: str | None = None,
        document_instruction: str | None = None,
        cls_every: int | None = None,
        batch_tokens: int | None = None,
        progress: bool = False,
    ) -> Self:
        """
        Load a checkpoint: from a folder, from the Hugging Face hub, or the one that is shipped.

        The weights stay mapped to their file: do not overwrite it in place while in use.

        Args:
            model: A folder, a name on the hub (`"BAAI/bge-m3"`), or `"tiny"`, the small model
                that comes with m3kit; a folder of that name is `"./tiny"`.
            revision: Branch, tag or commit on the hub.
            cache_dir: Where downloads are stored, by default the hub's cache. Environment
                variables of the hub's client, like HF_HUB_OFFLINE, apply.
            device: As PyTorch names it; by default CUDA or MPS where there is one, else the CPU.
            devices: Several of them, among which each batch is divided, instead of one.
            precision: Of the matrix products; norms, sums and heads are float32 in each. `"auto"`
                is fp16 on an accelerator, bf16 on a CPU that has it in hardware, else fp32.
                Vectors of all precisions may be compared. `"int8"` is for CPUs, and far enough
                from float32 to be tried on your own data first; `python benchmarks/precision.py`
                prints the error of each.
            pooling: Where the dense vector comes from, `"cls"` or `"mean"`; by default what
                sentence-transformers' files in the checkpoint say, else `"cls"`.
            query_max_length: Tokens of a query, special ones included; never above the model's
                own limit.
            document_max_length: The same for a document.
            query_instruction: What goes in front of every query; by default what the checkpoint
                or the model's family asks for (M3: nothing).
            document_instruction: What goes in front of every document; by default what the
                checkpoint asks for.
            cls_every: Puts a CLS token before every so many tokens of a text, 256 in the paper,
                and takes their mean as the dense vector (MCLS). Vectors are not those of the same
                model without it, so the encoder's `model` says so. None is a single CLS.
            batch_tokens: Tokens in one forward pass; a longer text is alone in its own. By default
                2,048 on a CPU, and 32,768 for each accelerator; what does not fit into an
                accelerator's memory is computed in halves.
            progress: Whether to show a bar on stderr while encoding and downloading.

        Raises:
            CheckpointError: If there is no such checkpoint, or it is not one that can be read.
            ValueError: If a device does not compute in that precision, `device` and `devices`
                are both given, or `cls_every` is given for a model that does not pool by CLS.
        """
        check_cls_every(cls_every)
        places = _places(device, devices)
        precisions = [kernels.resolve(precision, place) for place in places]
        name, folder = locate(model, revision=revision, cache_dir=cache_dir, progress=progress)
        checkpoint = read_checkpoint(name, folder, pooling)
        tokenizer = load_tokenizer(folder, checkpoint.config)
        if query_instruction is None:
            query_instruction = instructions.for_queries(checkpoint)
        if document_instruction is None:
            document_instruction = instructions.for_documents(checkpoint)
        models: list[Model] = [
            Halving(load_model(checkpoint, tokenizer, place, each, cls_every=cls_every), str(place))
            for place, each in zip(places, precisions, strict=True)
        ]
        if batch_tokens is None:
            batch_tokens = default_tokens(places[0]) * len(places)
        return cls(
            f"{name}@{checkpoint.fingerprint()}{f'-cls{cls_every}' if cls_every else ''}",
            Pipeline(
                models[0] if len(models) == 1 else Shards(models),
                tokenizer,
                batch_tokens,
                progress,
                lanes=0 if places[0].type == "cpu" else LANES,
            ),
            queries=Kind("query_max_length", query_max_length, query_instruction),
            documents=Kind("document_max_length", document_max_length, document_instruction),
        )


def _places(device: str | None, devices: Sequence[str] | None) -> list[torch.device]:
    if devices is None:
        return [torch.device(device or best_device())]
    if device is not None:
        raise ValueError("give one device, or several devices, not both")
    if isinstance(devices, str) or not devices:
        raise ValueError(f'devices is a list of names, ["cuda:0", "cuda:1"], not {devices!r}')
    return [torch.device(name) for name in devices]
