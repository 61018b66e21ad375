"""The encoder: any number of texts in, their M3 outputs out, in order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence, Sized
from pathlib import Path

import torch

from m3kit.index import RepError
from m3kit.torch import instructions
from m3kit.torch.checkpoint import read_checkpoint
from m3kit.torch.locate import locate
from m3kit.torch.model import load_model
from m3kit.torch.pipeline import Kind, Pipeline
from m3kit.torch.tokenizer import load_tokenizer
from m3kit.vectors import REPS, M3Output, Rep


class TorchEncoder:
    """
    BGE-M3, or a dense-only XLM-RoBERTa or BERT model, in PyTorch; an `m3kit.Encoder`.

    One instance may serve many threads. Vectors are computed in float32 and equal those of
    FlagEmbedding. A lone surrogate in a text counts as U+FFFD. Texts that are longer than the
    limit are cut, and a warning on the logger `m3kit` says how many, once per call.

    Made by `from_pretrained`; the arguments there say what can be set.
    """

    def __init__(self, name: str, pipeline: Pipeline, *, queries: Kind, documents: Kind) -> None:
        self._name = name
        self._pipeline = pipeline
        self._queries = queries
        self._documents = documents

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
    ) -> TorchEncoder:
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

    @property
    def model(self) -> str:
        """The checkpoint's name, and a mark of its content: `"BAAI/bge-m3@5617a9f6"`."""
        return self._name

    @property
    def dim(self) -> int:
        """Width of the dense vector."""
        return self._pipeline.model.backbone.width

    @property
    def reps(self) -> frozenset[Rep]:
        """All three, or dense alone for a checkpoint without heads."""
        return frozenset(REPS if self._pipeline.model.heads else ("dense",))

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """
        Encode what people ask, with the query instruction, computing only `reps`.

        Args:
            texts: A list of str.
            reps: What to compute; None is all that the model gives.

        Raises:
            RepError: If the model lacks one of `reps`.
            TypeError: If `texts` is not a list of str.
        """
        return self._encode_all(texts, reps, self._queries)

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """
        Encode what is searched, computing only `reps`.

        Args:
            texts: A list of str.
            reps: What to compute; None is all that the model gives.

        Raises:
            RepError: If the model lacks one of `reps`.
            TypeError: If `texts` is not a list of str.
        """
        return self._encode_all(texts, reps, self._documents)

    def encode(
        self,
        texts: Iterable[str],
        reps: Collection[Rep] | None = None,
        *,
        max_length: int | None = None,
        instruction: str = "",
    ) -> Iterator[M3Output]:
        """
        Encode any number of texts as they are read, in order, in bounded memory.

        Some thousand tokens are read ahead (eight times `batch_tokens`), and sorted by length.

        Args:
            texts: Read once, as far as needed.
            reps: What to compute; None is all that the model gives.
            max_length: Tokens of a text, special ones included; by default as for documents.
            instruction: What goes in front of every text.

        Raises:
            RepError: If the model lacks one of `reps`.
            TypeError: If `texts` is one str; later, if one of them is not a str.
        """
        wanted = self._checked(texts, reps)
        if max_length is None:
            max_length = self._documents.max_length
        kind = Kind("max_length", max_length, instruction)
        total = len(texts) if isinstance(texts, Sized) else None
        return self._pipeline(_texts(texts), wanted, kind, total=total)

    def query_tokens(self, text: str) -> list[tuple[int, str]]:
        """
        Return id and text of each token of a query, as the model reads it.

        The instruction and both special tokens are among them, and what is cut is not. Row `i` of
        the ColBERT vectors belongs to token `i + 1`.
        """
        return self._pipeline.tokens(text, self._queries)

    def document_tokens(self, text: str) -> list[tuple[int, str]]:
        """Return id and text of each token of a document, as `query_tokens` does of a query."""
        return self._pipeline.tokens(text, self._documents)

    def __repr__(self) -> str:
        return f"TorchEncoder({self._name!r})"

    def _encode_all(
        self, texts: Sequence[str], reps: Collection[Rep] | None, kind: Kind
    ) -> list[M3Output]:
        wanted = self._checked(texts, reps)
        checked = list(_texts(texts))
        return list(self._pipeline(checked, wanted, kind, total=len(checked)))

    def _checked(self, texts: Iterable[str], reps: Collection[Rep] | None) -> Collection[Rep]:
        if isinstance(texts, str | bytes):
            raise TypeError(f"give a list of texts, not one {type(texts).__name__}: [text]")
        if reps is None:
            return self.reps
        if isinstance(reps, str) or not reps:
            raise RepError(f'reps are at least one of {REPS} in a tuple, ("dense",), not {reps!r}')
        if lacking := [str(rep) for rep in reps if rep not in self.reps]:
            raise RepError(
                f"{self._name} does not give {', '.join(lacking)}; pass reps=encoder.reps, which "
                f"is {', '.join(rep for rep in REPS if rep in self.reps)}"
            )
        return reps


def _texts(texts: Iterable[str]) -> Iterator[str]:
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"texts[{position}] is a {type(text).__name__}, not a str")
        yield text


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
