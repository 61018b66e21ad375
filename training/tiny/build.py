"""All steps from the packages to the weights; each writes its result, so that a run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
from training.tiny.initial import config, write_initial
from training.tiny.options import STAGE_2, Options
from training.tiny.pages import Page
from training.tiny.unified import Variant, train_unified
from training.tiny.vocabulary import train_tokenizer, training_texts, write_tokenizer

from m3kit.backend.tokenizer import load_tokenizer
from m3kit.training.model import M3Model
from m3kit.vectors import Floats


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
        folder = self._folder()
        if (folder / "sparse_linear.pt").is_file():
            self.report(f"{folder} is there; stage 1 is not repeated")
            return folder
        tokenizer = self._tokenizer()
        (folder / "config.json").write_text(json.dumps(config(self.options)), "utf-8")
        write_tokenizer(tokenizer, folder, self.options.positions)
        analysis, options = self._analysis(tokenizer), self.options
        torch.manual_seed(options.seed)
        rows = directions(analysis["rows"], options.noise, options.seed)
        bag = Bag(rows, analysis["rarity"], options.width, options.seed)
        reader = load_tokenizer(folder, config(options))
        sampler = Sampler(self.training, options.seed)
        train_bag(bag, reader, sampler, options, self.report)
        write_initial(bag, options, folder)
        return folder

    def unified(self, variant: Variant | None = None, seed: int | None = None) -> M3Model:
        """Train stage 2; its batches are drawn by a seed, that of the options and 1 by default."""
        chosen = variant or Variant()
        drawn = self.options.seed + 1 if seed is None else seed
        sampler = Sampler(self.training, drawn, neighbours=chosen.neighbours)
        folder, rarity = self.initial(), self._analysis(self._tokenizer())["rarity"]
        return train_unified(folder, sampler, rarity, self.options, self.report, variant=chosen)

    def _tokenizer(self) -> Tokenizer:
        path = self.work / f"tokenizer.{self.options.vocabulary}.json"
        if not path.is_file():
            self.report("training the tokenizer")
            train_tokenizer(training_texts(self.pages), self.options.vocabulary).save(str(path))
        return Tokenizer.from_file(str(path))

    def _analysis(self, tokenizer: Tokenizer) -> Mapping[str, Floats]:
        """Return the embedding of each token (`"rows"`), and how rare it is (`"rarity"`)."""
        options = self.options
        path = self.work / f"embeddings.{options.vocabulary}.{options.pooled}.npz"
        if not path.is_file():
            self.report("latent semantic analysis")
            counts = lsa.term_matrix(lsa.paragraph_groups(self.pages), tokenizer)
            rows = lsa.embeddings(counts, options.pooled, options.seed)
            np.savez(path, rows=rows, rarity=lsa.inverse_frequencies(counts))
        with np.load(path) as stored:
            return dict(stored)

    def _folder(self) -> Path:
        """Return the folder of what stage 1 makes by these options."""
        first = {name: value for name, value in asdict(self.options).items() if name not in STAGE_2}
        digest = sha256(json.dumps(first, sort_keys=True).encode()).hexdigest()[:8]
        folder = self.work / f"initial-{digest}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
