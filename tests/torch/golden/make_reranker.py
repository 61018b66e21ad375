"""
Write `reranker.npz` beside this script, with transformers, and `joins.json`, with transformers 4.

Run from the repository's root, where m3kit is installed; the second file is written where
transformers is older than 5, which still has `prepare_for_model`, and PyTorch is not needed:

    python -m tests.torch.golden.make_reranker
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_HERE = Path(__file__).parent
_LONGEST = 32
_LENGTHS = (0, 1, 2, 7, 11, 12, 13, 27, 28, 29, 32)


def main() -> None:
    """Write the file that this transformers can make."""
    import transformers

    if int(transformers.__version__.partition(".")[0]) < 5:
        (_HERE / "joins.json").write_text(json.dumps(joins()) + "\n")
        return
    import numpy as np
    from tests.torch.random_reranker import PAIRS, write_reranker
    from tests.torch.reranker_reference import logits

    with TemporaryDirectory() as name:
        folder = write_reranker(Path(name) / "reranker")
        scores: dict[str, Any] = {
            str(limit): np.array(logits(folder, PAIRS, limit)) for limit in (512, 64)
        }
    np.savez_compressed(_HERE / "reranker.npz", **scores)


def joins() -> list[list[int]]:
    """Return `[query ids, passage ids, passage ids that are kept]`, for a limit of 32."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(_HERE / "xlmr")
    made = []
    for query, passage in product(_LENGTHS, _LENGTHS):
        ids = [10] * query, [20] * passage
        joined = tokenizer.prepare_for_model(*ids, truncation="only_second", max_length=_LONGEST)
        kept = joined["input_ids"].count(20)
        assert joined["input_ids"] == [0, *ids[0], 2, 2, *[20] * kept, 2]
        made.append([query, passage, kept])
    return made


if __name__ == "__main__":
    main()
