"""One text, one forward pass, three representations."""

from m3kit.torch import TorchEncoder

encoder = TorchEncoder.from_pretrained("tiny")
(output,) = encoder.encode_documents(["Select the rows of a table"])

assert output.dense is not None
assert output.sparse is not None
assert output.colbert is not None

print("dense", output.dense.shape)
print("colbert", output.colbert.shape)  # a row for each token except the first

tokens = dict(encoder.document_tokens("Select the rows of a table"))
weights = output.sparse.to_dict()
for token in sorted(weights, key=lambda token: -weights[token])[:3]:
    print(f"{tokens[token]} {weights[token]:.2f}")

(dense_only,) = encoder.encode_queries(["rows"], reps=["dense"])  # nothing else is computed
print(sorted(dense_only.reps))

# dense (256,)
# colbert (7, 256)
# ▁rows 0.71
# ▁table 0.50
# ▁select 0.40
# ['dense']
