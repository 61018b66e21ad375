"""What a model wants in front of a text."""

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
    Return what goes in front of a query: the checkpoint's own prompt, or BGE v1 and v1.5's.

    Those are known by their name, or by the one that `config.json` carries. M3 wants none.
    """
    return checkpoint.prompt("query") or _known(checkpoint)


def for_documents(checkpoint: Checkpoint) -> str:
    """Return what goes in front of a document: the checkpoint's own prompt, if it has one."""
    return checkpoint.prompt("document", "passage", "corpus")


def _known(checkpoint: Checkpoint) -> str:
    for name in (checkpoint.name, str(checkpoint.config.get("_name_or_path", ""))):
        if found := _BGE.fullmatch(name.rstrip("/").rpartition("/")[2]):
            return _BGE_QUERY[found[1]]
    return ""
