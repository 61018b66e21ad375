package m3kit.peer;

import com.yahoo.tensor.Tensor;
import com.yahoo.vespa.config.search.AttributesConfig.Attribute.Distancemetric;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The distances of the documentation's "distance-metric", and the closeness that the content node makes of each. */
record Distance(Distancemetric.Enum metric) {

    /** Closeness of a document's tensor to the query vector: of its nearest vector if the tensor holds several. NaN if it holds none. */
    double closeness(Tensor query, Tensor document) {
        double[] from = vectors(query).get(0);
        double best = Double.NaN;
        for (double[] to : vectors(document)) {
            double closeness = closeness(from, to);
            if ( ! (best >= closeness)) best = closeness;
        }
        return best;
    }

    double distance(double closeness) {
        return metric == Distancemetric.DOTPRODUCT ? -closeness : 1 / closeness - 1;
    }

    double leastCloseness() { return metric == Distancemetric.DOTPRODUCT ? -Double.MAX_VALUE : 0; }

    private double closeness(double[] q, double[] d) {
        double dot = dot(q, d);
        return switch (metric) {
            case DOTPRODUCT -> dot;
            case EUCLIDEAN -> 1 / (1 + Math.sqrt(Math.max(0, dot(q, q) - 2 * dot + dot(d, d))));
            case ANGULAR -> 1 / (1 + Math.acos(cosine(dot / Math.sqrt(squared(q) * squared(d)))));
            case PRENORMALIZED_ANGULAR, INNERPRODUCT -> 1 / (2 - cosine(dot / squared(q)));
            default -> throw new IllegalArgumentException("The peer does not know the distance metric " + metric);
        };
    }

    /** The squared length, of which a vector of zeros has 1, so that its angle to all others is a right one. */
    private static double squared(double[] vector) {
        double sum = dot(vector, vector);
        return sum > 0 ? sum : 1;
    }

    private static double cosine(double value) { return Math.max(-1, Math.min(1, value)); }

    private static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) sum += a[i] * b[i];
        return sum;
    }

    /** The dense vectors of a tensor with one indexed dimension and any number of mapped ones. */
    private static List<double[]> vectors(Tensor tensor) {
        var dimensions = tensor.type().dimensions();
        int indexed = -1;
        for (int i = 0; i < dimensions.size(); i++) if (dimensions.get(i).isIndexed()) indexed = i;
        int size = dimensions.get(indexed).size().orElseThrow().intValue();
        Map<String, double[]> vectors = new HashMap<>();
        for (var cells = tensor.cellIterator(); cells.hasNext(); ) {
            var cell = cells.next();
            var label = new StringBuilder();
            for (int i = 0; i < dimensions.size(); i++) if (i != indexed) label.append(cell.getKey().label(i)).append('\0');
            double[] vector = vectors.computeIfAbsent(label.toString(), key -> new double[size]);
            vector[(int) cell.getKey().numericLabel(indexed)] = cell.getDoubleValue();
        }
        return new ArrayList<>(vectors.values());
    }

}
