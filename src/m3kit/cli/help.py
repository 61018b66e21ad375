"""The help below the options: exit codes, conditions, and the form of each JSON output."""

from __future__ import annotations

EXIT_CODES = """
\b
Exit codes:
  0    success, also of a search without hits
  1    an error of the system or of an engine
  2    wrong usage
  3    bad input: a file, a line, a document, an unknown id
  4    a problem with the index: missing, locked, made by another model
  5    a problem with the model: missing, not a checkpoint
  130  stopped by Ctrl-C
  143  stopped by SIGTERM
  141  the reader of the output has closed it

Errors are one line on stderr; M3KIT_DEBUG=1 shows the traceback too.
"""

READING = """
\b
Input formats, by suffix (those marked * need the extra `ingest`):
  JSONL, JSON, CSV, Parquet*   a document per record: {"id": …, "text": …, "metadata":
            {…}}. Only the text is required; all other fields are metadata, too.
            Columns of a CSV that hold numbers alone, or true and false, are such.
  TXT       a document per paragraph, line or file (--split).
  Markdown, HTML*, DOCX*   a document per section, or file; metadata: source, title,
            headings, and what the front matter says.
  PDF*      a document per page, or file; metadata: source, title, page.
In folders, all files of these formats are read, except hidden ones; what is left out
is counted. FILE may also be a URL*: https://…, s3://…. Documents without an id are
called file#number, by the file's path below the folder that is given.
"""

ENCODE = f"""{READING}
\b
The output is a line per document, in order:
  {{"id": "a", "dense": [0.1, …], "sparse": {{"7": 0.2, …}}, "colbert": [[…], …]}}
Sparse weights are keyed by token id, and ColBERT has a row per token. What --reps
leaves out is missing.
"""

INDEX = f"""{READING}
--chunk 512 splits documents into passages of at most 512 of the model's tokens, whole
files by default. A passage has its document's metadata, and: parent (the document's
id), position (its number), headings, page.

Documents are replaced by id, and a ledger tells which of them are in the index: repeat
the command to update an index, or to complete a run that was stopped or killed. What is
no longer at its place in a file is deleted; --prune deletes whatever else these FILEs
have no more. Files may be moved; one that would replace another file of the same name,
which is still there, is refused: give it a --prefix, or say that it has --moved. Documents
that cannot be read are written to a file of rejects, and the exit code is 3.

\b
--json prints one object:
  {{"index": "…", "count": 1000, "read": 20, "unchanged": 17, "encoded": 1,
   "rewritten": 1, "deleted": 2, "rejected": 1, "recovered": 0, "retries": 0,
   "seconds": 0.8, "rate": 25.0, "rejects": "…" or null}}
"""

DELETE = """
\b
--json prints one object: {"index": "…", "deleted": 3, "count": 997}
"""

LIST = """
\b
--json prints a line per document, {"id": "…", "text": "…", "metadata": {…}},
or per source, {"source": "guide/faq.md", "documents": 12}.
"""

VERIFY = """
\b
The exit code is 4 if there is a difference. --json prints one object:
  {"ok": false, "documents": 1000,
   "doubled": {"count": 0, "examples": []}, "missing": …, "changed": …, "pending": …,
   "outdated": …, "vanished": …, "unknown": …, "rejected": …}
"""

SEARCH = """
\b
Conditions (--where; all must match):
  lang=de      equals         lang=de,fr    equals one of them
  lang!=de     differs        tags~=new     the list contains it
  year>=2020   also > < <=    title*=table  the text contains it
Numbers, true and false are compared as such; quotes make them strings:
'zip="20200"'. Quotes also allow commas: 'title="a, b"'.

\b
--json prints one object:
  {"query": "…", "model": "tiny@1b2c3d4e", "hits": [
    {"id": "…", "score": 0.7, "scores": {"dense": 0.8, "sparse": 0.1, "colbert": 0.7},
     "text": "…", "metadata": {…}}, …]}
The best hit is first; "scores" has the score of each representation.
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
The products add up to the sparse score; the mean of the similarities is ColBERT's.
"position" is the number of the token in the document, 0 being <s>.
"""

INFO = """
\b
--json prints one object:
  {"m3kit": "…", "python": "…", "packages": {"torch": "…" or null, …},
   "devices": ["cpu", "cuda:0"] or null, "schemes": ["file", "qdrant"],
   "index": null or {"address": "…", "model": "…" or null, "reps": ["dense", …],
                     "count": 1000, "unindexed_fields": ["lang", …] or null,
                     "optimization": null or {"documents": 1000, "recall": 0.99,
                                              "queries": 200, "search": {…}}}}
Filters on unindexed fields read every document; null means that the store does not
report them. Of an optimized index, "recall" is the share of the true 10 nearest
neighbours that dense search found of "queries" documents, less its standard error.
"""

OPTIMIZE = """
An index in a folder gets a graph of its dense vectors, which makes searches fast and
approximate, and loses what deleted documents took. A process builds over a copy of the files: the
index is as it was until the copy takes its place, whatever ends the command. `m3kit info --in
ADDRESS` shows the recall. A Qdrant server optimizes what is pending, and Milvus compacts; others
have nothing to optimize, which is an error.
"""

EXPORT = """
\b
FOLDER will contain
  fp32.onnx, fp32.data   the graph and its weights, as exact as PyTorch's
  int8.onnx, int8.data   a quarter of the size, and less exact
and the tokenizer's files. Each graph computes all three representations; the
output shows how exact each is. Then use --model FOLDER where only
`pip install 'm3kit[onnx,cli]'` is installed.
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

COPY = """
Vectors are copied as they are. Of the copy, the number of documents, the vectors of some and the
rankings of searches for them are compared with the index. Repeat the command to complete a copy
that was stopped. A store that cannot hold a representation refuses it, unless --reps leaves it
behind. --model encodes the texts anew instead, beside the index: searches go on there until
--alias, of a collection in Qdrant or Milvus, or the address that you search at switches.
"""

MINE = """
\b
Writes {"query", "pos", "neg"} lines, with "pos_scores" and "neg_scores" where a reranker
scored them. Negatives are drawn at random from the ranks of --range; the same seed draws the
same. Without --in, passages are ranked exactly, and read twice as a stream.

\b
  m3kit mine passages.jsonl --queries train.jsonl --to mined.jsonl
  m3kit mine docs/ --from headings --mode all --to mined.jsonl
  m3kit mine --queries train.jsonl --in my-index --reranker BAAI/bge-reranker-v2-m3 \\
      --margin 1 --to mined.jsonl
"""

SCORE = """
\b
  m3kit score mined.jsonl --to scored.jsonl
"""

MCP = """
\b
Tools: search, explain, get, count, list_fields; with --write also add and delete. A client that
starts the server itself is configured with
  {"mcpServers": {"papers": {"command": "m3kit", "args": ["mcp", "--in", "/path/to/index"]}}}
With --http, clients connect to http://127.0.0.1:8080/mcp.
"""

PLAYGROUND = """
\b
The page ranks by dense, sparse and ColBERT side by side and by their weighted sum,
whose weights are sliders; it shows why a document is where it is. Judgements go to
  DIR/qrels.trec, DIR/queries.jsonl      TREC's qrels, and the queries' texts
which `m3kit evaluate DIR --index INDEX --weights FILE` measures; the page saves FILE.
The server listens on loopback alone. Ctrl C ends it.
"""
