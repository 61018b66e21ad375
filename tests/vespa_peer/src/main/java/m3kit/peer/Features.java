package m3kit.peer;

import com.yahoo.document.Document;
import com.yahoo.document.datatypes.BoolFieldValue;
import com.yahoo.document.datatypes.FieldValue;
import com.yahoo.document.datatypes.NumericFieldValue;
import com.yahoo.document.datatypes.TensorFieldValue;
import com.yahoo.searchlib.rankingexpression.RankingExpression;
import com.yahoo.searchlib.rankingexpression.Reference;
import com.yahoo.searchlib.rankingexpression.evaluation.Context;
import com.yahoo.searchlib.rankingexpression.evaluation.DoubleValue;
import com.yahoo.searchlib.rankingexpression.evaluation.TensorValue;
import com.yahoo.searchlib.rankingexpression.evaluation.Value;
import com.yahoo.tensor.Tensor;
import com.yahoo.tensor.TensorType;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.DoubleStream;

/** The rank features of one matched document. Expressions are evaluated by Vespa; the features below them are ours. */
final class Features extends Context {

    private static final Pattern FEATURE = Pattern.compile("(\\w+)\\(([^()]*)\\)");

    private final RankProfile profile;
    private final SearchQuery query;
    private final Matcher matcher;
    private final int index;
    private final Map<String, Value> known = new HashMap<>();

    Features(RankProfile profile, SearchQuery query, Matcher matcher, int index) {
        this.profile = profile;
        this.query = query;
        this.matcher = matcher;
        this.index = index;
    }

    Document document() { return matcher.documents.get(index); }

    double score(RankingExpression expression) { return expression.evaluate(this).asDouble(); }

    @Override public Value get(String name) {
        Value value = known.get(name);
        if (value == null) known.put(name, value = compute(name));
        return value;
    }

    @Override public void put(String name, Value value) { known.put(name, value); }
    @Override public TensorType getType(Reference reference) { return get(reference.toString()).type(); }
    @Override public String resolveBinding(String name) { return name; }
    @Override public Set<String> names() { return known.keySet(); }

    private Value compute(String name) {
        RankingExpression expression = profile.expressions.get(name);
        if (expression != null) return expression.evaluate(this);
        if (name.equals("nativeRank")) return nativeRank();
        var parts = FEATURE.matcher(name);
        if ( ! parts.matches()) throw unknown(name);
        String argument = parts.group(2);
        return switch (parts.group(1)) {
            case "value" -> number(Double.parseDouble(argument));
            case "constant" -> value(profile.defaults.get(name));
            case "query" -> input(name, argument);
            case "attribute" -> attribute(name, argument);
            case "rawScore" -> number(matched(onField(argument)).sum());
            case "itemRawScore" -> number(matched(labelled(argument)).sum());
            case "matches" -> number(matched(onField(argument)).findAny().isPresent() ? 1 : 0);
            case "closeness" -> number(closeness(neighbours(argument)));
            case "distance" -> number(distance(neighbours(argument)));
            case "bm25" -> number(bm25(argument));
            default -> throw unknown(name);
        };
    }

    private static IllegalArgumentException unknown(String name) {
        return new IllegalArgumentException("The peer does not know the rank feature '" + name + "'");
    }

    private Value input(String name, String key) {
        Tensor tensor = query.tensors().get(key);
        if (tensor != null) return value(tensor);
        String number = query.values().get(key);
        if (number != null) return number(Double.parseDouble(number));
        return profile.defaults.containsKey(name) ? value(profile.defaults.get(name)) : zero(profile.types.get(name));
    }

    /** A number that is missing is not 0 but NaN. */
    private Value attribute(String name, String field) {
        FieldValue value = document().getFieldValue(field);
        if (value instanceof TensorFieldValue tensor && tensor.getTensor().isPresent()) return value(tensor.getTensor().get());
        if (value instanceof NumericFieldValue number) return number(number.getNumber().doubleValue());
        if (value instanceof BoolFieldValue bool) return number(bool.getBoolean() ? 1 : 0);
        TensorType type = profile.types.get(name);
        return type == null ? number(Double.NaN) : zero(type);
    }

    private static Value number(double value) { return DoubleValue.frozen(value); }

    private static Value value(Tensor tensor) {
        return tensor.type().rank() == 0 ? number(tensor.asDouble()) : new TensorValue(tensor);
    }

    /** What a content node uses for a tensor that is not there: zero cells where the type is dense, none where it is sparse. */
    private static Value zero(TensorType type) {
        return type == null || type.rank() == 0 ? DoubleValue.zero : new TensorValue(Tensor.Builder.of(type).build());
    }

    // ---- features of query terms

    /** What a profile without a first phase ranks by. It is 0 where the query has no terms to rank. */
    private Value nativeRank() {
        for (Term term : matcher.leaves.terms)
            if (term.ranked() && term.distance() == null)
                throw new IllegalArgumentException("The peer does not compute nativeRank, of the term in '" + term.field()
                                                   + "': name a rank profile that has a first phase, or 'unranked'");
        return DoubleValue.zero;
    }

    private List<Term> onField(String field) { return matcher.leaves.terms.stream().filter(term -> term.field().equals(field)).toList(); }

    private List<Term> labelled(String label) {
        String id = query.values().get("vespa.label." + label + ".id");
        return matcher.leaves.terms.stream().filter(term -> String.valueOf(term.id()).equals(id)).toList();
    }

    private List<Term> neighbours(String argument) {
        String[] words = argument.split(",\\s*");
        List<Term> terms = words[0].equals("label") ? labelled(words[1]) : onField(words[words.length - 1]);
        return terms.stream().filter(term -> term.distance() != null).toList();
    }

    private DoubleStream matched(List<Term> terms) {
        return terms.stream().filter(term -> term.ranked() && term.matches(index)).mapToDouble(term -> term.raw()[index]);
    }

    private double bm25(String field) {
        return onField(field).stream().filter(term -> term.ranked() && term.word() != null && term.matches(index))
                             .mapToDouble(term -> matcher.leaves.text(field).bm25(index, term.word())).sum();
    }

    /** As in Vespa, a document that another branch matched has its closeness computed all the same. */
    private double closeness(List<Term> terms) {
        double best = terms.isEmpty() ? 0 : terms.get(0).distance().leastCloseness();
        for (var term : terms) {
            double closeness = term.closeness().applyAsDouble(document());
            if (closeness > best) best = closeness;
        }
        return best;
    }

    private double distance(List<Term> terms) {
        double closeness = closeness(terms);
        if (terms.isEmpty() || closeness == terms.get(0).distance().leastCloseness()) return Double.MAX_VALUE;
        return terms.get(0).distance().distance(closeness);
    }

}
