"""What transformers says of a reranker's pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def joined_ids(query: Sequence[int], passage: Sequence[int], max_length: int) -> list[int]:
    """Join ids as transformers 4 did; `golden/joins.json` is what it said."""
    over = len(query) + len(passage) + 4 - max_length
    kept = passage[:-over] if 0 < over < len(passage) else passage
    return [0, *query, 2, 2, *kept, 2]


def logits(folder: Path, pairs: Sequence[tuple[str, str]], max_length: int) -> list[float]:
    """Score pairs one at a time with transformers' own class."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()

    def ids(text: str, limit: int) -> list[int]:
        made = tokenizer(text, add_special_tokens=False, max_length=limit, truncation=True)
        return list(made["input_ids"])

    scores = []
    for query, passage in pairs:
        asked, read = ids(query, max_length * 3 // 4), ids(passage, max_length)
        joined = torch.tensor([joined_ids(asked, read, max_length)])
        with torch.inference_mode():
            scores.append(float(model(joined, torch.ones_like(joined)).logits))
    return scores
