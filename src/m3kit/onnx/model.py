"""A graph in ONNX Runtime: token ids in, `M3Output`s out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession, SessionOptions

from m3kit.backend.files import CheckpointError
from m3kit.backend.lexical import lexical_weights
from m3kit.backend.packing import Pack
from m3kit.backend.tokenizer import TextTokenizer
from m3kit.onnx.metadata import Facts, wanted
from m3kit.vectors import REPS, Floats, Ints, M3Output, Rep, Sparse

_SPINNING = "session.intra_op.allow_spinning"
_ERRORS = 3  # what ONNX Runtime writes to stderr: neither hints nor warnings


@dataclass(frozen=True, slots=True)
class Model:
    """
    What a graph computes. A session serves many threads.

    Args:
        session: The graph, loaded.
        facts: Its metadata.
        unweighted: Ids of special tokens, which have no lexical weight.
    """

    session: InferenceSession
    facts: Facts
    unweighted: Ints

    @property
    def width(self) -> int:
        """Width of the dense vector."""
        return int(self.session.get_outputs()[0].shape[1])

    @property
    def max_length(self) -> int:
        """How many tokens a text may have, special ones included."""
        return self.facts.max_length

    @property
    def reps(self) -> frozenset[Rep]:
        """All three, or dense alone where there are no heads."""
        names = {output.name for output in self.session.get_outputs()}
        return frozenset(rep for rep in REPS if rep in names)

    def __call__(self, texts: Sequence[Ints], reps: Collection[Rep]) -> list[M3Output]:
        """
        Encode texts, those of one length in one pass, computing `reps` and nothing else.

        So no text is padded, and its vectors do not depend on the other texts, to the last bit.
        """
        pack = Pack.of(texts)
        names = [rep for rep in REPS if rep in reps]
        runs = [self._run(pack.ids[run.rows].reshape(run.count, -1), names) for run in pack.runs]
        made = {name: [run[place] for run in runs] for place, name in enumerate(names)}
        nothing = [None] * len(texts)
        dense: Sequence[Floats | None] = nothing
        sparse: Sequence[Sparse | None] = nothing
        colbert: Sequence[Floats | None] = nothing
        if "dense" in made:
            dense = list(np.concatenate(made["dense"]))
        if "sparse" in made:
            weights = np.concatenate([block.ravel() for block in made["sparse"]])
            sparse = lexical_weights(weights, pack, self.unweighted)
        if "colbert" in made:
            colbert = [rows.copy() for block in made["colbert"] for rows in block]
        return [
            M3Output(dense=d, sparse=s, colbert=c)
            for d, s, c in zip(dense, sparse, colbert, strict=True)
        ]

    def _run(self, ids: Ints, names: Sequence[Rep]) -> list[Floats]:
        choices = {wanted(rep): np.array(rep in names) for rep in self.reps}
        outputs: list[Floats] = self.session.run(names, {"input_ids": ids, **choices})
        return outputs


def load_model(file: Path, tokenizer: TextTokenizer, threads: int | None) -> Model:
    """
    Open a graph that belongs to a tokenizer; its weights are mapped into memory.

    Raises:
        CheckpointError: If it is broken, or does not fit.
    """
    options = SessionOptions()
    options.log_severity_level = _ERRORS
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry(_SPINNING, "0")  # or idle threads take cores from others
    try:
        session = InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # what ONNX Runtime raises has no common class but this
        raise CheckpointError(_why_not(file, error)) from error
    facts = Facts.from_metadata(session.get_modelmeta().custom_metadata_map, str(file))
    if tokenizer.vocab_size > facts.vocab_size:
        raise CheckpointError(
            f"the tokenizer in {file.parent} gives {tokenizer.vocab_size} ids, and the graph "
            f"knows {facts.vocab_size}; they belong to different models"
        )
    return Model(session, facts, tokenizer.unweighted)


def _why_not(file: Path, error: Exception) -> str:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return f"cannot open {file} ({reason}); write it anew with `m3kit export`"
