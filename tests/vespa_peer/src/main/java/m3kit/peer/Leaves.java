package m3kit.peer;

import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.ItemFloatingPointRangeTerm;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.ItemIntegerRangeTerm;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.ItemNearestNeighbor;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.PureWeightedLong;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.PureWeightedString;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.QueryTreeItem;
import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.TermItemProperties;
import com.yahoo.document.Document;
import com.yahoo.document.datatypes.BoolFieldValue;
import com.yahoo.document.datatypes.FieldValue;
import com.yahoo.document.datatypes.TensorFieldValue;
import com.yahoo.tensor.Tensor;
import com.yahoo.vespa.config.search.AttributesConfig.Attribute;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;

/** The leaves of one query tree, matched against documents. What the peer does not know is an error, never an empty answer. */
final class Leaves {

    final List<Term> terms = new ArrayList<>();

    private final Catalog catalog;
    private final List<Document> documents;
    private final SearchQuery query;
    private final Map<String, List<List<FieldValues.Weighted>>> values = new HashMap<>();
    private final Map<String, TextIndex> texts = new HashMap<>();

    Leaves(Catalog catalog, List<Document> documents, SearchQuery query) {
        this.catalog = catalog;
        this.documents = documents;
        this.query = query;
    }

    TextIndex text(String field) { return texts.computeIfAbsent(field, f -> new TextIndex(documents, f)); }

    BitSet match(QueryTreeItem item, BitSet within) {
        return switch (item.getItemCase()) {
            case ITEM_WORD_TERM -> {
                var term = item.getItemWordTerm();
                yield word(term.getProperties(), term.getWord(), within);
            }
            case ITEM_EXACTSTRING_TERM -> {
                var term = item.getItemExactstringTerm();
                yield word(term.getProperties(), term.getWord(), within);
            }
            case ITEM_PREFIX_TERM -> {
                var term = item.getItemPrefixTerm();
                yield strings(term.getProperties(), within, attribute -> {
                    String prefix = FieldValues.folded(attribute, term.getWord());
                    return text -> text.startsWith(prefix);
                });
            }
            case ITEM_REGEXP -> {
                var term = item.getItemRegexp();
                yield values(term.getProperties(), within, attribute -> {
                    if ( ! FieldValues.string(attribute)) throw unsuited("a regular expression", attribute);
                    Predicate<String> regex = Regex.of(term.getRegexp(), FieldValues.cased(attribute));
                    return value -> regex.test(value.toString());
                });
            }
            case ITEM_INTEGER_TERM -> {
                var term = item.getItemIntegerTerm();
                yield word(term.getProperties(), Long.toString(term.getNumber()), within);
            }
            case ITEM_FLOATING_POINT_TERM -> {
                var term = item.getItemFloatingPointTerm();
                yield numbers(term.getProperties(), NumericTerm.of(term.getNumber()), within);
            }
            case ITEM_INTEGER_RANGE_TERM -> {
                var term = item.getItemIntegerRangeTerm();
                yield numbers(term.getProperties(), range(term), within);
            }
            case ITEM_FLOATING_POINT_RANGE_TERM -> {
                var term = item.getItemFloatingPointRangeTerm();
                yield numbers(term.getProperties(), range(term), within);
            }
            case ITEM_STRING_IN -> {
                var term = item.getItemStringIn();
                yield strings(term.getProperties(), within, attribute -> term.getWordsList().stream()
                        .map(word -> FieldValues.folded(attribute, word)).collect(Collectors.toSet())::contains);
            }
            case ITEM_NUMERIC_IN -> {
                Set<String> wanted = item.getItemNumericIn().getNumbersList().stream().map(Object::toString).collect(Collectors.toSet());
                yield values(item.getItemNumericIn().getProperties(), within, attribute -> {
                    if ( ! FieldValues.integer(attribute)) throw unsuited("in", attribute);
                    return value -> wanted.contains(FieldValues.key(attribute, value));
                });
            }
            case ITEM_WEIGHTED_SET_OF_STRING -> {
                var set = item.getItemWeightedSetOfString();
                yield unscored(productsOfStrings(set.getProperties(), set.getWeightedStringsList(), within));
            }
            case ITEM_WEIGHTED_SET_OF_LONG -> {
                var set = item.getItemWeightedSetOfLong();
                yield unscored(productsOfLongs(set.getProperties(), set.getWeightedLongsList(), within));
            }
            case ITEM_DOT_PRODUCT_OF_STRING -> {
                var product = item.getItemDotProductOfString();
                yield productsOfStrings(product.getProperties(), product.getWeightedStringsList(), within).matches();
            }
            case ITEM_DOT_PRODUCT_OF_LONG -> {
                var product = item.getItemDotProductOfLong();
                yield productsOfLongs(product.getProperties(), product.getWeightedLongsList(), within).matches();
            }
            default -> throw new IllegalArgumentException("The peer does not know the query item " + item.getItemCase());
        };
    }

    // ---- leaves that match or not

    private BitSet word(TermItemProperties properties, String word, BitSet within) {
        BitSet found = new BitSet();
        for (String field : fields(properties))
            found.or(catalog.attributes().containsKey(field) ? matching(properties, field, equal(attribute(field), word), within)
                                                             : textual(properties, field, word, within));
        return found;
    }

    private static Predicate<FieldValue> equal(Attribute attribute, String word) {
        if (FieldValues.number(attribute)) {
            NumericTerm number = NumericTerm.of(word);
            return number == null ? value -> false : number.on(attribute.datatype(), FieldValues.single(attribute));
        }
        if (attribute.datatype() == Attribute.Datatype.BOOL) return bool(word);
        String wanted = FieldValues.folded(attribute, word);
        return string(attribute, wanted::equals);
    }

    private static Predicate<FieldValue> bool(String word) {
        return switch (word.toLowerCase(Locale.ROOT)) {
            case "true", "1" -> value -> ((BoolFieldValue) value).getBoolean();
            case "false", "0" -> value -> ! ((BoolFieldValue) value).getBoolean();
            default -> value -> false;
        };
    }

    private BitSet textual(TermItemProperties properties, String field, String word, BitSet within) {
        Term term = term(properties, field, word, null, null);
        within.stream().filter(i -> text(field).contains(i, word)).forEach(i -> term.raw()[i] = 0);
        return term.matches();
    }

    private BitSet numbers(TermItemProperties properties, NumericTerm number, BitSet within) {
        return values(properties, within, attribute -> {
            if (attribute.datatype() == Attribute.Datatype.BOOL) return value -> false;     // as in Vespa: neither 0 nor 1
            if ( ! FieldValues.number(attribute)) throw unsuited("a number", attribute);
            return number.on(attribute.datatype(), FieldValues.single(attribute));
        });
    }

    private static NumericTerm range(ItemIntegerRangeTerm range) {
        if (range.getHasRangeLimit() || range.getWithDiversity()) throw limited();
        return NumericTerm.range(range.getLowerLimit(), range.getLowerInclusive(), range.getUpperLimit(), range.getUpperInclusive());
    }

    private static NumericTerm range(ItemFloatingPointRangeTerm range) {
        if (range.getHasRangeLimit() || range.getWithDiversity()) throw limited();
        return NumericTerm.range(range.getLowerLimit(), range.getLowerInclusive(), range.getUpperLimit(), range.getUpperInclusive());
    }

    private static IllegalArgumentException limited() {
        return new IllegalArgumentException("The peer does not know ranges with hitLimit or diversity");
    }

    private BitSet strings(TermItemProperties properties, BitSet within, Function<Attribute, Predicate<String>> test) {
        return values(properties, within, attribute -> string(attribute, test.apply(attribute)));
    }

    private static Predicate<FieldValue> string(Attribute attribute, Predicate<String> test) {
        if ( ! FieldValues.string(attribute)) throw unsuited("a string", attribute);
        return value -> test.test(FieldValues.folded(attribute, value.toString()));
    }

    private BitSet values(TermItemProperties properties, BitSet within, Function<Attribute, Predicate<FieldValue>> test) {
        BitSet found = new BitSet();
        for (String field : fields(properties)) found.or(matching(properties, field, test.apply(attribute(field)), within));
        return found;
    }

    private BitSet matching(TermItemProperties properties, String field, Predicate<FieldValue> test, BitSet within) {
        Term term = term(properties, field, null, null, null);
        within.stream().filter(i -> values(i, field).stream().anyMatch(weighted -> test.test(weighted.value())))
              .forEach(i -> term.raw()[i] = 0);
        return term.matches();
    }

    // ---- leaves that score

    /** Documents that share a token with the query; the raw score is the sum of the products of their integer weights. */
    Term productsOfStrings(TermItemProperties properties, List<PureWeightedString> pairs, BitSet within) {
        Attribute attribute = attribute(properties.getIndex());
        Map<String, Integer> weights = new HashMap<>();
        pairs.forEach(pair -> weights.put(key(attribute, pair.getValue()), pair.getWeight()));
        return products(properties, attribute, weights, within);
    }

    Term productsOfLongs(TermItemProperties properties, List<PureWeightedLong> pairs, BitSet within) {
        Map<String, Integer> weights = new HashMap<>();
        pairs.forEach(pair -> weights.put(Long.toString(pair.getValue()), pair.getWeight()));
        return products(properties, attribute(properties.getIndex()), weights, within);
    }

    /** The item matches, and has no score of its own. */
    private static BitSet unscored(Term term) {
        BitSet found = term.matches();
        found.stream().forEach(i -> term.raw()[i] = 0);
        return found;
    }

    private static String key(Attribute attribute, String token) {
        if ( ! FieldValues.integer(attribute)) return FieldValues.folded(attribute, token);
        return token.matches("[+-]?\\d{1,18}") ? Long.toString(Long.parseLong(token)) : "";
    }

    private Term products(TermItemProperties properties, Attribute attribute, Map<String, Integer> weights, BitSet within) {
        if ( ! FieldValues.integer(attribute) && ! FieldValues.string(attribute)) throw unsuited("a set of weights", attribute);
        Term term = term(properties, attribute.name(), null, null, null);
        within.stream().forEach(i -> values(i, attribute.name()).forEach(token -> {
            Integer weight = weights.get(FieldValues.key(attribute, token.value()));
            if (weight != null) term.raw()[i] = (term.matches(i) ? term.raw()[i] : 0) + (double) weight * token.weight();
        }));
        return term;
    }

    /** The closeness to the query vector of every document that has a tensor. */
    Term neighbours(ItemNearestNeighbor item, BitSet within) {
        Tensor vector = query.tensors().get(item.getQueryTensorName());
        if (vector == null) throw new IllegalArgumentException("No query tensor '" + item.getQueryTensorName() + "'");
        Attribute attribute = attribute(item.getProperties().getIndex());
        var distance = new Distance(attribute.distancemetric());
        ToDoubleFunction<Document> closeness = document -> document.getFieldValue(attribute.name()) instanceof TensorFieldValue value
                ? distance.closeness(vector, value.getTensor().orElseThrow()) : Double.NaN;
        Term term = term(item.getProperties(), attribute.name(), null, closeness, distance);
        within.stream().forEach(i -> term.raw()[i] = closeness.applyAsDouble(documents.get(i)));
        return term;
    }

    // ---- what all leaves need

    private List<String> fields(TermItemProperties properties) {
        String index = properties.getIndex().isEmpty() ? "default" : properties.getIndex();
        return catalog.fieldSets().getOrDefault(index, List.of(index));
    }

    private Attribute attribute(String field) {
        Attribute attribute = catalog.attributes().get(field);
        if (attribute == null) throw new IllegalArgumentException("The peer cannot match this in '" + field + "': it is not an attribute");
        return attribute;
    }

    private static IllegalArgumentException unsuited(String what, Attribute attribute) {
        return new IllegalArgumentException("The peer does not match " + what + " with '" + attribute.name() + "' of type " + attribute.datatype());
    }

    private Term term(TermItemProperties properties, String field, String word, ToDoubleFunction<Document> closeness, Distance distance) {
        if ( ! catalog.attributes().containsKey(field) && ! catalog.indexes().contains(field))
            throw new IllegalArgumentException("The field '" + field + "' is neither an attribute nor an index");
        var term = new Term(field, properties.getUniqueId(), ! properties.getDoNotRank(), Term.none(documents.size()), word, closeness, distance);
        terms.add(term);
        return term;
    }

    private List<FieldValues.Weighted> values(int document, String field) {
        return values.computeIfAbsent(field, f -> documents.stream().map(d -> FieldValues.of(d, catalog.attributes().get(f))).toList())
                     .get(document);
    }

}
