package m3kit.peer;

import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.DocsumReply;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.DocsumRequest;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.Error;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.MonitorReply;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.SearchReply;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.SearchRequest;
import com.google.protobuf.ByteString;
import com.google.protobuf.MessageLite;
import com.yahoo.compress.CompressionType;
import com.yahoo.compress.Compressor;
import com.yahoo.jrt.DataValue;
import com.yahoo.jrt.Int32Value;
import com.yahoo.jrt.Int8Value;
import com.yahoo.jrt.ListenFailedException;
import com.yahoo.jrt.Method;
import com.yahoo.jrt.Request;
import com.yahoo.jrt.Spec;
import com.yahoo.jrt.Supervisor;
import com.yahoo.jrt.Transport;
import com.yahoo.slime.BinaryFormat;
import com.yahoo.slime.Slime;
import com.yahoo.vespa.config.search.DispatchNodesConfig;
import com.yahoo.vespa.model.search.IndexedSearchCluster;

import java.util.Map;
import java.util.function.Function;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Answers Vespa's search protocol where the dispatcher of the container expects a content node (proton).
 * The protocol, its messages, tensors and rank expressions are Vespa's; matching, and the order of the phases, are ours.
 */
final class ContentNode {

    private static final Logger log = Logger.getLogger(ContentNode.class.getName());
    private static final Compressor compressor = new Compressor(CompressionType.NONE);

    /** The dispatcher reads it before it looks at the errors. */
    private static final ByteString NO_SUMMARIES = ByteString.copyFrom(BinaryFormat.encode(new Slime()));

    private ContentNode() {}

    /** Starts the one node of a cluster, at the port that the model gave it. */
    static void start(IndexedSearchCluster cluster, Map<String, Catalog> catalogs, Corpus corpus) throws ListenFailedException {
        var searches = new Searches(corpus, catalogs);
        var nodes = new DispatchNodesConfig.Builder();
        cluster.getConfig(nodes);
        var place = nodes.build().node(0);
        var server = new Supervisor(new Transport("content"));
        add(server, "ping", payload -> {
            int documents = corpus.inCluster(cluster.getClusterName()).size();
            return MonitorReply.newBuilder().setOnline(true).setDistributionKey(place.key())
                    .setActiveDocs(documents).setTargetActiveDocs(documents).build();
        });
        add(server, "search", payload -> {
            try {
                return searches.search(SearchRequest.parseFrom(payload));
            } catch (Exception | StackOverflowError e) {
                return SearchReply.newBuilder().addErrors(error("search", e)).build();
            }
        });
        add(server, "getDocsums", payload -> {
            try {
                return searches.summaries(DocsumRequest.parseFrom(payload));
            } catch (Exception | StackOverflowError e) {
                return DocsumReply.newBuilder().addErrors(error("getDocsums", e)).setSlimeSummaries(NO_SUMMARIES).build();
            }
        });
        server.listen(new Spec("localhost", place.port()));
    }

    private static Error error(String method, Throwable cause) {
        log.log(Level.WARNING, method + " failed", cause);
        return Error.newBuilder().setMessage(cause.getMessage() == null ? cause.toString() : cause.getMessage()).build();
    }

    // ---- the envelope of every call: compression, size, bytes

    private static void add(Supervisor server, String method, Function<byte[], MessageLite> answer) {
        server.addMethod(new Method("vespa.searchprotocol." + method, "bix", "bix", request -> reply(request, answer.apply(payload(request)))));
    }

    private static byte[] payload(Request request) {
        var values = request.parameters();
        return compressor.decompress(values.get(2).asData(), CompressionType.valueOf(values.get(0).asInt8()), values.get(1).asInt32());
    }

    private static void reply(Request request, MessageLite message) {
        byte[] bytes = message.toByteArray();
        request.returnValues().add(new Int8Value(CompressionType.NONE.getCode()))
                              .add(new Int32Value(bytes.length)).add(new DataValue(bytes));
    }

}
