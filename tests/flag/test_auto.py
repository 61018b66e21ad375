from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from m3kit.flag import BGEM3FlagModel, FlagAutoModel, FlagModel


def test_the_checkpoint_decides(hub: Path, m3: BGEM3FlagModel, dense: FlagModel) -> None:
    found = FlagAutoModel.from_finetuned("tiny", devices="cpu", return_sparse=True)
    assert isinstance(found, BGEM3FlagModel)
    assert found.encode("a text")["lexical_weights"]
    np.testing.assert_array_equal(
        found.encode("a text")["dense_vecs"], m3.encode("a text")["dense_vecs"]
    )
    other = FlagAutoModel.from_finetuned(
        str(hub / "BAAI" / "bge-large-zh-v1.5"), query_instruction_for_retrieval="ask: "
    )
    assert isinstance(other, FlagModel)
    np.testing.assert_array_equal(other.encode_queries("a text"), dense.encode("ask: a text"))


def test_a_class_that_is_named_goes_before() -> None:
    model = FlagAutoModel.from_finetuned("tiny", model_class="encoder-only-base")
    assert isinstance(model, FlagModel)
    with pytest.raises(ValueError, match="here, not 'decoder-only-icl'"):
        FlagAutoModel.from_finetuned("tiny", model_class="decoder-only-icl")


def test_the_template_of_an_instructed_e5(hub: Path, tmp_path: Path, dense: FlagModel) -> None:
    folder = tmp_path / "multilingual-e5-large-instruct"
    folder.symlink_to(hub / "BAAI" / "bge-large-zh-v1.5")
    model = FlagAutoModel.from_finetuned(str(folder), query_instruction_for_retrieval="find")
    assert isinstance(model, FlagModel)
    found = model.encode_queries("it")
    np.testing.assert_array_equal(found, dense.encode("Instruct: find\nQuery: it"))


def test_unknown_options_are_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'return_sparce'"):
        FlagAutoModel.from_finetuned("tiny", return_sparce=True)
    with pytest.raises(OSError, match="from_finetuned"):
        FlagAutoModel()
