"""
The server under load, beside the encoder itself: 64 clients on loopback, texts of mixed lengths.

    python -m benchmarks.serve                      # tiny and two layers of full size, seconds
    python -m benchmarks.serve --seconds 120 --layers 6
    OMP_NUM_THREADS=1 python -m benchmarks.serve --clock cpu        # on a busy machine

Throughput is a ratio of the offline encoder on the same texts, measured before and after the load
in the same run. Where FlagEmbedding is installed, a plain FastAPI wrapper around it is measured
beside. The clock `cpu` counts the seconds of the encoder's own process, clients left out.
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


def main() -> None:
    """Measure each model, and print a table."""
    arguments = _arguments()
    from benchmarks.full_size import checkpoint
    from benchmarks.machine import describe, to_line

    print(to_line(describe()))
    print(f"{CLIENTS} clients, {arguments.seconds} s, answers as {arguments.accept}")
    names = "model | server | of offline | texts/s | p50 s | p99 s | 503 | errors | MiB, start→end"
    print(f"| {names} |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    models = {"tiny": "tiny", f"{arguments.layers} layers": str(checkpoint(arguments.layers))}
    for name, model in models.items():
        if arguments.model in {None, name}:
            _measure(name, model, arguments)


def _measure(name: str, model: str, arguments: argparse.Namespace) -> None:
    from benchmarks.full_size import mixed_texts

    texts = mixed_texts(4096, longest=250)
    requests = _requests(texts)
    servers: list[tuple[str, Callable[[str, int], None]]] = [("m3kit", serve_m3kit)]
    if find_spec("FlagEmbedding"):
        servers.append(("FastAPI and FlagEmbedding", serve_flag_embedding))
    for server, serve in servers:
        before = _offline(model, texts, arguments)
        with _process(serve, model) as (url, pid):
            load = asyncio.run(_drive(url, pid, requests, arguments))
        offline = (before + _offline(model, texts, arguments)) / 2
        seconds = load.cpu if arguments.clock == "cpu" else load.seconds
        _print(name, server, load, load.tokens / seconds / offline)


def _offline(model: str, texts: Sequence[str], arguments: argparse.Namespace) -> float:
    """Return how many tokens the encoder computes in a second, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        seconds = min(arguments.seconds, 20.0)
        arguments_of_run = (model, texts, seconds, arguments.clock, arguments.reps)
        return pool.apply(_tokens_per_second, arguments_of_run)


def _tokens_per_second(
    model: str, texts: Sequence[str], seconds: float, clock: str, reps: str
) -> float:
    from benchmarks.machine import CLOCKS

    from m3kit.torch import TorchEncoder

    encoder = TorchEncoder.from_pretrained(model)
    encoder.encode_documents(texts[:64])
    now, done, taken = CLOCKS[clock], 0, 0.0
    end = time.perf_counter() + seconds
    for batch in itertools.cycle(_cut(texts)):
        start = now()
        encoder.encode_documents(batch, [rep for rep in REPS if rep in reps])
        taken += now() - start
        done += sum(len(tokens.ids) for tokens in encoder.document_ids(batch))
        if time.perf_counter() > end:
            break
    return done / taken


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
    url: str, pid: int, requests: Sequence[list[str]], arguments: argparse.Namespace
) -> Load:
    """Keep all clients busy until the time is up."""
    load, source = Load(), itertools.cycle(requests)
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        await _warm(client, arguments)
        start, cpu = time.perf_counter(), _cpu_seconds(pid)
        end = start + arguments.seconds

        async def client_loop() -> None:
            while time.perf_counter() < end:
                await _ask(client, next(source), load, arguments)

        watching = asyncio.create_task(_watch(pid, load, arguments.seconds))
        await asyncio.gather(*(client_loop() for _ in range(CLIENTS)))
        load.seconds = time.perf_counter() - start
        load.cpu = _cpu_seconds(pid) - cpu
        watching.cancel()
    return load


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


def _print(model: str, server: str, load: Load, ratio: float) -> None:
    if not load.latencies:
        print(f"| {model} | {server} | no answer, {dict(load.errors)} |")
        return
    p50, p99 = np.percentile(load.latencies, [50, 99])
    settled = load.memory[len(load.memory) // 4 :]
    print(
        f"| {model} | {server} | {ratio:.0%} "
        f"| {load.texts / load.seconds:.0f} | {p50:.2f} | {p99:.2f} | {load.busy} "
        f"| {dict(load.errors) or 0} "
        f"| {settled[0]:.0f}→{settled[-1]:.0f} |",
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
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--accept", default="application/msgpack", help="the answers' format")
    return parser.parse_args()


if __name__ == "__main__":
    main()
