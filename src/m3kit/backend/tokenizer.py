"""Texts to token ids, equal to those of the reference's tokenizer; threads may share it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors

from m3kit._batching import chunked
from m3kit.backend.files import CheckpointError, read_json
from m3kit.backend.pieces import Divide, divided, divided_anywhere, words
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
_BATCH_CHARS = 2**18
"""Characters that are tokenized together: one takes some 100 bytes meanwhile."""

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
        divide: Divides a long text into pieces that may be tokenized apart; by default it is
            tokenized as a whole.
    """

    def __init__(
        self, tokenizer: Tokenizer, unweighted: Sequence[int], divide: Divide | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._divide = divide or _whole
        self.unweighted = np.array(sorted(set(unweighted)), dtype=np.int64)

    @property
    def vocab_size(self) -> int:
        """How many different ids there are."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def __call__(self, texts: Sequence[str], max_length: int) -> list[Tokens]:
        """
        Tokenize texts, each truncated to `max_length` ids, special ones included.

        What it takes in memory, besides the ids returned, does not depend on a text's length. A
        lone surrogate, which no encoding of text can hold, counts as U+FFFD.
        """
        counts = [_Count(max_length) for _ in texts]
        pieces = (
            (count, _without_lone_surrogates(piece))
            for count, text in zip(counts, texts, strict=True)
            for piece in self._divide(text)
        )
        for batch in chunked(pieces, size=lambda item: len(item[1]), budget=_BATCH_CHARS):
            encodings = self._tokenizer.encode_batch_fast([piece for _, piece in batch])
            for (count, _), encoding in zip(batch, encodings, strict=True):
                count.add(encoding.ids)
        return [count.tokens() for count in counts]

    def id_of(self, *tokens: str) -> int | None:
        """Return the id of the first of some tokens that the vocabulary has, or None."""
        ids = map(self._tokenizer.token_to_id, tokens)
        return next((id_ for id_ in ids if id_ is not None), None)

    def parts(self, text: str) -> list[str]:
        """Divide a text, at spaces, into parts whose tokens are those of the whole."""
        return [text] if self._divide is _whole else words(text)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, special ones not included."""
        repaired = [_without_lone_surrogates(text) for text in texts]
        encodings = self._tokenizer.encode_batch_fast(repaired, add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

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
    divide: Divide | None = None
    if kind == "XLMRobertaTokenizer":
        _like_xlm_roberta(tokenizer, settings, named)
        divide = divided_anywhere
    elif kind == "BertTokenizer":
        _like_bert(tokenizer, settings, named)
        divide = divided
    elif _tells_words_apart(tokenizer):
        divide = divided_anywhere
    if len(tokenizer.encode("").ids) != SPECIAL_TOKENS:
        raise CheckpointError(f"{path} does not put one special token before a text and one after")
    ids = [tokenizer.token_to_id(named[name]) for name in _UNWEIGHTED if name in named]
    return TextTokenizer(tokenizer, [id_ for id_ in ids if id_ is not None], divide)


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


def _tells_words_apart(tokenizer: Tokenizer) -> bool:
    """Tell whether each word is tokenized by itself, as by Metaspace in front of every word."""
    normalizer, splitter = _options(tokenizer.normalizer), _options(tokenizer.pre_tokenizer)
    first, *_ = splitter.get("pretokenizers") or [splitter]
    prepends = any(
        part["type"] == "Prepend" for part in normalizer.get("normalizers") or [normalizer] if part
    )
    marks = {"type": "Metaspace", "prepend_scheme": "always", "split": True}
    return marks.items() <= first.items() and not prepends


def _options(part: normalizers.Normalizer | pre_tokenizers.PreTokenizer | None) -> dict[str, Any]:
    """Return what `tokenizer.json` says of one part; the whole has the vocabulary, too."""
    options: dict[str, Any] = {} if part is None else json.loads(part.__getstate__())
    return options


def _surround(tokenizer: Tokenizer, first: str, last: str) -> None:
    special = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
    for token, id_ in special:
        if id_ is None:
            raise CheckpointError(f"the tokenizer does not know its special token {token!r}")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[first, "$A", last], special_tokens=special
    )


class _Count:
    """Collects the ids of a text's pieces up to a limit, and counts the others."""

    def __init__(self, max_length: int) -> None:
        self._most = max_length - 1  # and the closing token
        self._ids: list[int] = []
        self._full = SPECIAL_TOKENS
        self._last = 0

    def add(self, ids: list[int]) -> None:
        """Add the ids of a piece, between two special tokens."""
        start = 1 if self._ids else 0
        self._ids += ids[start:-1][: self._most - len(self._ids)]
        self._full += len(ids) - SPECIAL_TOKENS
        self._last = ids[-1]

    def tokens(self) -> Tokens:
        """Return the ids, and how many there would be."""
        return Tokens(np.array([*self._ids, self._last], dtype=np.int64), self._full)


def _without_lone_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _whole(text: str) -> Iterable[str]:
    return (text,)
