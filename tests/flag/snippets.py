"""What people run with FlagEmbedding, and what its authors published of it for BAAI/bge-m3."""

from __future__ import annotations

from typing import Any

_TEXTS = """
from FlagEmbedding import BGEM3FlagModel
model = BGEM3FlagModel('BAAI/bge-m3', use_fp16=True)
sentences_1 = ["What is BGE M3?", "Defination of BM25"]
sentences_2 = ["BGE M3 is an embedding model supporting dense retrieval, lexical matching and multi-vector interaction.",
               "BM25 is a bag-of-words retrieval function that ranks a set of documents based on the query terms appearing in each document"]
"""  # noqa: E501  # as published

SNIPPETS = {
    "dense": f"""{_TEXTS}
embeddings_1 = model.encode(sentences_1, batch_size=12, max_length=8192)['dense_vecs']
embeddings_2 = model.encode(sentences_2)['dense_vecs']
similarity = embeddings_1 @ embeddings_2.T
print(similarity)
""",
    "sparse": f"""{_TEXTS}
output_1 = model.encode(sentences_1, return_dense=True, return_sparse=True, return_colbert_vecs=False)
output_2 = model.encode(sentences_2, return_dense=True, return_sparse=True, return_colbert_vecs=False)
tokens = model.convert_id_to_token(output_1['lexical_weights'])
print(tokens)
lexical_scores = model.compute_lexical_matching_score(output_1['lexical_weights'][0], output_2['lexical_weights'][0])
print(lexical_scores)
apart = model.compute_lexical_matching_score(output_1['lexical_weights'][0], output_1['lexical_weights'][1])
print(apart)
""",  # noqa: E501  # as published
    "colbert": f"""{_TEXTS}
output_1 = model.encode(sentences_1, return_dense=True, return_sparse=True, return_colbert_vecs=True)
output_2 = model.encode(sentences_2, return_dense=True, return_sparse=True, return_colbert_vecs=True)
near = model.colbert_score(output_1['colbert_vecs'][0], output_2['colbert_vecs'][0])
far = model.colbert_score(output_1['colbert_vecs'][0], output_2['colbert_vecs'][1])
print(near, far)
""",  # noqa: E501  # as published
    "scores": f"""{_TEXTS}
sentence_pairs = [[i,j] for i in sentences_1 for j in sentences_2]
scores = model.compute_score(sentence_pairs, max_passage_length=128, weights_for_different_modes=[0.4, 0.2, 0.4])
print(scores)
""",  # noqa: E501  # as published
    "folder": """
from FlagEmbedding import BGEM3FlagModel
model = BGEM3FlagModel('models--BAAI--bge-m3', use_fp16=True)
embeddings = model.encode(["What is BGE M3?"], batch_size=12, max_length=8192,)['dense_vecs']
""",
    "queries": """
from FlagEmbedding import FlagModel
model = FlagModel('BAAI/bge-large-zh-v1.5',
                  query_instruction_for_retrieval="为这个句子生成表示以用于检索相关文章:",
                  use_fp16=True)
q_embeddings = model.encode_queries(['What is the capital of France?', 'Where is the Eiffel Tower located?'])
p_embeddings = model.encode(['Paris is the capital of France.', 'The Eiffel Tower is located in Paris.'])
scores = q_embeddings @ p_embeddings.T
""",  # noqa: E501  # as published
    "similarity": """
from FlagEmbedding import FlagModel
model = FlagModel('BAAI/bge-large-zh-v1.5', query_instruction_for_retrieval="为这个句子生成表示以用于检索相关文章:", use_fp16=True)
embeddings_1 = model.encode(["样例数据-1", "样例数据-2"])
embeddings_2 = model.encode(["样例数据-2"])
similarity = embeddings_1 @ embeddings_2.T
""",  # noqa: E501  # as published
    "reranker": """
from FlagEmbedding import FlagReranker
reranker = FlagReranker('BAAI/bge-reranker-v2-m3', use_fp16=True)
score = reranker.compute_score(['query', 'passage'])
normalized = reranker.compute_score(['query', 'passage'], normalize=True)
scores = reranker.compute_score([['what is panda?', 'hi'], ['what is panda?', 'The giant panda is a bear.']])
""",  # noqa: E501  # as published
}

PUBLISHED: dict[str, dict[str, Any]] = {
    "dense": {"similarity": [[0.6265, 0.3477], [0.3499, 0.678]]},
    "sparse": {
        "tokens": [
            {
                "What": 0.08356,
                "is": 0.0814,
                "B": 0.1296,
                "GE": 0.252,
                "M": 0.1702,
                "3": 0.2695,
                "?": 0.04092,
            },
            {
                "De": 0.05005,
                "fin": 0.1368,
                "ation": 0.04498,
                "of": 0.0633,
                "BM": 0.2515,
                "25": 0.3335,
            },
        ],
        "lexical_scores": 0.19554901123046875,
        "apart": 0.0,
    },
    "colbert": {"near": 0.7797, "far": 0.4620},
    "scores": {
        "scores": {
            "colbert": [
                0.7796499729156494,
                0.4621465802192688,
                0.4523794651031494,
                0.7898575067520142,
            ],
            "sparse": [0.195556640625, 0.00879669189453125, 0.0, 0.1802978515625],
            "dense": [0.6259765625, 0.347412109375, 0.349853515625, 0.67822265625],
            "sparse+dense": [
                0.482503205537796,
                0.23454029858112335,
                0.2332356721162796,
                0.5122477412223816,
            ],
            "colbert+sparse+dense": [
                0.6013619303703308,
                0.3255828022956848,
                0.32089319825172424,
                0.6232916116714478,
            ],
        }
    },
}


def run(name: str, package: str) -> dict[str, Any]:
    """Run a snippet with another package in its import line, and return what it defines."""
    found: dict[str, Any] = {}
    source = SNIPPETS[name].replace("from FlagEmbedding import", f"from {package} import")
    exec(source, found)  # noqa: S102  # our own text
    del found["__builtins__"]
    return found
