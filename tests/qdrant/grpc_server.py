"""As much of a server's gRPC interface as an index uses, before the REST interface of another."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import grpc
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as messages
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_client.grpc.collections_service_pb2_grpc import (
    CollectionsServicer,
    add_CollectionsServicer_to_server,
)
from qdrant_client.grpc.points_service_pb2_grpc import PointsServicer, add_PointsServicer_to_server
from qdrant_client.grpc.qdrant_pb2_grpc import QdrantServicer, add_QdrantServicer_to_server


@contextmanager
def served(url: str) -> Iterator[int]:
    """Serve what a REST server at `url` holds, and give the port."""
    with closing(QdrantClient(url, check_compatibility=False)) as client:
        server = grpc.server(ThreadPoolExecutor(8))
        add_CollectionsServicer_to_server(_Collections(client), server)  # type: ignore[no-untyped-call]  # made by gRPC
        add_PointsServicer_to_server(_Points(client), server)  # type: ignore[no-untyped-call]  # made by gRPC
        add_QdrantServicer_to_server(_Qdrant(client), server)  # type: ignore[no-untyped-call]  # made by gRPC
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield port
        server.stop(None).wait()


class _Qdrant(QdrantServicer):
    def __init__(self, client: QdrantClient) -> None:
        self.client = client

    def HealthCheck(self, _: Any, __: Any) -> Any:  # noqa: N802  # gRPC's name
        return messages.HealthCheckReply(title="qdrant", version=self.client.info().version)


class _Collections(CollectionsServicer):
    def __init__(self, client: QdrantClient) -> None:
        self.client = client

    def CollectionExists(self, request: Any, _: Any) -> Any:  # noqa: N802  # gRPC's name
        exists = messages.CollectionExists(exists=self.client.collection_exists(_name(request)))
        return messages.CollectionExistsResponse(result=exists)

    def Get(self, request: Any, _: Any) -> Any:  # noqa: N802  # gRPC's name
        info = self.client.get_collection(_name(request))
        return messages.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(info))

    def ListAliases(self, _: Any, __: Any) -> Any:  # noqa: N802  # gRPC's name
        return messages.ListAliasesResponse()

    def Delete(self, request: Any, _: Any) -> Any:  # noqa: N802  # gRPC's name
        self.client.delete_collection(_name(request))
        return messages.CollectionOperationResponse(result=True)

    def Create(self, request: Any, _: Any) -> Any:  # noqa: N802  # gRPC's name
        self.client.create_collection(
            _name(request),
            vectors_config=GrpcToRest.convert_vectors_config(request.vectors_config),
            sparse_vectors_config=GrpcToRest.convert_sparse_vector_config(
                request.sparse_vectors_config
            ),
            metadata=GrpcToRest.convert_payload(request.metadata),
        )
        return messages.CollectionOperationResponse(result=True)


class _Points(PointsServicer):
    def __init__(self, client: QdrantClient) -> None:
        self.client = client

    def CreateFieldIndex(self, request: Any, _: Any) -> Any:  # noqa: N802  # gRPC's name
        keyword = models.PayloadSchemaType.KEYWORD
        self.client.create_payload_index(_name(request), request.field_name, keyword)
        return _done()

    def Upsert(self, request: Any, _: Any) -> Any:  # noqa: N802  # gRPC's name
        points = [GrpcToRest.convert_point_struct(point) for point in request.points]
        self.client.upsert(_name(request), points, wait=True)
        return _done()

    def Delete(self, request: Any, _: Any) -> Any:  # noqa: N802  # gRPC's name
        where = GrpcToRest.convert_filter(request.points.filter)
        self.client.delete(_name(request), models.FilterSelector(filter=where), wait=True)
        return _done()

    def QueryBatch(self, request: Any, _: Any) -> Any:  # noqa: N802  # gRPC's name
        queries = [GrpcToRest.convert_query_points(entry) for entry in request.query_points]
        answers = self.client.query_batch_points(_name(request), queries)
        return messages.QueryBatchResponse(
            result=[
                messages.BatchResult(
                    result=[RestToGrpc.convert_scored_point(entry) for entry in answer.points]
                )
                for answer in answers
            ]
        )

    def Get(self, request: Any, _: Any) -> Any:  # noqa: N802  # gRPC's name
        records = self.client.retrieve(
            _name(request),
            [GrpcToRest.convert_point_id(entry) for entry in request.ids],
            with_payload=GrpcToRest.convert_with_payload_selector(request.with_payload),
            with_vectors=GrpcToRest.convert_with_vectors_selector(request.with_vectors),
        )
        return messages.GetResponse(result=[RestToGrpc.convert_record(entry) for entry in records])

    def Scroll(self, request: Any, _: Any) -> Any:  # noqa: N802  # gRPC's name
        page, following = self.client.scroll(
            _name(request),
            scroll_filter=_where(request),
            limit=request.limit,
            offset=GrpcToRest.convert_point_id(request.offset)
            if request.HasField("offset")
            else None,
            with_payload=GrpcToRest.convert_with_payload_selector(request.with_payload),
            with_vectors=GrpcToRest.convert_with_vectors_selector(request.with_vectors),
        )
        return messages.ScrollResponse(
            result=[RestToGrpc.convert_record(record) for record in page],
            next_page_offset=None
            if following is None
            else RestToGrpc.convert_extended_point_id(following),
        )

    def Count(self, request: Any, _: Any) -> Any:  # noqa: N802  # gRPC's name
        counted = self.client.count(_name(request), _where(request), exact=request.exact)
        return messages.CountResponse(result=messages.CountResult(count=counted.count))


def _name(request: Any) -> str:
    return str(request.collection_name)


def _where(request: Any) -> models.Filter | None:
    return GrpcToRest.convert_filter(request.filter) if request.HasField("filter") else None


def _done() -> Any:
    done = messages.UpdateResult(operation_id=0, status=messages.UpdateStatus.Completed)
    return messages.PointsOperationResponse(result=done)
