"""
The server under load, beside the encoder itself: 64 clients on loopback, texts of mixed lengths.

    python -m benchmarks.serve                      # tiny and two layers of full size, seconds
    OMP_NUM_THREADS=1 python -m benchmarks.serve --seconds 120 --model tiny

Load and the offline encoder, on the same texts in a process of its own, take turns, as machines do
not keep their speed. Throughput is a ratio of both, by the clock and by the CPU seconds of the
server's and the encoder's processes: on a small machine the clients take time from the server.
With one thread for the model (OMP_NUM_THREADS=1), another core is left for them. Where
FlagEmbedding is installed, a plain FastAPI wrapper around it is measured beside, for one round.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import multiprocessing
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from m3kit.vectors import REPS

CLIENTS = 64
TEXTS = 8
"""Of a request, on average."""


@dataclass(slots=True)
class Load:
    """What the clients saw."""

    seconds: float = 0.0
    tokens: int = 0
    texts: int = 0
    cpu: float = 0.0  # seconds of the server's process
    latencies: list[float] = field(default_factory=list)
    busy: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    memory: list[float] = field(default_factory=list)  # MiB, of the server


@dataclass(slots=True)
class Offline:
    """What the encoder computed without a server."""

    seconds: float = 0.0
    tokens: int = 0
    cpu: float = 0.0


def main() -> None:
    """Measure each model, and print a table."""
    arguments = _arguments()
    from benchmarks.full_size import checkpoint
    from benchmarks.machine import describe, to_line

    print(to_line(describe()))
    print(f"{CLIENTS} clients, {arguments.seconds} s, answers as {arguments.accept}")
    print(
        "| model | server | of offline, by the clock | by CPU | texts/s | p50 s | p99 s | 503 "
        "| errors | MiB, by quarters |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    models = {"tiny": "tiny", f"{arguments.layers} layers": str(checkpoint(arguments.layers))}
    for name, model in models.items():
        if arguments.model in {None, name}:
            _measure(name, model, arguments)


def _measure(name: str, model: str, arguments: argparse.Namespace) -> None:
    from benchmarks.full_size import mixed_texts

    texts = mixed_texts(4096, longest=250)
    requests = _requests(texts)
    servers: list[tuple[str, Callable[[str, int], None], int]] = [
        ("m3kit", serve_m3kit, arguments.rounds)
    ]
    if find_spec("FlagEmbedding"):
        servers.append(("FastAPI and FlagEmbedding", serve_flag_embedding, 1))
    seconds = arguments.seconds / arguments.rounds
    for server, serve, rounds in servers:
        load, offline = Load(), Offline()
        with _encoder(model, texts, arguments.reps) as encode, _process(serve, model) as (url, pid):
            source = itertools.cycle(requests)
            encode(1.0)  # warms up
            for _ in range(rounds):
                _add(offline, encode(seconds / 4))
                asyncio.run(_drive(url, pid, source, load, arguments))
            _add(offline, encode(seconds / 4))
        _print(name, server, load, offline)


@contextlib.contextmanager
def _encoder(model: str, texts: Sequence[str], reps: str) -> Iterator[Callable[[float], Offline]]:
    """Load the encoder in a process of its own; yield what lets it compute for some seconds."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, _load, (model, texts, reps)) as pool:
        yield lambda seconds: pool.apply(_compute, (seconds,))


def _load(model: str, texts: Sequence[str], reps: str) -> None:
    from m3kit.torch import TorchEncoder

    encoder = TorchEncoder.from_pretrained(model)
    batches = itertools.cycle(_cut(texts))
    sizes = {
        text: len(ids.ids) for text, ids in zip(texts, encoder.document_ids(texts), strict=True)
    }

    def encode() -> int:
        batch = next(batches)
        encoder.encode_documents(batch, [rep for rep in REPS if rep in reps])
        return sum(sizes[text] for text in batch)

    global _encode  # noqa: PLW0603  # of the process
    _encode = encode


_encode: Callable[[], int]


def _compute(seconds: float) -> Offline:
    done, start, cpu = Offline(), time.perf_counter(), time.process_time()
    while done.seconds < seconds:
        done.tokens += _encode()
        done.seconds = time.perf_counter() - start
    done.cpu = time.process_time() - cpu
    return done


def _add(total: Offline, part: Offline) -> None:
    total.tokens += part.tokens
    total.seconds += part.seconds
    total.cpu += part.cpu


def _cut(texts: Sequence[str]) -> list[list[str]]:
    return [list(texts[start : start + 256]) for start in range(0, len(texts), 256)]


def _requests(texts: Sequence[str]) -> list[list[str]]:
    """Cut texts into requests of 1 to 16 texts."""
    random, requests, start = np.random.default_rng(11), [], 0
    while start < len(texts):
        size = int(random.integers(1, 2 * TEXTS))
        requests.append(list(texts[start : start + size]))
        start += size
    return requests


async def _drive(
    url: str, pid: int, source: Iterator[list[str]], load: Load, arguments: argparse.Namespace
) -> None:
    """Keep all clients busy for a round."""
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        await _warm(client, arguments)
        start, cpu = time.perf_counter(), _cpu_seconds(pid)
        end = start + arguments.seconds / arguments.rounds

        async def client_loop() -> None:
            while time.perf_counter() < end:
                await _ask(client, next(source), load, arguments)

        watching = asyncio.create_task(_watch(pid, load, arguments.seconds))
        await asyncio.gather(*(client_loop() for _ in range(CLIENTS)))
        load.seconds += time.perf_counter() - start
        load.cpu += _cpu_seconds(pid) - cpu
        watching.cancel()


async def _warm(client: httpx.AsyncClient, arguments: argparse.Namespace) -> None:
    for _ in range(3):
        await _ask(client, ["a text that warms up"] * 16, Load(), arguments)


async def _ask(
    client: httpx.AsyncClient, texts: list[str], load: Load, arguments: argparse.Namespace
) -> None:
    start = time.perf_counter()
    body = {"texts": texts, "reps": arguments.reps.split(",")}
    try:
        response = await client.post("/encode", json=body, headers={"accept": arguments.accept})
    except httpx.HTTPError as error:
        load.errors[type(error).__name__] += 1
        return
    if response.status_code == 503:
        load.busy += 1
        await asyncio.sleep(float(response.headers["retry-after"]))
        return
    if response.status_code != 200:
        load.errors[str(response.status_code)] += 1
        return
    load.latencies.append(time.perf_counter() - start)
    load.texts += len(texts)
    load.tokens += _answered_tokens(response)


def _answered_tokens(response: httpx.Response) -> int:
    if "msgpack" in response.headers["content-type"]:
        import msgpack

        return int(msgpack.unpackb(response.content)["tokens"])
    return int(response.json()["tokens"])


async def _watch(pid: int, load: Load, seconds: float) -> None:
    while True:
        load.memory.append(_resident(pid))
        await asyncio.sleep(max(0.5, seconds / 20))


def _cpu_seconds(pid: int) -> float:
    path = Path(f"/proc/{pid}/stat")
    if not path.exists():
        return float("nan")
    user, system = path.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    path = Path(f"/proc/{pid}/statm")
    if not path.exists():
        return float("nan")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _print(model: str, server: str, load: Load, offline: Offline) -> None:
    if not load.latencies:
        print(f"| {model} | {server} | no answer, {dict(load.errors)} |")
        return
    p50, p99 = np.percentile(load.latencies, [50, 99])
    last = len(load.memory) - 1
    memory = "→".join(f"{load.memory[last * part // 4]:.0f}" for part in range(1, 5))
    clock = load.tokens / load.seconds / (offline.tokens / offline.seconds)
    cpu = load.tokens / load.cpu / (offline.tokens / offline.cpu)
    print(
        f"| {model} | {server} | {clock:.0%} | {cpu:.0%} "
        f"| {load.texts / load.seconds:.0f} | {p50:.2f} | {p99:.2f} | {load.busy} "
        f"| {dict(load.errors) or 0} "
        f"| {memory} |",
        flush=True,
    )


@contextlib.contextmanager
def _process(serve: Callable[[str, int], None], model: str) -> Iterator[tuple[str, int]]:
    """Run a server in a process of its own, on a port that is free."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(model, port))
    process.start()
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                    break
            if not process.is_alive():
                raise SystemExit("the server did not start")
            time.sleep(0.1)
        yield url, process.pid or 0
    finally:
        process.terminate()
        process.join()


def serve_m3kit(model: str, port: int) -> None:
    """Run `m3kit serve`, without its lines."""
    from m3kit.server import serve
    from m3kit.torch import TorchEncoder

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    serve(TorchEncoder.from_pretrained(model), port=port)


def serve_flag_embedding(model: str, port: int) -> None:
    """Run what people write: FastAPI around FlagEmbedding, a request after another."""
    import uvicorn
    from fastapi import FastAPI
    from FlagEmbedding import BGEM3FlagModel

    from m3kit.backend.locate import locate

    _, folder = locate(model, revision=None, cache_dir=None, progress=False)
    encoder = BGEM3FlagModel(str(folder), devices="cpu", use_fp16=False)
    app = FastAPI()

    @app.get("/health")
    def health() -> str:
        return "ok"

    @app.post("/encode")
    def encode(body: dict[str, Any]) -> dict[str, Any]:
        made = encoder.encode(
            body["texts"],
            max_length=512,
            return_dense=True,
            return_sparse="sparse" in body["reps"],
            return_colbert_vecs="colbert" in body["reps"],
        )
        ids = encoder.tokenizer(body["texts"], truncation=True, max_length=512)["input_ids"]
        tokens = sum(map(len, ids))
        answer: dict[str, Any] = {"tokens": tokens, "dense": made["dense_vecs"].tolist()}
        if "sparse" in body["reps"]:
            answer["sparse"] = [
                {token: float(weight) for token, weight in weights.items()}
                for weights in made["lexical_weights"]
            ]
        if "colbert" in body["reps"]:
            answer["colbert"] = [vectors.tolist() for vectors in made["colbert_vecs"]]
        return answer

    uvicorn.run(app, port=port, log_level="warning")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--seconds", type=float, default=10.0, help="of load")
    parser.add_argument("--layers", type=int, default=2, help="of the checkpoint of full size")
    parser.add_argument("--model", help="only this one: tiny, or '2 layers'")
    parser.add_argument("--reps", default="dense,sparse", help="of dense, sparse, colbert")
    parser.add_argument("--rounds", type=int, default=4, help="of load and the encoder in turns")
    parser.add_argument("--accept", default="application/msgpack", help="the answers' format")
    return parser.parse_args()


if __name__ == "__main__":
    main()
