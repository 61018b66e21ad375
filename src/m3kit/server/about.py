"""What a server says of itself."""

from __future__ import annotations

from typing import Any

import m3kit
from m3kit.server.service import Service
from m3kit.vectors import REPS


def about(service: Service) -> dict[str, Any]:
    """Return what `/info` says; the keys below `model_id` are those of other servers."""
    encoder, limits = service.encoder, service.limits
    longest = getattr(encoder, "document_max_length", None)
    name, _, fingerprint = (encoder.model or "").rpartition("@")
    return {
        "m3kit": m3kit.__version__,
        "model": encoder.model,
        "dim": encoder.dim,
        "reps": [rep for rep in REPS if rep in encoder.reps],
        "query_max_length": getattr(encoder, "query_max_length", None),
        "document_max_length": longest,
        "reranker": None if service.reranker is None else service.reranker.model,
        "index": None
        if service.index is None
        else {
            "model": service.index.model,
            "reps": [rep for rep in REPS if rep in service.index.reps],
        },
        "limits": {
            "texts": limits.texts,
            "characters": limits.characters,
            "body_bytes": limits.body_bytes,
            "queue_tokens": limits.queue_tokens,
            "deadline": limits.deadline,
        },
        "model_id": name or fingerprint,
        "model_sha": fingerprint or None,
        "model_dtype": "float32",
        "model_type": {"embedding": {"pooling": "cls"}},
        "max_concurrent_requests": limits.requests,
        "max_input_length": longest or 0,
        "max_batch_tokens": service.batch_tokens,
        "max_client_batch_size": limits.texts,
        "auto_truncate": True,
        "tokenization_workers": limits.threads,
        "version": m3kit.__version__,
    }
