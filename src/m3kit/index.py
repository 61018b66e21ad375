"""
The seam between M3 and a vector database: one request, one protocol, and its errors.

    M3Error
    ├── RepresentationError  a representation that is not there
    ├── VectorError          a vector that no index takes
    ├── DocumentError        a document that this engine cannot hold
    ├── ModelMismatchError   an index that another model or dimension made
    ├── IndexNotFoundError   nothing to open at an address
    ├── IndexLockedError     files that another process holds
    ├── ReadOnlyError        a write to an index that was opened to be read
    └── UnsupportedError     what an engine cannot do
"""

from __future__ import annotations

import operator
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np

from m3kit.encoder import Encoder, same_model
from m3kit.filters import Field, Filter, check_field, check_filter, is_number
from m3kit.fusion import Fusion, WeightedSum, to_fusion
from m3kit.records import Document, Hit, Record
from m3kit.vectors import REPS, M3Output, Rep


class M3Error(Exception):
    """The errors of m3kit itself; an engine's own pass through."""


class RepresentationError(M3Error, ValueError):
    """A representation that a record, a query, an index or a model does not have."""


class VectorError(M3Error, ValueError):
    """A vector of another width, or one that is not finite."""


class DocumentError(M3Error, ValueError):
    """A document that the engine cannot hold."""


class ModelMismatchError(M3Error, ValueError):
    """An index that another model, or one of another dimension, has made."""


class IndexNotFoundError(M3Error, LookupError):
    """There is no index at the address, or no installed package handles its scheme."""


class IndexLockedError(M3Error, OSError):
    """The files of an index are open in another process."""


class UnsupportedError(M3Error, NotImplementedError):
    """Something that the engine behind an index cannot do."""


class ReadOnlyError(M3Error, OSError):
    """A write to an index that was opened with `read_only=True`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """
    One request; the representations that `query` carries are what takes part.

    Args:
        query: `query.only("dense")` is dense search; ColBERT alone scans.
        k: How many hits are wanted, at least 1; with `group_by`, of how many groups.
        where: What the candidates must match, before any branch is cut.
        fusion: How several representations become one ranking; `"weighted"` and `"rrf"` stand for
            `WeightedSum()` and `RRF()`.
        candidates: How many candidates each of the dense and the sparse branch brings, and how many
            are rescored by ColBERT; never below `k · group_size`.
        min_score: Hits below this score are left out.
        with_scores: Whether to fill `Hit.scores`.
        group_by: A field of the metadata, or the path to it. Of documents with the same value in
            it (see `m3kit.grouping`) only the best are returned. The hits of a group stand
            together, best first, and groups are in the order of their best hits. They are made of
            the candidates alone: no others are looked for if these form fewer than `k` groups. Of
            one representation alone, the best `candidates` documents are the candidates.
        group_size: How many hits of a group are wanted, at least 1.
        exact: Whether dense vectors are compared one by one: True does, False lets a graph answer
            where there is one, which may miss documents. None is what the index was made for: an
            index in memory or in a directory is exact until it is optimized, a server as its
            collection is configured. Scores are exact in any case.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If `k`, `candidates` or `group_size` is below 1, `group_size` is given without
            `group_by`, or the fusion gives the query no weight.
        RepresentationError: If the query carries nothing.
    """

    query: M3Output
    k: int = 10
    where: Filter | None = None
    fusion: Fusion = WeightedSum()  # noqa: RUF009  # frozen, so one default serves all
    candidates: int = 100
    min_score: float | None = None
    with_scores: bool = False
    group_by: Field | None = None
    group_size: int = 1
    exact: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.query, M3Output):
            raise TypeError(
                f"a search takes an encoded query, not {self.query!r:.200}; encode it by "
                "encoder.encode_queries([text]), or search by m3kit.Retriever"
            )
        object.__setattr__(self, "k", check_count(self.k, "k"))
        object.__setattr__(self, "candidates", check_count(self.candidates, "candidates"))
        object.__setattr__(self, "group_size", check_count(self.group_size, "group_size"))
        if self.group_by is not None:
            object.__setattr__(self, "group_by", check_field(self.group_by, "a group"))
        elif self.group_size > 1:
            raise ValueError("group_size is the hits of a group; give group_by= with it")
        object.__setattr__(self, "fusion", to_fusion(self.fusion))
        if self.where is not None:
            check_filter(self.where)
        if self.min_score is not None and not is_number(self.min_score):
            raise TypeError(f"min_score is a number, not {self.min_score!r}")
        if not isinstance(self.exact, bool | None):
            raise TypeError(f"exact is True, False or None, not {self.exact!r}")
        if not self.query.reps:
            raise RepresentationError(
                "the query carries no representation; encode it with at least one"
            )
        if isinstance(self.fusion, WeightedSum):
            self.fusion.total(self.query.reps)
        object.__setattr__(self, "candidates", max(self.candidates, self.k * self.group_size))


class HybridIndex(Protocol):
    """
    Where documents and their vectors live.

    `m3kit.MemoryIndex` defines every answer, and `m3kit.testing.IndexConformance` states it.
    """

    @property
    def reps(self) -> frozenset[Rep]:
        """The representations this index holds: what each record brings and a query may carry."""
        ...

    @property
    def model(self) -> str | None:
        """What made the vectors (see `Encoder.model`), where the index was told."""
        ...

    def upsert(self, records: Sequence[Record], /) -> None:
        """
        Write records; one with a known id replaces the old record as a whole.

        All of them are checked before the first is written. If the engine itself fails midway, what
        it has written stays, and the same call again completes it. Of several records with one id,
        the last is written.

        Raises:
            RepresentationError: If a record lacks one of the index's representations.
            VectorError: If a vector has another width or is not finite.
            DocumentError: If the engine cannot hold a document.
        """
        ...

    def search(self, search: Search, /) -> list[Hit]:
        """
        Return at most `search.k` hits, best first, ties by id.

        With `search.group_by`, at most `search.group_size` hits of each of `search.k` groups.

        Raises:
            RepresentationError: If the query carries a representation that the index does not hold.
            VectorError: If a vector has another width or is not finite.
        """
        ...

    def get(self, ids: Sequence[str], /, reps: Collection[Rep] = ()) -> list[Record]:
        """
        Return the records of `ids` in that order, unknown ones left out, with `reps` of them.

        Raises:
            RepresentationError: If the index does not hold one of `reps`.
        """
        ...

    def scan(self, where: Filter | None = None, /, reps: Collection[Rep] = ()) -> Iterator[Record]:
        """Stream every record that matches, each once, in no promised order, with `reps` of it."""
        ...

    def delete(self, ids: Sequence[str], /) -> None:
        """Delete the documents of these ids; unknown ones are no error."""
        ...

    def delete_where(self, where: Filter, /) -> None:
        """Delete matching documents; to delete all, pass `All()`."""
        ...

    def count(self, where: Filter | None = None, /) -> int:
        """Count the documents that match."""
        ...

    def flush(self) -> None:
        """Return when what was written is durable and searchable."""
        ...


@runtime_checkable
class ChecksDocuments(Protocol):
    """An index whose engine cannot hold every document, and that tells before one is encoded."""

    def check_document(self, document: Document, /) -> None:
        """
        Check what can be checked without the vectors: sizes, ids, metadata.

        Raises:
            DocumentError: If the engine cannot hold the document.
        """
        ...


@runtime_checkable
class TellsTransient(Protocol):
    """An index that tells errors which pass from those which stay."""

    def is_transient(self, error: Exception, /) -> bool:
        """Tell whether the call that raised `error` may succeed later, unchanged."""
        ...


@runtime_checkable
class HasSidecar(Protocol):
    """An index in files, beside which other files about it may lie."""

    @property
    def sidecar(self) -> Path | None:
        """
        The path that names of such files begin with; None on a server.

        They move with the index, as `f"{sidecar}.ledger"` does.
        """
        ...


class OpenedIndex(HybridIndex, Protocol):
    """An index that opened its own files or connection, and closes them."""

    def close(self) -> None:
        """Flush and release everything; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class Opener(Protocol):
    """The type of an entry point of the group `m3kit.indexes`."""

    def __call__(
        self,
        address: str,
        /,
        *,
        dim: int | None,
        reps: Collection[Rep],
        model: str | None,
        read_only: bool = False,
    ) -> OpenedIndex:
        """
        Open the index at `address`, everything behind `scheme://`; see `open_index`.

        `read_only` is passed only where it is True; see `m3kit.adapters.read_only`.
        """
        ...


def open_index(
    address: str | PathLike[str],
    *,
    encoder: Encoder | None = None,
    dim: int | None = None,
    reps: Collection[Rep] | None = None,
    model: str | None = None,
    read_only: bool = False,
) -> OpenedIndex:
    """
    Open the index at an address, and create it if there is none and an `encoder` is given.

    Args:
        address: A directory (`"path/to/dir"`), or `"scheme://…"` for a scheme that an installed
            package knows (entry points of the group `m3kit.indexes`). `~` is the home directory.
        encoder: What makes the vectors. It supplies `dim`, `model` and `reps`.
        dim: Without an encoder: the width of the vectors. None opens only what exists.
        reps: What a new index holds, by default all that the encoder can make; an existing index
            knows it.
        model: Without an encoder: what makes the vectors, as `Encoder.model` says. A new index
            records it, an existing one is checked against it.
        read_only: Whether to read only, beside any number of other processes that do; nothing is
            created. Files are copied into the folder for temporary ones (`TMPDIR`) while nobody has
            them open to write, and are read as they were then; a server is read as it is.

    Raises:
        IndexNotFoundError: If there is no index and neither `encoder` nor `dim`, or no installed
            package knows the scheme.
        ValueError: If the address is malformed, or `dim` or `model` is given besides an encoder, or
            `dim` with `read_only`.
        ModelMismatchError: If the index was made by another model or with another dimension.
        IndexLockedError: If another process holds its files.
    """
    from importlib.metadata import entry_points  # 20 ms that only this function needs

    if read_only and dim is not None:
        raise ValueError("read_only=True creates no index; leave dim= out")
    dim, chosen, model = resolve_encoder(encoder, dim=dim, reps=reps, model=model)
    openers = entry_points(group="m3kit.indexes")
    scheme, rest = _split_address(address, openers.names)
    if scheme not in openers.names:
        raise IndexNotFoundError(
            f"no installed package opens {scheme}:// addresses; known are "
            f"{', '.join(sorted(openers.names)) or 'none'}"
        )
    opener: Opener = openers[scheme].load()
    if read_only:
        return opener(rest, dim=None, reps=chosen, model=model, read_only=True)
    return opener(rest, dim=dim, reps=chosen, model=model)


def _split_address(address: str | PathLike[str], known: Collection[str]) -> tuple[str, str]:
    """Split an address into its scheme, `file` where it has none, and what follows."""
    if not isinstance(address, str | PathLike):
        raise TypeError(f"an address is a string or a path, not {address!r:.200}")
    text = fspath(address)
    if not text:
        raise ValueError("the address is empty; give a directory, or scheme://…")
    if text == ":memory:":
        raise ValueError(
            "':memory:' is not an address; for an index in memory, write "
            "m3kit.MemoryIndex(encoder=encoder)"
        )
    scheme, separator, rest = text.partition("://")
    if not separator:
        match = re.match(r"([a-z][a-z0-9+.-]+):(/?)", text)  # and not `C:/papers`
        if match and (match[2] or match[1] in known):
            raise ValueError(f"an address with a scheme has two slashes: {match[1]}://…")
        scheme, rest = "file", text
    return scheme, str(Path(rest).expanduser()) if rest.startswith("~") else rest


def resolve_encoder(
    encoder: Encoder | None,
    *,
    dim: int | None,
    reps: Collection[Rep] | None,
    model: str | None,
    default_reps: Collection[Rep] = REPS,
) -> tuple[int | None, Collection[Rep], str | None]:
    """
    Return the `dim`, `reps` and `model` of an index that is opened for an encoder.

    Args:
        encoder: See `open_index`.
        dim: See `open_index`.
        reps: See `open_index`.
        model: See `open_index`.
        default_reps: What an index holds unless told otherwise.

    Raises:
        ValueError: If `dim` or `model` is given besides an encoder.
        RepresentationError: If the encoder cannot make one of `reps`.
    """
    if encoder is None:
        return dim, default_reps if reps is None else reps, model
    check_encoder(encoder)
    if dim is not None or model is not None:
        raise ValueError("encoder= supplies dim and model; give encoder=, or dim= and model=")
    if reps is None:
        return encoder.dim, [rep for rep in default_reps if rep in encoder.reps], encoder.model
    if missing := [rep for rep in REPS if rep in reps and rep not in encoder.reps]:
        raise RepresentationError(
            f"{encoder.model or 'the encoder'} makes no {', '.join(missing)} vectors; leave reps= "
            "out for all that it makes"
        )
    return encoder.dim, reps, encoder.model


def check_encoder(encoder: object) -> None:
    """
    Check that something can encode.

    Raises:
        TypeError: If it cannot.
    """
    methods = ("encode_queries", "encode_documents")
    if not all(callable(getattr(encoder, name, None)) for name in methods):
        raise TypeError(
            f"an encoder is wanted, not {encoder!r:.200}; load one by "
            'm3kit.torch.TorchEncoder.from_pretrained("BAAI/bge-m3")'
        )


def check_index(index: object) -> None:
    """
    Check that something can be searched.

    Raises:
        TypeError: If it cannot.
    """
    if not all(callable(getattr(index, name, None)) for name in ("upsert", "search", "scan")):
        raise TypeError(f"an index is wanted, not {index!r:.200}; open one by m3kit.open_index")


def check_count(number: object, what: str) -> int:
    """
    Check a number of hits, documents or texts.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is below 1.
    """
    try:
        count = operator.index(number)  # type: ignore[arg-type]  # what it refuses is told here
    except TypeError:
        raise TypeError(f"{what} is an integer, not {number!r}") from None
    if count < 1:
        raise ValueError(f"{what} is at least 1, not {count}")
    return count


def check_ids(ids: object) -> Sequence[str]:
    """
    Check a list of ids; every index calls this at the start of `get` and `delete`.

    Raises:
        TypeError: If it is a single id, or holds something else.
    """
    if isinstance(ids, str):
        raise TypeError(f"ids are a list or tuple of strings, not the string {ids!r}; [{ids!r}]")
    if not isinstance(ids, Iterable):
        raise TypeError(f"ids are a list or tuple of strings, not {ids!r}")
    checked = list(ids)
    for id_ in checked:
        if not isinstance(id_, str):
            raise TypeError(f"an id is a string, not {id_!r}")
    return checked


def check_records(
    records: Iterable[Record], *, reps: Collection[Rep], dim: int | None
) -> list[Record]:
    """
    Check records before the first is written, and return the last of those with one id.

    Every index calls this at the start of `upsert`, so that all refuse the same. A `dim` of None is
    one that is not known yet.

    Raises:
        RepresentationError, VectorError: As `HybridIndex.upsert` says, naming the document.
    """
    if isinstance(records, Record):
        raise TypeError("upsert takes several records in a list, not one; write [record]")
    last: dict[str, Record] = {}
    for record in records:
        if not isinstance(record, Record):
            raise TypeError(
                f"upsert takes records, not {record!r:.200}; write Record(document, output), or "
                "add documents by m3kit.Retriever"
            )
        last[record.document.id] = record
    for id_, record in last.items():
        missing = [rep for rep in REPS if rep in reps and rep not in record.output.reps]
        if missing:
            raise RepresentationError(
                f"document {id_!r} carries no {', '.join(missing)} vectors, which this index "
                "holds; encode it with all of the index's representations"
            )
        _check_vectors(record.output.only(*reps), dim, f"of document {id_!r}")
    return list(last.values())


def check_search(search: Search, *, reps: Collection[Rep], dim: int | None) -> None:
    """
    Check a request against what an index holds; every index calls this at the start of `search`.

    Raises:
        TypeError: If it is no `Search`.
        RepresentationError, VectorError: As `HybridIndex.search` says.
    """
    if not isinstance(search, Search):
        raise TypeError(
            f"an index searches for a Search, not {search!r:.200}; write Search(query=output), or "
            "search for a text by m3kit.Retriever"
        )
    check_reps(search.query.reps, available=reps)
    _check_vectors(search.query, dim, "of the query")


def check_reps(reps: Collection[Rep], *, available: Collection[Rep]) -> None:
    """
    Check that an index holds the representations that it is asked for.

    Raises:
        RepresentationError: If it does not, or if there is no such representation.
    """
    if isinstance(reps, str) or any(rep not in REPS for rep in reps):
        raise RepresentationError(
            f"representations are some of {REPS}, in a list or a tuple, not {reps!r}"
        )
    missing = [rep for rep in REPS if rep in reps and rep not in available]
    if missing:
        raise RepresentationError(
            f"this index holds no {', '.join(missing)} vectors, only "
            f"{', '.join(sorted(available))}; ask for those"
            f"{', or add ColBERT with m3kit.WithColbert' * ('colbert' in missing)}"
        )


def check_model(recorded: str | None, model: str | None, what: str) -> None:
    """
    Compare the model that made an index with the one that is to use it; None is not compared.

    Raises:
        ModelMismatchError: If they are not the same weights.
    """
    if recorded is not None and model is not None and not same_model(recorded, model):
        raise ModelMismatchError(
            f"{what} was made by {recorded}, and {model} would search it; vectors of two models "
            "cannot be compared: use that model, or index the documents again at another address"
        )


def _check_vectors(output: M3Output, dim: int | None, whose: str) -> None:
    for rep, vectors in (("dense", output.dense), ("colbert", output.colbert)):
        if vectors is None:
            continue
        if dim is not None and vectors.shape[-1] != dim:
            raise VectorError(
                f"the {rep} vector {whose} is {vectors.shape[-1]} wide and the index {dim}; "
                "was it encoded by another model?"
            )
        if not np.isfinite(vectors).all():
            raise VectorError(f"the {rep} vector {whose} is not finite; encode it again")
