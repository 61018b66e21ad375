"""Plain HTTP to a peer, so that a test shows what is sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

Json = dict[str, Any]
_DOCUMENTS = "/document/v1/paper/paper/docid"


class RefusedError(Exception):
    """Vespa answered with an error."""


@dataclass(frozen=True)
class Client:
    """Ask a peer that serves the package beside this file."""

    url: str

    def call(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(self.url + path, data, headers, method=method)  # noqa: S310  # a peer's
        try:
            with urlopen(request, timeout=60) as answer:  # noqa: S310  # a peer's
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def search(self, where: str, profile: str = "unranked", **more: Any) -> Json:
        """Search and return the answer's root."""
        yql = f"select * from paper where {where}"  # noqa: S608  # a test's own words
        body = {"yql": yql, "ranking": profile, "hits": 1000, "timeout": "20s", **more}
        _, answer = self.call("POST", "/search/", body)
        root: Json = answer["root"]
        if "errors" in root:
            raise RefusedError(json.dumps(root["errors"]))
        return root

    def hits(self, where: str, profile: str = "unranked", **more: Any) -> list[Json]:
        hits: list[Json] = self.search(where, profile, **more).get("children", [])
        return hits

    def ids(self, where: str, profile: str = "unranked", **more: Any) -> list[str]:
        return [hit["fields"]["id"] for hit in self.hits(where, profile, **more)]

    def scores(self, where: str, profile: str, **more: Any) -> dict[str, float]:
        """Return the scores by id, in the order of the hits."""
        hits = self.hits(where, profile, **more)
        return {hit["fields"]["id"]: hit["relevance"] for hit in hits}

    def put(self, key: str, fields: Json, query: str = "") -> None:
        self.document("POST", f"{key}", {"fields": fields}, query)

    def document(self, method: str, key: str, body: Json | None = None, query: str = "") -> Json:
        status, answer = self.call(method, f"{_DOCUMENTS}/{quote(key, safe='')}{query}", body)
        if status != 200:
            raise RefusedError(f"{status} {json.dumps(answer)}")
        return answer

    def fields(self, key: str) -> Json:
        fields: Json = self.document("GET", key)["fields"]
        return fields

    def visit(self, **parameters: object) -> list[list[str]]:
        """Visit to the end, and return the document ids of each page."""
        pages, following = [], "&cluster=papers"
        while True:
            query = "&".join(f"{name}={quote(str(value))}" for name, value in parameters.items())
            status, answer = self.call("GET", f"{_DOCUMENTS}?{query}{following}")
            if status != 200:
                raise RefusedError(f"{status} {json.dumps(answer)}")
            pages.append([document["id"] for document in answer["documents"]])
            if "continuation" not in answer:
                return pages
            following = f"&cluster=papers&continuation={answer['continuation']}"
