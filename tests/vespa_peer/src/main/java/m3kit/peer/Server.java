package m3kit.peer;

import com.yahoo.application.Networking;
import com.yahoo.application.container.JDisc;
import com.yahoo.config.model.provision.SingleNodeProvisioner;
import com.yahoo.config.provision.Capacity;
import com.yahoo.config.provision.ClusterSpec;
import com.yahoo.config.provision.HostSpec;
import com.yahoo.config.provision.NetworkPorts;
import com.yahoo.config.provision.ProvisionLogger;
import com.yahoo.io.IOUtils;
import com.yahoo.vespa.model.VespaModel;
import com.yahoo.vespa.model.search.IndexedSearchCluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/** Vespa's own container for an application package, next to our content node, in one process. */
final class Server {

    private Server() {}

    /** @param scratch a folder of the server's own, deleted when it ends */
    static void serve(Path application, int port, Path scratch) throws Exception {
        System.setProperty("vespa.local", "true");            // the model then makes a dispatcher with a fixed list of nodes
        Runtime.getRuntime().addShutdownHook(new Thread(() -> IOUtils.recursiveDeleteDir(scratch.toFile())));
        Path copy = scratch.resolve("application");
        copy(application, copy);
        List<String> clusters = Services.adapt(copy.resolve("services.xml").toFile(), port);
        VespaModel model = Deployment.model(copy.toFile(), new ArrayList<>(), new OneHost(clusters, port + 1));
        for (var cluster : model.getSearchClusters()) {
            if ( ! (cluster instanceof IndexedSearchCluster indexed))
                throw new IllegalArgumentException("The peer does not stream: content cluster '" + cluster.getClusterName() + "'");
            var catalogs = Catalog.of(cluster);
            catalogs.values().forEach(Catalog::requireAllDone);
            Corpus.SHARED.add(cluster.getClusterName(), catalogs);
            ContentNode.start(indexed, catalogs, Corpus.SHARED);
        }
        JDisc.fromPath(copy, Networking.enable, model.configModelRepo());
        System.out.println("READY http://localhost:" + port);
        Thread.currentThread().join();
    }

    /** The one host of the model. The node of each content cluster gets a port near ours, so that peers can run side by side. */
    private static final class OneHost extends SingleNodeProvisioner {

        private final Optional<NetworkPorts> ports;

        OneHost(List<String> clusters, int first) {
            this.ports = Optional.of(new NetworkPorts(IntStream.range(0, clusters.size()).mapToObj(i -> new NetworkPorts.Allocation(
                    first + i, "searchnode", clusters.get(i) + "/search/cluster." + clusters.get(i) + "/0", "rpc")).toList()));
        }

        @Override public HostSpec allocateHost(String alias) { return super.allocateHost(alias).withPorts(ports); }

        @Override public List<HostSpec> prepare(ClusterSpec cluster, Capacity capacity, ProvisionLogger logger) {
            return super.prepare(cluster, capacity, logger).stream().map(host -> host.withPorts(ports)).toList();
        }

    }

    private static void copy(Path from, Path to) throws IOException {
        try (var files = Files.walk(from)) {
            files.forEach(file -> {
                try {
                    Path target = to.resolve(from.relativize(file).toString());
                    if (Files.isDirectory(file)) Files.createDirectories(target);
                    else Files.copy(file, target);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
        }
    }

}
