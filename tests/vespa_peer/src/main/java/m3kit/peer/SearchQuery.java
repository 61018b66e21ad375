package m3kit.peer;

import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol;
import com.yahoo.io.GrowableByteBuffer;
import com.yahoo.tensor.Tensor;
import com.yahoo.tensor.serialization.TypedBinaryFormat;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.regex.Pattern;

/** The part that a search request and a document summary request have in common. */
record SearchQuery(SearchProtocol.QueryTreeItem root, Map<String, Tensor> tensors, Map<String, String> values) {

    /** How a content node is to go about its work. */
    private static final Pattern HARMLESS = Pattern.compile(
            "vespa\\.(label|matching|softtimeout|now|dump|hitcollector\\.(heapsize|arraysize|(secondphase\\.)?rankscoredroplimit))\\b.*");

    SearchQuery {
        for (String name : values.keySet())
            if ((name.startsWith("vespa.") || name.contains("(")) && ! HARMLESS.matcher(name).matches())
                throw new IllegalArgumentException("The peer does not know the rank property '" + name + "'");
    }

    static SearchQuery of(SearchProtocol.SearchRequest request) {
        if ( ! request.getGroupingBlob().isEmpty()) throw new IllegalArgumentException("The peer does not group");
        refuseOverrides(request.getFeatureOverridesCount() + request.getTensorFeatureOverridesCount(), request.getGeoLocation());
        return new SearchQuery(request.getQueryTree().getRoot(),
                               tensors(request.getTensorRankPropertiesList()), values(request.getRankPropertiesList()));
    }

    static SearchQuery of(SearchProtocol.DocsumRequest request) {
        if (request.getDumpFeatures()) throw new IllegalArgumentException("The peer does not list all rank features");
        refuseOverrides(request.getFeatureOverridesCount() + request.getTensorFeatureOverridesCount(), request.getGeoLocation());
        return new SearchQuery(request.getQueryTree().getRoot(),
                               tensors(request.getTensorRankPropertiesList()), values(request.getRankPropertiesList()));
    }

    /** A setting of the query, or else the profile's. */
    OptionalDouble number(String name, OptionalDouble otherwise) {
        return values.containsKey(name) ? OptionalDouble.of(Double.parseDouble(values.get(name))) : otherwise;
    }

    private static void refuseOverrides(int features, String location) {
        if (features > 0) throw new IllegalArgumentException("The peer does not let a query override rank features");
        if ( ! location.isEmpty()) throw new IllegalArgumentException("The peer knows no places");
    }

    private static Map<String, Tensor> tensors(List<SearchProtocol.TensorProperty> properties) {
        Map<String, Tensor> tensors = new HashMap<>();
        for (var property : properties) {
            var bytes = GrowableByteBuffer.wrap(property.getValue().toByteArray());
            tensors.put(property.getName(), TypedBinaryFormat.decode(Optional.empty(), bytes));
        }
        return tensors;
    }

    private static Map<String, String> values(List<SearchProtocol.StringProperty> properties) {
        Map<String, String> values = new HashMap<>();
        for (var property : properties) values.put(property.getName(), property.getValues(0));
        return values;
    }

}
