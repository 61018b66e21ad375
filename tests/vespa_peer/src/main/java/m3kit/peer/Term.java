package m3kit.peer;

import com.yahoo.document.Document;

import java.util.Arrays;
import java.util.BitSet;
import java.util.function.ToDoubleFunction;

/**
 * What one leaf of the query tree says of one field. {@code raw} is its raw score for each document, NaN where it does not
 * match; {@code word} is the word it looks for in a text index, else null; {@code closeness} and {@code distance} are those
 * of a nearestNeighbor item, else null.
 */
record Term(String field, int id, boolean ranked, double[] raw, String word, ToDoubleFunction<Document> closeness, Distance distance) {

    static double[] none(int documents) {
        double[] raw = new double[documents];
        Arrays.fill(raw, Double.NaN);
        return raw;
    }

    boolean matches(int document) { return ! Double.isNaN(raw[document]); }

    BitSet matches() {
        BitSet found = new BitSet();
        for (int i = 0; i < raw.length; i++) if (matches(i)) found.set(i);
        return found;
    }

    void keep(BitSet kept) {
        for (int i = 0; i < raw.length; i++) if ( ! kept.get(i)) raw[i] = Double.NaN;
    }

}
