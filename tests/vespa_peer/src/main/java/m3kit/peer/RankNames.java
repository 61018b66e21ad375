package m3kit.peer;

import com.yahoo.searchlib.rankingexpression.RankingExpression;
import com.yahoo.searchlib.rankingexpression.rule.CompositeNode;
import com.yahoo.searchlib.rankingexpression.rule.ExpressionNode;
import com.yahoo.searchlib.rankingexpression.rule.ReferenceNode;
import com.yahoo.vespa.config.search.AttributesConfig.Attribute.Datatype;

import java.util.ArrayList;
import java.util.List;

/** The check of every name in every expression. Deployment does not make it; a content node does when it starts. */
final class RankNames {

    private final RankProfile profile;
    private final Catalog catalog;
    private final List<String> unknown = new ArrayList<>();

    private RankNames(RankProfile profile, Catalog catalog) {
        this.profile = profile;
        this.catalog = catalog;
    }

    /** What of a profile the peer does not know: features, fields, query inputs, properties. */
    static List<String> unknown(RankProfile profile, Catalog catalog) {
        var names = new RankNames(profile, catalog);
        names.unknown.addAll(profile.unknownProperties);
        profile.expressions.forEach((name, expression) -> {
            if ( ! name.equals("rankingExpression(globalphase)")) names.check(expression);     // that one is the container's
        });
        profile.matchFeatures.values().forEach(names::check);
        profile.summaryFeatures.values().forEach(names::check);
        names.check(profile.firstPhase);
        if (profile.secondPhase != null) names.check(profile.secondPhase);
        return names.unknown.stream().distinct().toList();
    }

    private void check(RankingExpression expression) { check(expression.getRoot()); }

    private void check(ExpressionNode node) {
        if (profile.expressions.containsKey(node.toString())) return;
        if (node instanceof ReferenceNode reference) {
            if ( ! known(reference)) unknown.add(node.toString());
        } else if (node instanceof CompositeNode composite) {
            composite.children().forEach(this::check);
        }
    }

    private boolean known(ReferenceNode reference) {
        List<String> arguments = reference.getArguments().expressions().stream().map(Object::toString).toList();
        if (reference.getOutput() != null) return false;
        String name = reference.toString(), first = arguments.isEmpty() ? "" : arguments.get(0);
        return switch (reference.getName() + "/" + arguments.size()) {
            case "attribute/1" -> readable(first);
            case "rawScore/1" -> catalog.attributes().containsKey(first);
            case "matches/1" -> catalog.attributes().containsKey(first) || catalog.indexes().contains(first);
            case "bm25/1" -> catalog.bm25().contains(first);
            case "closeness/1", "distance/1" -> tensor(first);
            case "closeness/2", "distance/2" -> first.equals("label") || first.equals("field") && tensor(arguments.get(1));
            case "query/1" -> catalog.inputs(profile.name).contains(name) || profile.types.containsKey(name) || profile.defaults.containsKey(name);
            case "constant/1" -> profile.defaults.containsKey(name);
            case "value/1", "itemRawScore/1", "firstPhase/0", "nativeRank/0" -> true;
            default -> false;
        };
    }

    private boolean readable(String field) {
        var attribute = catalog.attributes().get(field);
        return attribute != null && FieldValues.single(attribute)
                && (FieldValues.number(attribute) || attribute.datatype() == Datatype.BOOL || attribute.datatype() == Datatype.TENSOR);
    }

    private boolean tensor(String field) {
        var attribute = catalog.attributes().get(field);
        return attribute != null && attribute.datatype() == Datatype.TENSOR;
    }

}
