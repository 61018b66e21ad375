"""The prefixes that a model expects before texts."""

from __future__ import annotations

import re

from m3kit.backend.checkpoint import Checkpoint

_BGE = re.compile(r"(?:BAAI_)?bge-(?:small|base|large)-(en|zh)(?:-v1\.5)?")
_BGE_QUERY = {
    "en": "Represent this sentence for searching relevant passages: ",
    "zh": "为这个句子生成表示以用于检索相关文章：",  # noqa: RUF001  # the model was trained with it
}


def for_queries(checkpoint: Checkpoint) -> str:
    """
    Return the prefix of queries: the checkpoint's prompt, or that of BGE v1 and v1.5.

    Those are recognised by their name, or by the name in `config.json`. M3 has none.
    """
    return checkpoint.prompt("query") or _known(checkpoint)


def for_documents(checkpoint: Checkpoint) -> str:
    """Return the prefix of documents: the checkpoint's prompt, if it has one."""
    return checkpoint.prompt("document", "passage", "corpus")


def _known(checkpoint: Checkpoint) -> str:
    for name in (checkpoint.name, str(checkpoint.config.get("_name_or_path", ""))):
        if match := _BGE.fullmatch(name.rstrip("/").rpartition("/")[2]):
            return _BGE_QUERY[match[1]]
    return ""
