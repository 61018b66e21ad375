package m3kit.peer;

import com.yahoo.document.Document;
import com.yahoo.document.datatypes.Array;
import com.yahoo.document.datatypes.FieldValue;
import com.yahoo.document.datatypes.NumericFieldValue;
import com.yahoo.document.datatypes.StringFieldValue;
import com.yahoo.document.datatypes.WeightedSet;
import com.yahoo.vespa.config.search.AttributesConfig.Attribute;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What a document holds in an attribute, as a content node reads it. */
final class FieldValues {

    record Weighted(FieldValue value, int weight) {}

    private static final List<Weighted> NO_STRING = List.of(new Weighted(new StringFieldValue(""), 1));

    private FieldValues() {}

    /** The values of an attribute with their weights. A missing string is "", and a missing number is no value. */
    static List<Weighted> of(Document document, Attribute attribute) {
        FieldValue value = document.getFieldValue(attribute.name());
        List<Weighted> values = new ArrayList<>();
        if (value instanceof WeightedSet<?> set) for (FieldValue key : set.keySet()) values.add(new Weighted(key, set.get(key)));
        else if (value instanceof Array<?> array) for (FieldValue element : array.getValues()) values.add(new Weighted(element, 1));
        else if (value != null) values.add(new Weighted(value, 1));
        else if (string(attribute) && single(attribute)) return NO_STRING;
        return values;
    }

    static boolean single(Attribute attribute) { return attribute.collectiontype() == Attribute.Collectiontype.SINGLE; }

    static boolean string(Attribute attribute) { return attribute.datatype() == Attribute.Datatype.STRING; }

    static boolean integer(Attribute attribute) {
        return switch (attribute.datatype()) {
            case INT8, INT16, INT32, INT64 -> true;
            default -> false;
        };
    }

    static boolean number(Attribute attribute) {
        return integer(attribute) || attribute.datatype() == Attribute.Datatype.FLOAT || attribute.datatype() == Attribute.Datatype.DOUBLE;
    }

    static boolean cased(Attribute attribute) { return attribute.match() == Attribute.Match.CASED; }

    static String folded(Attribute attribute, String text) { return cased(attribute) ? text : text.toLowerCase(Locale.ROOT); }

    /** The text by which a string or a whole number is found; equal values have equal texts. */
    static String key(Attribute attribute, FieldValue value) {
        return value instanceof NumericFieldValue number ? Long.toString(number.getNumber().longValue())
                                                         : folded(attribute, value.toString());
    }

}
