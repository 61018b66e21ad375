"""What FlagEmbedding's classes have besides their methods: a tokenizer, devices, pools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np

from m3kit.backend.tokenizer import TextTokenizer
from m3kit.flag.options import Devices, device_names

_ENDLESS = 2**62


class FlagTokenizer:
    """
    As much of a tokenizer of transformers as counts, cuts and shows tokens.

    Args:
        tokenizer: The model's.
    """

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer

    def __len__(self) -> int:
        return self._tokenizer.vocab_size

    def __call__(
        self,
        text: str | Sequence[str],
        *,
        add_special_tokens: bool = True,
        truncation: bool = False,
        max_length: int | None = None,
    ) -> dict[str, Any]:
        """
        Tokenize a text or several, without padding.

        Args:
            text: One, or a list.
            add_special_tokens: Whether the two special tokens are included.
            truncation: Whether to cut at `max_length`.
            max_length: How many ids a text has at most.

        Returns:
            `input_ids` and `attention_mask`: lists of int; for several texts a list of each.
        """
        texts = [text] if isinstance(text, str) else list(text)
        limit = max_length if truncation and max_length is not None else _ENDLESS
        special = 0 if add_special_tokens else 1
        rows = [tokens.ids.tolist() for tokens in self._tokenizer(texts, limit + 2 * special)]
        ids = [row[special : len(row) - special] for row in rows]
        masks = [[1] * len(row) for row in ids]
        if isinstance(text, str):
            return {"input_ids": ids[0], "attention_mask": masks[0]}
        return {"input_ids": ids, "attention_mask": masks}

    def encode(self, text: str, **options: Any) -> list[int]:
        """Return the ids of a text; options as in a call."""
        ids: list[int] = self(text, **options)["input_ids"]
        return ids

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of a text in the vocabulary's spelling, without special ones."""
        return self.convert_ids_to_tokens(self.encode(text, add_special_tokens=False))

    @overload
    def convert_ids_to_tokens(self, ids: int) -> str: ...

    @overload
    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]: ...

    def convert_ids_to_tokens(self, ids: int | Sequence[int]) -> str | list[str]:
        """Return the spelling of a token, or of each."""
        several = np.atleast_1d(np.asarray(ids, dtype=np.int64))
        tokens = [token for _, token in self._tokenizer.spelled(several)]
        return tokens[0] if isinstance(ids, int) else tokens


class FlagAttributes:
    """
    Attributes and methods of FlagEmbedding's classes that programs use beside `encode`.

    There are no pools of processes here: a model uses all devices, and all cores, by threads.
    """

    _text_tokenizer: TextTokenizer
    _devices: Devices

    @property
    def tokenizer(self) -> FlagTokenizer:
        """The model's tokenizer."""
        return FlagTokenizer(self._text_tokenizer)

    @property
    def target_devices(self) -> list[str]:
        """The devices that it computes on."""
        return device_names(self._devices)

    def stop_self_pool(self) -> None:
        """Do nothing."""

    def start_multi_process_pool(self, *_: Any) -> Mapping[str, Any]:
        """Start nothing; what is returned is for `stop_multi_process_pool`."""
        return {"target_devices": self.target_devices}

    @staticmethod
    def stop_multi_process_pool(pool: Mapping[str, Any]) -> None:
        """Do nothing."""
