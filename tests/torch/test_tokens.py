"""What `query_tokens` and `document_tokens` show is what the model read."""

from __future__ import annotations

from m3kit.torch import TorchEncoder


def test_tokens_are_those_that_the_vectors_belong_to(tiny: TorchEncoder) -> None:
    text = "Select the rows of a table"
    tokens = tiny.document_tokens(text)
    (output,) = tiny.encode_documents([text])
    assert output.colbert is not None
    assert output.sparse is not None
    assert len(output.colbert) == len(tokens) - 1
    assert set(output.sparse.ids.tolist()) <= {id_ for id_, _ in tokens}
    spelled = [token for _, token in tokens]
    assert (spelled[0], spelled[-1]) == ("<s>", "</s>")
    assert "".join(spelled[1:-1]).replace("▁", " ").strip() == text.lower()


def test_tokens_are_cut_and_instructed_as_the_text_is() -> None:
    encoder = TorchEncoder.from_pretrained("tiny", query_max_length=5, query_instruction="find: ")
    tokens = [token for _, token in encoder.query_tokens("a b c d e f g")]
    assert len(tokens) == 5
    assert tokens[1] == "▁find"
    assert tokens[-1] == "</s>"
    assert len(encoder.document_tokens("a b c d e f g")) > 5
