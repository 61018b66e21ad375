"""What the help says below the options: exit codes, conditions, and the shape of each JSON."""

from __future__ import annotations

EXIT_CODES = """
\b
Exit codes:
  0    done; a search that finds nothing is done too
  1    failed: what the system or an engine had to say
  2    wrong usage
  3    bad input: a file, a line, a document, an unknown id
  4    a problem with the index: none there, locked, made by another model
  5    a problem with the model: none there, not a checkpoint
  130  stopped by Ctrl-C
  141  whoever read the output has gone

Errors are one line on stderr; M3KIT_DEBUG=1 shows the traceback too.
"""

READING = """
\b
What is read:
  JSONL     a document for each line: {"id": …, "text": …, "metadata": {…}}. Only
            the text is needed; every other field is metadata too.
  CSV       the same, the first row names the fields; values stay strings.
  TXT       a document for each paragraph, line or file (--split).
  Markdown  a document for each section; metadata: source, title, headings.
"""

ENCODE = f"""{READING}
\b
A line is printed for each document, in order:
  {{"id": "a", "dense": [0.1, …], "sparse": {{"7": 0.2, …}}, "colbert": [[…], …]}}
Sparse weights go by token id, ColBERT vectors are a row for each token, and what
--reps leaves out is not there.
"""

INDEX = f"""{READING}
Writing goes by id: a second run replaces, and completes one that was stopped.
Documents that are gone from the files stay in the index.
"""

SEARCH = """
\b
Conditions (--where, all must hold):
  lang=de      is it          lang=de,fr    is one of them
  lang!=de     is it not      tags~=new     the list holds it
  year>=2020   > < <= too     title*=table  the text holds it
A number, true or false is compared as such, and quotes make it a text, as CSV
keeps all values: 'year="2020"'. They also hold commas: 'title="a, b"'.

\b
--json prints one object:
  {"query": "…", "model": "tiny@1b2c3d4e", "hits": [
    {"id": "…", "score": 0.7, "parts": {"dense": 0.8, "sparse": 0.1, "colbert": 0.7},
     "text": "…", "metadata": {…}}, …]}
The best hit comes first, and parts are the scores of each representation.
"""

EXPLAIN = """
\b
--json prints one object:
  {"query": "…", "id": "…", "model": "tiny@1b2c3d4e",
   "scores": {"dense": 0.8, "sparse": 0.1, "colbert": 0.7},
   "matches": [{"token": "▁table", "token_id": 7, "query_weight": 0.2,
                "document_weight": 0.3, "product": 0.06}, …],
   "alignment": [{"query": "▁table", "document": "▁tables", "position": 4,
                  "similarity": 0.9}, …]}
The products add up to the sparse score, the similarities' mean is ColBERT's. The
position counts the document's tokens, <s> being 0.
"""

INFO = """
\b
--json prints one object:
  {"m3kit": "…", "python": "…", "packages": {"torch": "…" or null, …},
   "devices": ["cpu", "cuda:0"] or null, "schemes": ["file", "qdrant"],
   "index": null or {"address": "…", "model": "…" or null, "reps": ["dense", …],
                     "count": 1000}}
"""

EXPORT = """
\b
FOLDER gets
  fp32.onnx, fp32.data   the graph and its weights, as exact as PyTorch's
  int8.onnx, int8.data   a quarter of the size, and less exact
and the tokenizer's files. All three representations come out of either. What is
printed says how exact each graph is; --model FOLDER then takes the place of MODEL
where `pip install 'm3kit[onnx,cli]'` is all there is.
"""

SERVE = """
\b
Endpoints (POST, JSON; GET /openapi.json describes them):
  /encode        dense, sparse and ColBERT in one pass; JSON, MessagePack, safetensors
  /score         M3's scores of pairs
  /search        over --in; and /explain
  /rerank        by --reranker, else by M3's own scores
  /v1/embeddings, /embed, /embed_sparse, /pooling    as OpenAI, TEI and vLLM have them
GET /health, /ready, /info and /metrics.

Every command takes the server's URL as --model. Both sides read M3KIT_API_KEY. SIGTERM ends
the server when what it accepted is answered.
"""
