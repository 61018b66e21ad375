package m3kit.peer;

import com.yahoo.document.datatypes.FieldValue;
import com.yahoo.document.datatypes.NumericFieldValue;
import com.yahoo.vespa.config.search.AttributesConfig.Attribute.Datatype;

import java.util.function.Predicate;
import java.util.regex.Pattern;

/**
 * A number or a range in a query, and which values of a numeric attribute it matches.
 * The steps are those of QueryTermSimple and NumericRangeMatcher in Vespa's searchlib, surprises included: a number that
 * is not whole equals the integer it is rounded to, and a range that is open at one end is compared as doubles.
 */
record NumericTerm(boolean whole, long low, long high, double realLow, double realHigh, boolean lowIncluded, boolean highIncluded) {

    private static final Pattern NUMBER = Pattern.compile("[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?");
    private static final Pattern WHOLE = Pattern.compile("[+-]?\\d{1,18}");

    static NumericTerm of(long number) { return range(number, true, number, true); }

    static NumericTerm of(double number) { return range(number, true, number, true); }

    static NumericTerm range(long low, boolean lowIncluded, long high, boolean highIncluded) {
        return new NumericTerm(true, low, high, low, high, lowIncluded, highIncluded);
    }

    static NumericTerm range(double low, boolean lowIncluded, double high, boolean highIncluded) {
        return new NumericTerm(false, 0, 0, low, high, lowIncluded, highIncluded);
    }

    /** The number that a word says, or null if it says none. */
    static NumericTerm of(String word) {
        if (word.matches("[<>\\[].*")) throw new IllegalArgumentException("The peer does not know ranges in words: '" + word + "'");
        if (WHOLE.matcher(word).matches()) return of(Long.parseLong(word));
        return NUMBER.matcher(word).matches() ? of(Double.parseDouble(word)) : null;
    }

    /** @param single whether the attribute holds one value, of which the least is kept for "no value" */
    Predicate<FieldValue> on(Datatype.Enum type, boolean single) {
        return switch (type) {
            case INT8 -> integers(Byte.MIN_VALUE, Byte.MAX_VALUE, single);
            case INT16 -> integers(Short.MIN_VALUE, Short.MAX_VALUE, single);
            case INT32 -> integers(Integer.MIN_VALUE, Integer.MAX_VALUE, single);
            case INT64 -> integers(Long.MIN_VALUE, Long.MAX_VALUE, single);
            case FLOAT -> {
                float from = lowIncluded ? (float) realLow : Math.nextUp((float) realLow);
                float to = highIncluded ? (float) realHigh : Math.nextDown((float) realHigh);
                yield value -> from <= number(value).floatValue() && number(value).floatValue() <= to;
            }
            case DOUBLE -> value -> leastReal() <= number(value).doubleValue() && number(value).doubleValue() <= mostReal();
            default -> throw new IllegalArgumentException("The peer does not compare numbers with attributes of type " + type);
        };
    }

    private Predicate<FieldValue> integers(long min, long max, boolean single) {
        long least = least(), most = most();
        boolean adjusted = least < min || least > max || most < min || most > max;
        long from = Math.max(min, Math.min(max, least)), to = Math.max(min, Math.min(max, most));
        if (from == to && adjusted) return value -> false;
        long first = single && from == min ? from + 1 : from;
        return value -> first <= number(value).longValue() && number(value).longValue() <= to;
    }

    private long least() {
        if (whole) return lowIncluded ? low : low + 1;
        return roundable() ? rounded() : (long) Math.ceil(leastReal());
    }

    private long most() {
        if (whole) return highIncluded ? high : high - 1;
        return roundable() ? rounded() : (long) Math.floor(mostReal());
    }

    private double leastReal() { return lowIncluded ? realLow : Math.nextUp(realLow); }

    private double mostReal() { return highIncluded ? realHigh : Math.nextDown(realHigh); }

    private boolean roundable() { return leastReal() == mostReal() && Math.abs(leastReal()) < 0x1p63; }

    /** To the nearest, and halves away from zero. */
    private long rounded() { return (long) Math.copySign(Math.floor(Math.abs(leastReal()) + 0.5), leastReal()); }

    private static Number number(FieldValue value) { return ((NumericFieldValue) value).getNumber(); }

}
