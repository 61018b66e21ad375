"""The playground's page and what it asks the server for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, Literal, TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import RedirectResponse, Response

from m3kit._html import style_sheet
from m3kit.encoder import ReadsTokens
from m3kit.fields import sample_fields
from m3kit.filter_json import filter_from_json
from m3kit.index import HybridIndex, check_reps
from m3kit.qrels import QRELS, JudgementFolder
from m3kit.server.blocking import BlockingModel
from m3kit.server.errors import RequestError, invalid, unsupported
from m3kit.server.explaining import explain_document, token_reader
from m3kit.server.formats import json_bytes, json_response
from m3kit.server.logs import log_error
from m3kit.server.playground.candidates import find_candidates
from m3kit.server.playground.options import Playground
from m3kit.server.playground.passages import passages
from m3kit.server.service import Service
from m3kit.vectors import REPS, Rep
from m3kit.with_colbert import WithColbert

_T = TypeVar("_T")

_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}

_HEADERS: Mapping[str, str] = {
    "cache-control": "no-cache",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Nothing on the page comes from elsewhere, and no markup in a text could run."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class CandidatesBody(_Body):
    """A query whose candidates the page ranks."""

    query: str
    where: dict[str, Any] | None = None


class PairBody(_Body):
    """A query and a document."""

    query: str
    id: str


class JudgementBody(PairBody):
    """A judgement: 1 for an answer, 0 for none, null to take it back."""

    grade: Literal[0, 1] | None


def router(service: Service, options: Playground) -> APIRouter:
    """
    Return the page's endpoints over a service with an index.

    Raises:
        RepresentationError: If the options name a representation that is not to be had.
    """
    index = service.index
    if index is None:
        raise ValueError("a playground looks into an index; give index=")
    reps = _reps(service, index, options)
    judged = None if options.judgements is None else JudgementFolder(options.judgements)
    reader = service.encoder if isinstance(service.encoder, ReadsTokens) else None
    routes = APIRouter(include_in_schema=False)
    _add_assets(routes)

    @routes.get("/playground/about")
    async def about(request: Request) -> Response:
        """Say what the index holds and where the sliders stand."""
        with _reaching_index(request):
            known = await service.run(lambda: (index.count(), sample_fields(index)))
        count, fields = known
        return json_response(
            {
                "address": options.address,
                "model": service.encoder.model,
                "count": count,
                "reps": reps,
                "weights": {rep: options.weights.weight(rep) for rep in reps},
                "candidates": options.candidates,
                "fields": [field.to_json() for field in fields],
                "judgements": None if judged is None else str(judged.path),
                "explains": reader is not None,
            }
        )

    @routes.post("/playground/search")
    async def search(body: CandidatesBody, request: Request) -> Response:
        """Return the candidates of a query with all their scores, in the order of their ids."""
        service.check_texts([body.query])
        model = BlockingModel(service, request.scope["m3kit"])
        with _reaching_index(request):
            answer = await service.run(lambda: candidates(model, body))
        grades = {} if judged is None else await _short(service, lambda: judged.grades(body.query))
        return Response(json_bytes({**answer, "grades": grades}), media_type="application/json")

    def candidates(model: BlockingModel, body: CandidatesBody) -> dict[str, Any]:
        try:
            where = None if body.where is None else filter_from_json(body.where)
        except ValueError as error:
            raise invalid(str(error)) from error
        composed = "colbert" in reps and "colbert" not in index.reps
        searched: HybridIndex = WithColbert(index, model) if composed else index
        (query,) = model.encode_queries([body.query], reps)
        hits = find_candidates(searched, query, where=where, candidates=options.candidates)
        hits.sort(key=lambda hit: hit.document.id)
        shown = passages(index, reader, query, hits)
        return {
            "hits": [
                {
                    "id": hit.document.id,
                    "scores": hit.to_json()["scores"],
                    "metadata": hit.document.metadata,
                    "passage": passage,
                }
                for hit, passage in zip(hits, shown, strict=True)
            ]
        }

    @routes.post("/playground/explain")
    async def explanation(body: PairBody, request: Request) -> Response:
        """Draw why a document answers a query."""
        tokens = token_reader(service.encoder)
        service.check_texts([body.query])
        model = BlockingModel(service, request.scope["m3kit"])
        with _reaching_index(request):
            document, explained = await service.run(
                lambda: explain_document(index, model, tokens, body.query, body.id)
            )
        html = explained.to_html(body.query, document.text)
        return Response(html, media_type="text/html; charset=utf-8", headers=_HEADERS)

    @routes.post("/playground/judge")
    async def judge(body: JudgementBody) -> Response:
        """Save a judgement, and return all of the query."""
        if judged is None:
            raise unsupported("this playground saves no judgements; start it with --judgements")
        grades = await _short(service, lambda: judged.judge(body.query, body.id, body.grade))
        return json_response({"grades": grades, "file": str(judged.path / QRELS)})

    return routes


def _add_assets(routes: APIRouter) -> None:
    folder = files("m3kit.server.playground").joinpath("static")
    assets = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assets["picture.css"] = style_sheet("picture")

    def add(path: str, name: str) -> None:
        media_type = f"{_TYPES[name.rpartition('.')[2]]}; charset=utf-8"

        @routes.get(path, name=name)
        async def asset() -> Response:
            return Response(assets[name], media_type=media_type, headers=_HEADERS)

    for name in assets:
        add("/playground" if name == "index.html" else f"/playground/{name}", name)

    @routes.get("/")
    async def start() -> Response:
        return RedirectResponse("/playground")


def _reps(service: Service, index: HybridIndex, options: Playground) -> list[Rep]:
    available = index.reps | (service.encoder.reps & {"colbert"})
    chosen = available if options.reps is None else options.reps
    check_reps(chosen, available=available)
    return [rep for rep in REPS if rep in chosen]


async def _short(service: Service, function: Callable[[], _T]) -> _T:
    """Read or write judgements in a thread."""
    try:
        return await service.run_short(function)
    except (OSError, ValueError) as error:
        raise RequestError(500, "judgements", f"the judgements cannot be used: {error}") from error


@contextmanager
def _reaching_index(request: Request) -> Iterator[None]:
    """Tell the page that the index failed, and the log why."""
    try:
        yield
    except RequestError:
        raise
    except Exception as error:
        exchange = request.scope["m3kit"]
        log_error("the index failed", error, id=exchange.id)
        raise RequestError(
            502,
            "index",
            f"the index does not answer ({type(error).__name__}); see the log at {exchange.id}",
        ) from error
