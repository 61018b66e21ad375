"""The tokenizer: a unigram vocabulary over ten languages, lower-cased, punctuation apart."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import sentencepiece
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from training.tiny.collection import split_of
from training.tiny.pages import Page

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
_THEIR_SPECIAL = 3  # <unk>, <s> and </s> of SentencePiece, which come first
_LONGEST = 4192  # bytes that SentencePiece reads of a word


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """
    Train a tokenizer of `size` pieces, special ones included; the same texts give the same.

    Pieces and their scores come from SentencePiece, since the trainer of tokenizers goes through
    words in another order each time.
    """
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_rows(texts),
        input_format="tsv",
        model_writer=model,
        model_type="unigram",
        vocab_size=size - len(SPECIAL) + _THEIR_SPECIAL,
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        num_threads=1,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    scored = [
        (pieces.id_to_piece(id_), pieces.get_score(id_))
        for id_ in range(_THEIR_SPECIAL, len(pieces))
    ]
    vocabulary = [(token, 0.0) for token in SPECIAL] + scored[: size - len(SPECIAL)]
    tokenizer = _untrained(models.Unigram(vocabulary, SPECIAL.index("<unk>"), byte_fallback=False))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["<s>", "$A", "</s>"],
        pair=["<s>", "$A", "</s>", "</s>", "$B", "</s>"],
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


def _untrained(model: models.Unigram) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation("isolated")]
    )
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def _rows(texts: Iterable[str]) -> Iterator[str]:
    """Yield each word that comes twice with its frequency, the most frequent first."""
    tokenizer = _untrained(models.Unigram())
    normalize, split = tokenizer.normalizer.normalize_str, tokenizer.pre_tokenizer.pre_tokenize_str
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in split(normalize(text)))
    for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if count > 1 and len(word.encode()) <= _LONGEST:
            yield f"{word}\t{count}"


def write_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int) -> None:
    """Write `tokenizer.json`, and the names of special tokens beside it."""
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "backend": "tokenizers",
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "mask_token": "<mask>",
        "model_max_length": max_length,
        "pad_token": "<pad>",
        "sep_token": "</s>",
        "tokenizer_class": "TokenizersBackend",
        "unk_token": "<unk>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def training_texts(pages: Sequence[Page]) -> Iterator[str]:
    """
    Return each paragraph and heading of the training pages once for each language.

    English ones come twice: most text that the model will meet and has not seen is English, and
    more of its words should be whole pieces.
    """
    known: set[tuple[str, str]] = set()
    for page in pages:
        if split_of(page.name) != "train":
            continue
        for section in page.sections:
            for text in (section.heading, *section.keywords, *section.paragraphs.values()):
                if text and (page.lang, text) not in known:
                    known.add((page.lang, text))
                    yield from [text] * (2 if page.lang == "en" else 1)
