"""
BGE-M3 for vector databases: each text is encoded once and read three ways.

This package needs NumPy alone. The model is in `m3kit.torch`, the conformance suite in
`m3kit.testing`, and each database in a package of its own (`m3kit_qdrant`).
"""

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.storage import ColbertStorage
from m3kit.encoder import CachedEncoder, Encoder
from m3kit.filters import (
    All,
    And,
    Contains,
    Eq,
    Exists,
    Filter,
    Ids,
    In,
    Not,
    Or,
    Range,
    Substring,
    matches,
)
from m3kit.fusion import RRF, Fusion, WeightedSum
from m3kit.index import (
    DocumentError,
    HybridIndex,
    IndexLockedError,
    IndexNotFoundError,
    M3Error,
    ModelMismatchError,
    OpenedIndex,
    ReadOnlyError,
    RepresentationError,
    Search,
    VectorError,
    open_index,
)
from m3kit.memory import MemoryIndex
from m3kit.records import Document, Hit, Json, Record
from m3kit.retriever import Reranker, Retriever
from m3kit.vectors import REPS, M3Output, Rep, Sparse
from m3kit.with_colbert import WithColbert

__version__ = "0.1.0"

__all__ = [
    "REPS",
    "RRF",
    "All",
    "And",
    "CachedEncoder",
    "ColbertStorage",
    "Contains",
    "Document",
    "DocumentError",
    "Encoder",
    "Eq",
    "Exists",
    "FieldNames",
    "Filter",
    "Fusion",
    "Hit",
    "HybridIndex",
    "Ids",
    "In",
    "IndexLockedError",
    "IndexNotFoundError",
    "Json",
    "M3Error",
    "M3Output",
    "MemoryIndex",
    "ModelMismatchError",
    "Not",
    "OpenedIndex",
    "Or",
    "Range",
    "ReadOnlyError",
    "Record",
    "Rep",
    "RepresentationError",
    "Reranker",
    "Retriever",
    "Search",
    "Sparse",
    "Substring",
    "VectorError",
    "WeightedSum",
    "WithColbert",
    "matches",
    "open_index",
]
