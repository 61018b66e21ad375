"""What Prometheus reads."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_TOKENS = (16, 64, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)


class Metrics:
    """The metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "m3kit_requests", "Requests answered.", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "m3kit_request_seconds",
            "From a request's first byte to its answer's last.",
            ["path"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.under_way = Gauge("m3kit_requests_under_way", "Requests now.", registry=registry)
        self.texts = Counter("m3kit_texts", "Texts accepted.", ["kind"], registry=registry)
        self.truncated = Counter(
            "m3kit_truncated_texts", "Texts that were longer than the limit.", registry=registry
        )
        self.batches = Counter("m3kit_batches", "Forward passes.", registry=registry)
        self.tokens = Counter("m3kit_tokens", "Tokens computed.", registry=registry)
        self.model_seconds = Counter(
            "m3kit_model_seconds", "Seconds in forward passes.", registry=registry
        )
        self.batch_tokens = Histogram(
            "m3kit_batch_tokens",
            "Tokens of a forward pass.",
            registry=registry,
            buckets=_TOKENS,
        )
        self.queue_tokens = Gauge(
            "m3kit_queue_tokens", "Tokens accepted and not yet answered.", registry=registry
        )

    def on_batch(self, _texts: int, tokens: int, seconds: float) -> None:
        """Count a forward pass."""
        self.batches.inc()
        self.tokens.inc(tokens)
        self.model_seconds.inc(seconds)
        self.batch_tokens.observe(tokens)

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self._registry)
