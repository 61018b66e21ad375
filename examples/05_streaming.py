"""Encode more texts than fit in memory: an iterator in, an iterator out, in order."""

from collections.abc import Iterator

from m3kit.torch import TorchEncoder

encoder = TorchEncoder.from_pretrained("tiny")


def texts() -> Iterator[str]:
    """Stand in for a file of any size."""
    for number in range(2000):
        yield f"row {number} of the table " * (number % 7 + 1)


texts_seen = tokens_weighted = 0
for output in encoder.encode(texts(), reps=["sparse"]):
    assert output.sparse is not None
    texts_seen += 1
    tokens_weighted += len(output.sparse)
print(texts_seen, tokens_weighted > texts_seen)

# 2000 True
