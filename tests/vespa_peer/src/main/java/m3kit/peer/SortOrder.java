package m3kit.peer;

import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.SortField;
import com.ibm.icu.text.Collator;
import com.ibm.icu.util.ULocale;
import com.yahoo.document.datatypes.BoolFieldValue;
import com.yahoo.document.datatypes.FieldValue;
import com.yahoo.document.datatypes.NumericFieldValue;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Locale;
import java.util.regex.Pattern;

/** One key of an "order by". As in a content node, a missing number sorts as the least, and a missing string as "". */
final class SortOrder implements Comparator<Ranking.Ranked> {

    private static final Pattern KEY = Pattern.compile("(?:(uca|lowercase)\\()?([\\w\\[\\].]+)(?:,([\\w-]+),(\\w+))?\\)?");
    private static final Comparator<String> BYTES = (a, b) ->
            Arrays.compareUnsigned(a.getBytes(StandardCharsets.UTF_8), b.getBytes(StandardCharsets.UTF_8));

    private final boolean byRank;
    private final Comparator<Ranking.Ranked> comparator;

    SortOrder(SortField sort, Catalog catalog) {
        var key = KEY.matcher(sort.getField());
        if ( ! key.matches()) throw new IllegalArgumentException("The peer does not sort by '" + sort.getField() + "'");
        String field = key.group(2);
        this.byRank = field.equals("[rank]");
        Comparator<Ranking.Ranked> ascending = byRank ? Comparator.comparingDouble(hit -> hit.score) : ascending(field, catalog, text(key));
        this.comparator = sort.getAscending() ? ascending : ascending.reversed();
    }

    boolean byRank() { return byRank; }

    @Override public int compare(Ranking.Ranked a, Ranking.Ranked b) { return comparator.compare(a, b); }

    private static Comparator<Ranking.Ranked> ascending(String field, Catalog catalog, Comparator<String> text) {
        var attribute = catalog.attributes().get(field);
        if (attribute == null || ! FieldValues.single(attribute))
            throw new IllegalArgumentException("The peer does not sort by '" + field + "': it is not an attribute of one value");
        if (FieldValues.string(attribute)) return Comparator.comparing(hit -> string(value(hit, field)), text);
        if (FieldValues.integer(attribute)) return Comparator.comparingLong(hit -> integer(value(hit, field)));
        return Comparator.comparingDouble(hit -> real(value(hit, field)));
    }

    private static Comparator<String> text(java.util.regex.Matcher key) {
        if (key.group(1) == null) return BYTES;
        if (key.group(1).equals("lowercase")) return Comparator.comparing(text -> text.toLowerCase(Locale.ROOT), BYTES);
        Collator collator = Collator.getInstance(new ULocale(key.group(3)));
        collator.setStrength(switch (key.group(4)) {
            case "PRIMARY" -> Collator.PRIMARY;
            case "SECONDARY" -> Collator.SECONDARY;
            case "TERTIARY" -> Collator.TERTIARY;
            case "QUATERNARY" -> Collator.QUATERNARY;
            case "IDENTICAL" -> Collator.IDENTICAL;
            default -> throw new IllegalArgumentException("The peer does not sort by " + key.group());
        });
        return collator::compare;
    }

    private static FieldValue value(Ranking.Ranked hit, String field) { return hit.features.document().getFieldValue(field); }

    private static String string(FieldValue value) { return value == null ? "" : value.toString(); }

    private static long integer(FieldValue value) {
        return value instanceof NumericFieldValue number ? number.getNumber().longValue() : Long.MIN_VALUE;
    }

    private static double real(FieldValue value) {
        if (value instanceof BoolFieldValue bool) return bool.getBoolean() ? 1 : 0;
        return value instanceof NumericFieldValue number ? number.getNumber().doubleValue() + 0.0 : Double.NEGATIVE_INFINITY;
    }

}
