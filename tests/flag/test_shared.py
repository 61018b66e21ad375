"""What programs use of FlagEmbedding's classes beside their methods."""

from __future__ import annotations

from m3kit.flag import BGEM3FlagModel, FlagModel, FlagReranker


def test_the_tokenizer_counts_cuts_and_shows_tokens(m3: BGEM3FlagModel) -> None:
    tokenizer = m3.tokenizer
    text = "how long am I?"
    ids = tokenizer(text)["input_ids"]
    assert ids == [id_ for id_, _ in m3._encoder.document_tokens(text)]
    assert tokenizer(text)["attention_mask"] == [1] * len(ids)
    assert tokenizer([text, ""])["input_ids"] == [ids, [ids[0], ids[-1]]]
    assert tokenizer.encode(text, truncation=True, max_length=4) == [*ids[:3], ids[-1]]
    assert tokenizer.encode(text, add_special_tokens=False) == ids[1:-1]
    cut = tokenizer.encode(text, add_special_tokens=False, truncation=True, max_length=4)
    assert cut == ids[1:5]
    assert tokenizer.tokenize(text) == tokenizer.convert_ids_to_tokens(ids)[1:-1]
    assert tokenizer.convert_ids_to_tokens(ids[0]) == "<s>"
    assert len(tokenizer) > max(ids)


def test_all_have_a_tokenizer_devices_and_pools(
    m3: BGEM3FlagModel, dense: FlagModel, reranker: FlagReranker
) -> None:
    for model in (m3, dense, reranker):
        assert model.target_devices == ["cpu"]
        assert model.tokenizer("a table")["input_ids"]
        pool = model.start_multi_process_pool()
        model.stop_multi_process_pool(pool)
        model.stop_self_pool()
