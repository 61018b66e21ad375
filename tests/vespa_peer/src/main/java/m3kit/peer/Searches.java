package m3kit.peer;

import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.DocsumReply;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.DocsumRequest;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.Feature;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.Hit;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.SearchReply;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.SearchRequest;
import com.google.protobuf.ByteString;
import com.yahoo.document.Document;
import com.yahoo.searchlib.rankingexpression.evaluation.TensorValue;
import com.yahoo.searchlib.rankingexpression.evaluation.Value;
import com.yahoo.slime.BinaryFormat;
import com.yahoo.slime.Cursor;
import com.yahoo.slime.Slime;
import com.yahoo.tensor.serialization.TypedBinaryFormat;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** The answers to the two requests of a query: first its hits, then their summaries. */
final class Searches {

    private final Corpus corpus;
    private final Map<String, Catalog> catalogs;

    Searches(Corpus corpus, Map<String, Catalog> catalogs) {
        this.corpus = corpus;
        this.catalogs = catalogs;
    }

    SearchReply search(SearchRequest request) {
        Catalog catalog = catalog(request.getDocumentType());
        RankProfile profile = catalog.profile(request.getRankProfile());
        SearchQuery query = SearchQuery.of(request);
        var orders = request.getSortingList().stream().map(sort -> new SortOrder(sort, catalog)).toList();
        List<Document> documents = corpus.ofType(request.getDocumentType());
        var hits = Ranking.of(new Matcher(catalog, documents, query), profile, query, orders);
        int start = Math.min(request.getOffset(), hits.size()), end = Math.min(start + request.getHits(), hits.size());
        return SearchReply.newBuilder()
                .setTotalHitCount(hits.size()).setCoverageDocs(documents.size())
                .setActiveDocs(documents.size()).setTargetActiveDocs(documents.size())
                .addAllMatchFeatureNames(profile.matchFeatures.keySet())
                .addAllHits(IntStream.range(start, end).parallel().mapToObj(i -> hit(hits.get(i), i, profile, ! orders.isEmpty())).toList())
                .build();
    }

    private static Hit hit(Ranking.Ranked hit, int place, RankProfile profile, boolean sorted) {
        var out = Hit.newBuilder().setRelevance(hit.score).setGlobalId(ByteString.copyFrom(hit.features.document().getId().getGlobalId()));
        if (sorted) out.setSortData(ByteString.copyFrom(ByteBuffer.allocate(4).putInt(place).array()));
        profile.matchFeatures.values().forEach(feature -> out.addMatchFeatures(feature(feature.evaluate(hit.features))));
        return out.build();
    }

    private static Feature feature(Value value) {
        return tensor(value) ? Feature.newBuilder().setTensor(ByteString.copyFrom(TypedBinaryFormat.encode(value.asTensor()))).build()
                             : Feature.newBuilder().setNumber(value.asDouble()).build();
    }

    private static boolean tensor(Value value) { return value instanceof TensorValue tensor && tensor.type().rank() > 0; }

    DocsumReply summaries(DocsumRequest request) {
        Catalog catalog = catalog(request.getDocumentType());
        var fields = catalog.summary(request.getSummaryClass());
        RankProfile profile = catalog.profile(request.getRankProfile());
        SearchQuery query = SearchQuery.of(request);
        Slime slime = new Slime();
        Cursor list = slime.setObject().setArray("docsums");
        for (ByteString id : request.getGlobalIdsList()) {
            Document document = corpus.get(id.toByteArray());
            Cursor entry = list.addObject();
            if (document == null) continue;           // it was removed since it was found
            Cursor summary = entry.setObject("docsum");
            Summaries.write(document, fields, request.getFieldsList(), summary);
            if ( ! profile.summaryFeatures.isEmpty() && request.hasQueryTree())
                features(new Features(profile, query, new Matcher(catalog, List.of(document), query), 0), profile, summary);
        }
        return DocsumReply.newBuilder().setSlimeSummaries(ByteString.copyFrom(BinaryFormat.encode(slime))).build();
    }

    private static void features(Features values, RankProfile profile, Cursor summary) {
        Cursor features = summary.setObject("summaryfeatures");
        profile.summaryFeatures.forEach((name, feature) -> {
            Value value = feature.evaluate(values);
            if (tensor(value)) features.setData(name, TypedBinaryFormat.encode(value.asTensor()));
            else features.setDouble(name, value.asDouble());
        });
    }

    private Catalog catalog(String type) {
        Catalog catalog = catalogs.get(type);
        if (catalog == null) throw new IllegalArgumentException("No document type '" + type + "' in this content cluster");
        return catalog;
    }

}
