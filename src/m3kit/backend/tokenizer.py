"""Texts to token ids, equal to those of the reference's tokenizer; threads may share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors

from m3kit.backend.files import CheckpointError, read_json
from m3kit.vectors import Ints

SPECIAL_TOKENS = 2
"""One before every text, one after it."""

_DEFAULTS = {
    "XLMRobertaTokenizer": {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
    },
    "BertTokenizer": {
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
    },
}
_FAMILY = {"xlm-roberta": "XLMRobertaTokenizer", "bert": "BertTokenizer"}
_UNWEIGHTED = ("cls_token", "eos_token", "pad_token", "unk_token")


class Tokens(NamedTuple):
    """
    The ids of one text, its two special tokens included.

    Args:
        ids: At most as many as requested; the last is always the closing special token.
        full: How many there would be without a limit.
    """

    ids: Ints
    full: int


class TextTokenizer:
    """
    A fast tokenizer without truncation or padding state, so that threads may share it.

    Args:
        tokenizer: Adds a special token before a text and one after it.
        unweighted: Ids of the special tokens that carry no lexical weight.
    """

    def __init__(self, tokenizer: Tokenizer, unweighted: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self.unweighted = np.array(sorted(set(unweighted)), dtype=np.int64)

    @property
    def vocab_size(self) -> int:
        """How many different ids there are."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def __call__(self, texts: Sequence[str], max_length: int) -> list[Tokens]:
        """
        Tokenize texts, each truncated to `max_length` ids, special ones included.

        A lone surrogate, which no encoding of text can hold, counts as U+FFFD.
        """
        encodings = self._tokenizer.encode_batch_fast([_without_lone_surrogates(t) for t in texts])
        return [_cut(encoding.ids, max_length) for encoding in encodings]

    def spelled(self, ids: Ints) -> list[tuple[int, str]]:
        """Return each id with its spelling in the vocabulary (`▁` is a leading space)."""
        return [(id_, self._tokenizer.id_to_token(id_) or "") for id_ in ids.tolist()]


def load_tokenizer(folder: Path, config: Mapping[str, Any]) -> TextTokenizer:
    """
    Load `tokenizer.json` so that it gives the ids of transformers 5, and so of the reference.

    For the tokenizer classes of XLM-RoBERTa and BERT, transformers takes the vocabulary and the
    added tokens from the file and builds the rest itself; other files are used as they are.

    Raises:
        CheckpointError: If the file is missing or broken, or does not add one special token before
            a text and one after it.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise CheckpointError(
            f"{folder} has no tokenizer.json; write one with transformers: "
            "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
        )
    settings = _settings(folder)
    family = _FAMILY[config["model_type"]]
    kind = settings.get("tokenizer_class") or config.get("tokenizer_class") or family
    kind = str(kind).removesuffix("Fast")
    named = {**_DEFAULTS.get(kind, _DEFAULTS[family]), **_names(settings)}
    tokenizer = _from_file(path)
    if kind == "XLMRobertaTokenizer":
        _like_xlm_roberta(tokenizer, settings, named)
    elif kind == "BertTokenizer":
        _like_bert(tokenizer, settings, named)
    if len(tokenizer.encode("").ids) != SPECIAL_TOKENS:
        raise CheckpointError(f"{path} does not put one special token before a text and one after")
    ids = [tokenizer.token_to_id(named[name]) for name in _UNWEIGHTED if name in named]
    return TextTokenizer(tokenizer, [id_ for id_ in ids if id_ is not None])


def _from_file(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no narrower class
        raise CheckpointError(f"cannot read {path}: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _settings(folder: Path) -> dict[str, Any]:
    names = ("special_tokens_map.json", "tokenizer_config.json")  # the second overrides the first
    special, settings = (read_json(folder / name, dict, optional=True) for name in names)
    return {**special, **settings}


def _names(settings: Mapping[str, Any]) -> dict[str, str]:
    tokens = {key: value for key, value in settings.items() if key.endswith("_token") and value}
    return {key: str(t.get("content") if isinstance(t, dict) else t) for key, t in tokens.items()}


def _like_xlm_roberta(
    tokenizer: Tokenizer, settings: Mapping[str, Any], named: Mapping[str, str]
) -> None:
    scheme = "always" if settings.get("add_prefix_space", True) else "never"
    tokenizer.normalizer = _precompiled(tokenizer.normalizer)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme),
        ]
    )
    _surround(tokenizer, named["bos_token"], named["eos_token"])


def _precompiled(normalizer: normalizers.Normalizer | None) -> normalizers.Normalizer | None:
    """Return SentencePiece's character map, without what a conversion added."""
    if isinstance(normalizer, normalizers.Sequence):
        parts = [_precompiled(normalizer[n]) for n in range(len(normalizer))]
        return next(filter(None, parts), None)
    return normalizer if isinstance(normalizer, normalizers.Precompiled) else None


def _like_bert(tokenizer: Tokenizer, settings: Mapping[str, Any], named: Mapping[str, str]) -> None:
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    _surround(tokenizer, named["cls_token"], named["sep_token"])


def _surround(tokenizer: Tokenizer, first: str, last: str) -> None:
    special = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
    for token, id_ in special:
        if id_ is None:
            raise CheckpointError(f"the tokenizer does not know its special token {token!r}")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[first, "$A", last], special_tokens=special
    )


def _cut(ids: list[int], max_length: int) -> Tokens:
    truncated = ids if len(ids) <= max_length else [*ids[: max_length - 1], ids[-1]]
    return Tokens(np.array(truncated, dtype=np.int64), len(ids))


def _without_lone_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
