"""
Write the golden files beside this script, with FlagEmbedding 1.4.2.

Run from the repository's root, where FlagEmbedding and m3kit are installed:

    python -m tests.torch.golden.make_golden

The random checkpoints are made from seeds, so only what FlagEmbedding says of them is kept. The
tokenizer in `xlmr/` is a small SentencePiece model in the form of published XLM-RoBERTa files:
its `tokenizer.json` alone treats spaces otherwise than transformers does.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tests.shipped import LONGEST
from tests.torch.corpus import texts
from tests.torch.random_checkpoint import TINY, write_bert, write_m3
from tests.torch.reference import dense_vectors, excerpt, m3_outputs, token_ids

_HERE = Path(__file__).parent
_NORMALIZED = {
    "\uff21": "A",
    "ﬁ": "fi",
    "½": "1\u20442",
    "e\u0301": "é",
    "\u3000": " ",
    "\t": " ",
    "\n": " ",
}


def main() -> None:
    """Write `tiny.npz`, `random.npz`, `bert.npz`, `tokens.npz` and `xlmr/`."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        bert = write_bert(folder / "bert", "".join(texts(512)))
        write_xlmr_tokenizer(folder)
        _save("tokens", **_ids("xlmr", _HERE / "xlmr"), **_ids("bert", bert))
        pooled = {mode: dense_vectors(bert, texts(512), mode) for mode in ("cls", "mean")}
        _save("bert", **pooled)
        _save("tiny", **excerpt(m3_outputs(TINY, texts(512), LONGEST), 1))
        random = write_m3(folder / "m3")
        _save("random", **excerpt(m3_outputs(random, texts(8192), 8192), 16))


def write_xlmr_tokenizer(scratch: Path) -> None:
    """Train a SentencePiece model and write it as transformers 4 converted those."""
    import sentencepiece

    rules = [f"{_hex(old)}\t{_hex(new)}\n" for old, new in _NORMALIZED.items()]
    (scratch / "rules.tsv").write_text("".join(rules))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts(512)[:42]),
        model_prefix=str(scratch / "pieces"),
        vocab_size=500,
        character_coverage=0.98,
        normalization_rule_tsv=str(scratch / "rules.tsv"),
        minloglevel=2,
    )
    from transformers.convert_slow_tokenizer import SentencePieceExtractor

    model = SentencePieceExtractor(str(scratch / "pieces.model")).proto
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = [(piece.piece, piece.score) for piece in model.pieces[3:]]
    vocabulary = [*((token, 0.0) for token in special), *pieces, ("<mask>", 0.0)]
    added = dict(zip(special, range(4), strict=True)) | {"<mask>": len(vocabulary) - 1}
    content = _tokenizer_json(vocabulary, added, model.normalizer_spec.precompiled_charsmap)
    (_HERE / "xlmr").mkdir(exist_ok=True)
    (_HERE / "xlmr" / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False))
    names = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>", "unk": "<unk>"}
    settings = {f"{name}_token": token for name, token in names.items()}
    settings |= {"pad_token": "<pad>", "tokenizer_class": "XLMRobertaTokenizer"}
    (_HERE / "xlmr" / "tokenizer_config.json").write_text(json.dumps(settings))
    (_HERE / "xlmr" / "config.json").write_text(json.dumps({"model_type": "xlm-roberta"}))


def _tokenizer_json(
    vocabulary: Sequence[tuple[str, float]], added: dict[str, int], characters: bytes
) -> dict[str, Any]:
    flags = {"single_word": False, "rstrip": False, "normalized": False, "special": True}
    charsmap = base64.b64encode(characters).decode()
    spaces = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "truncation": {
            "direction": "Right",
            "max_length": 16,
            "strategy": "LongestFirst",
            "stride": 0,
        },
        "padding": None,
        "added_tokens": [
            {"id": id_, "content": token, "lstrip": id_ == added["<mask>"], **flags}
            for token, id_ in added.items()
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [{"type": "Precompiled", "precompiled_charsmap": charsmap}, spaces],
        },
        "pre_tokenizer": metaspace,
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": ["</s>", 2],
            "cls": ["<s>", 0],
            "trim_offsets": True,
            "add_prefix_space": True,
        },
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocabulary, "byte_fallback": False},
    }


def _ids(name: str, folder: Path) -> dict[str, Any]:
    ids, _ = token_ids(folder, texts(512))
    return {
        f"{name}_counts": np.array([len(one) for one in ids], dtype=np.int32),
        f"{name}_ids": np.concatenate(ids).astype(np.int16),
    }


def _hex(characters: str) -> str:
    return " ".join(f"{ord(character):X}" for character in characters)


def _save(name: str, **arrays: Any) -> None:
    np.savez_compressed(_HERE / f"{name}.npz", **arrays)


if __name__ == "__main__":
    main()
