"""All steps from the packages to the weights; each writes its result, so that a run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from training.tiny import lsa, packages
from training.tiny.bag import Bag, directions, train_bag
from training.tiny.collection import Entry, collect
from training.tiny.examples import Sampler
from training.tiny.initial import config, fit_sparse_head, write_initial
from training.tiny.options import Options
from training.tiny.pages import Page
from training.tiny.unified import Variant, train_unified
from training.tiny.vocabulary import train_tokenizer, training_texts, write_tokenizer

from m3kit.backend.tokenizer import load_tokenizer
from m3kit.training.model import M3Model
from m3kit.vectors import Floats

_BATCHES, _FITTED = 40, 12  # texts by which the sparse head is initialised


@dataclass(frozen=True)
class Build:
    """
    The steps of one training.

    Args:
        work: The folder of packages and of what each step writes.
        options: The sizes and settings.
        debs: A folder of .deb files; by default apt-get downloads them.
        report: Called with a line about what is done.
    """

    work: Path
    options: Options
    debs: Path | None = None
    report: Callable[[str], None] = print

    @cached_property
    def pages(self) -> list[Page]:
        """The extracted text."""
        return packages.pages(packages.extract(self.work, self.debs))

    @cached_property
    def entries(self) -> list[Entry]:
        """The sections, aligned."""
        return collect(self.pages)

    @property
    def training(self) -> list[Entry]:
        """The sections of the training pages."""
        return [entry for entry in self.entries if entry.split == "train"]

    def initial(self) -> Path:
        """Train the tokenizer and stage 1, and write the checkpoint that stage 2 begins with."""
        folder = self._folder("initial")
        if (folder / "sparse_linear.pt").is_file():
            self.report(f"{folder} is there; stage 1 is not repeated")
            return folder
        tokenizer = self._tokenizer()
        (folder / "config.json").write_text(json.dumps(config(self.options)), "utf-8")
        write_tokenizer(tokenizer, folder, self.options.positions)
        bag, rarity = self._bag(tokenizer)
        reader = load_tokenizer(folder, config(self.options))
        sampler = Sampler(self.training, self.options.seed)
        train_bag(bag, reader, sampler, self.options, self.report)
        write_initial(bag, self.options, folder)
        batches = [sampler.batch(_FITTED) for _ in range(_BATCHES)]
        texts = [text for batch in batches for text in (*batch.queries, *batch.passages)]
        fit_sparse_head(folder, texts, rarity)
        return folder

    def unified(self, variant: Variant | None = None) -> M3Model:
        """Train stage 2."""
        chosen = variant or Variant()
        seed = self.options.seed + 1
        sampler = Sampler(self.training, seed, neighbours=chosen.neighbours)
        return train_unified(self.initial(), sampler, self.options, self.report, chosen)

    def _tokenizer(self) -> Tokenizer:
        path = self.work / f"tokenizer.{self.options.vocabulary}.json"
        if not path.is_file():
            self.report("training the tokenizer")
            train_tokenizer(training_texts(self.pages), self.options.vocabulary).save(str(path))
        return Tokenizer.from_file(str(path))

    def _bag(self, tokenizer: Tokenizer) -> tuple[Bag, Floats]:
        """Return what stage 1 begins with, and how rare each token is."""
        options = self.options
        path = self.work / f"embeddings.{options.vocabulary}.{options.pooled}.npz"
        if not path.is_file():
            self.report("latent semantic analysis")
            counts = lsa.term_matrix(lsa.paragraph_groups(self.pages), tokenizer)
            rows = lsa.embeddings(counts, options.pooled, options.seed)
            np.savez(path, rows=rows, rarity=lsa.inverse_frequencies(counts))
        stored = np.load(path)
        torch.manual_seed(options.seed)
        rarity: Floats = stored["rarity"]
        rows = directions(stored["rows"], options.width, options.noise, options.seed)
        return Bag(rows, rarity, options.pooled), rarity

    def _folder(self, name: str) -> Path:
        digest = json.dumps(asdict(self.options), sort_keys=True)
        folder = self.work / f"{name}-{_short(digest)}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _short(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]
