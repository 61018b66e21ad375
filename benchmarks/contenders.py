"""The encoders that are compared: m3kit, FlagEmbedding, and two with dense vectors alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch

from m3kit.torch import TorchEncoder
from m3kit.torch.kernels import Precision
from m3kit.torch.kernels.precision import cpu_has_bf16

MAX_LENGTH = 512
REFERENCE = "FlagEmbedding"


@dataclass(frozen=True, slots=True)
class Contender:
    """
    A way to encode texts.

    Args:
        name: Its name, with its settings.
        precision: The precision of its products.
        outputs: The representations that it computes.
        run: Encodes texts.
    """

    name: str
    precision: Precision
    outputs: str
    run: Callable[[Sequence[str]], object]


def contenders(folder: Path, batches: Sequence[int]) -> list[Contender]:
    """
    Load what is installed, on the CPU, from the same checkpoint.

    Args:
        folder: The folder of the checkpoint.
        batches: Batch sizes of FlagEmbedding to try; the other two use the first.
    """
    loaded = [*_m3kit(folder)]
    for package, load in (
        ("FlagEmbedding", _flag_embedding),
        ("sentence_transformers", _sentence_transformers),
        ("transformers", _transformers),
    ):
        if find_spec(package):
            loaded += load(folder, batches)
        else:
            print(f"{package} is not installed here and is left out")
    return loaded


def _m3kit(folder: Path) -> Iterator[Contender]:
    precisions: list[Precision] = ["fp32", "bf16", "int8"] if cpu_has_bf16() else ["fp32", "int8"]
    for precision in precisions:
        encoder = TorchEncoder.from_pretrained(
            folder, device="cpu", precision=precision, document_max_length=MAX_LENGTH
        )
        yield Contender(f"m3kit {precision}", precision, "all three", encoder.encode_documents)


def _flag_embedding(folder: Path, batches: Sequence[int]) -> Iterator[Contender]:
    from FlagEmbedding import BGEM3FlagModel

    model = BGEM3FlagModel(str(folder), devices="cpu", use_fp16=False)
    for size in batches:
        run = partial(
            model.encode,
            batch_size=size,
            max_length=MAX_LENGTH,
            return_dense=True,
            return_sparse=True,
            return_colbert_vecs=True,
        )
        yield Contender(f"{REFERENCE}, batch {size}", "fp32", "all three", run)


def _sentence_transformers(folder: Path, batches: Sequence[int]) -> Iterator[Contender]:
    from sentence_transformers import SentenceTransformer, models

    transformer = models.Transformer(str(folder), max_seq_length=MAX_LENGTH)
    pooling = models.Pooling(transformer.auto_model.config.hidden_size, "cls")
    model = SentenceTransformer(modules=[transformer, pooling, models.Normalize()], device="cpu")
    run = partial(model.encode, batch_size=batches[0], show_progress_bar=False)
    yield Contender(f"sentence-transformers, batch {batches[0]}", "fp32", "dense", run)


def _transformers(folder: Path, batches: Sequence[int]) -> Iterator[Contender]:
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = (kind.from_pretrained(folder) for kind in (AutoTokenizer, AutoModel))
    size = batches[0]

    @torch.inference_mode()
    def run(texts: Sequence[str]) -> list[torch.Tensor]:
        dense = []
        for start in range(0, len(texts), size):
            batch = list(texts[start : start + size])
            inputs = tokenizer(
                batch, padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt"
            )
            hidden = model(**inputs).last_hidden_state[:, 0]
            dense.append(torch.nn.functional.normalize(hidden, dim=-1))
        return dense

    yield Contender(f"transformers loop, batch {size}", "fp32", "dense", run)


def show(rows: Sequence[Mapping[str, object]]) -> None:
    """Print a table: two columns of names, then figures, some of which may be None."""
    print("| " + " | ".join(rows[0]) + " |")
    print("|---|---|" + "---:|" * (len(rows[0]) - 2))
    for row in rows:
        print("| " + " | ".join("" if v is None else str(v) for v in row.values()) + " |")
