package m3kit.peer;

import ai.vespa.searchlib.searchprotocol.protobuf.SearchProtocol.QueryTreeItem;
import com.yahoo.document.Document;

import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.function.DoublePredicate;

/** Which documents a query tree matches, by looking at every document. Exact where Vespa's nearestNeighbor and wand approximate. */
final class Matcher {

    final List<Document> documents;
    final Leaves leaves;
    final BitSet matches;

    Matcher(Catalog catalog, List<Document> documents, SearchQuery query) {
        this.documents = documents;
        this.leaves = new Leaves(catalog, documents, query);
        BitSet all = new BitSet();
        all.set(0, documents.size());
        this.matches = match(query.root(), all);
    }

    /** {@code within} is what the rest of the tree leaves over: nearestNeighbor and wand count their hits among these. */
    private BitSet match(QueryTreeItem item, BitSet within) {
        return switch (item.getItemCase()) {
            case ITEM_TRUE -> within;
            case ITEM_FALSE -> new BitSet();
            case ITEM_AND -> all(item.getItemAnd().getChildrenList(), within);
            case ITEM_OR -> any(item.getItemOr().getChildrenList(), within);
            case ITEM_WEAK_AND -> any(item.getItemWeakAnd().getChildrenList(), within);
            case ITEM_EQUIV -> any(item.getItemEquiv().getChildrenList(), within);
            case ITEM_AND_NOT -> {
                var children = item.getItemAndNot().getChildrenList();
                BitSet rest = (BitSet) within.clone();
                rest.andNot(any(children.subList(1, children.size()), within));
                yield match(children.get(0), rest);
            }
            case ITEM_RANK -> {
                var children = item.getItemRank().getChildrenList();
                BitSet found = match(children.get(0), within);
                any(children.subList(1, children.size()), found);
                yield found;
            }
            case ITEM_STRING_WAND -> {
                var wand = item.getItemStringWand();
                Term term = leaves.productsOfStrings(wand.getProperties(), wand.getWeightedStringsList(), within);
                yield best(term, wand.getTargetNumHits(), score -> score > wand.getScoreThreshold());
            }
            case ITEM_LONG_WAND -> {
                var wand = item.getItemLongWand();
                Term term = leaves.productsOfLongs(wand.getProperties(), wand.getWeightedLongsList(), within);
                yield best(term, wand.getTargetNumHits(), score -> score > wand.getScoreThreshold());
            }
            case ITEM_NEAREST_NEIGHBOR -> {
                var nearest = item.getItemNearestNeighbor();
                Term term = leaves.neighbours(nearest, within);
                yield best(term, nearest.getTargetNumHits(), score -> term.distance().distance(score) <= nearest.getDistanceThreshold());
            }
            default -> leaves.match(item, within);
        };
    }

    private BitSet all(List<QueryTreeItem> children, BitSet within) {
        BitSet found = within;
        for (boolean counting : new boolean[] { false, true })
            for (var child : children)
                if (counts(child) == counting) found = match(child, found);
        return found;
    }

    private BitSet any(List<QueryTreeItem> children, BitSet within) {
        BitSet found = new BitSet();
        for (var child : children) found.or(match(child, within));
        return found;
    }

    /** Whether the item takes the best of what the others leave, so that it must come last. */
    private static boolean counts(QueryTreeItem item) {
        return switch (item.getItemCase()) {
            case ITEM_NEAREST_NEIGHBOR, ITEM_STRING_WAND, ITEM_LONG_WAND -> true;
            case ITEM_OR -> item.getItemOr().getChildrenList().stream().anyMatch(Matcher::counts);
            case ITEM_AND -> item.getItemAnd().getChildrenList().stream().anyMatch(Matcher::counts);
            case ITEM_AND_NOT -> item.getItemAndNot().getChildrenList().stream().anyMatch(Matcher::counts);
            case ITEM_RANK -> counts(item.getItemRank().getChildren(0));
            default -> false;
        };
    }

    /** Keeps the {@code count} best matches of a term, and makes it forget the others. */
    private static BitSet best(Term term, int count, DoublePredicate enough) {
        double[] raw = term.raw();
        BitSet found = new BitSet();
        term.matches().stream().boxed().filter(i -> enough.test(raw[i]))
            .sorted(Comparator.comparingDouble(i -> -raw[i])).limit(count).forEach(found::set);
        term.keep(found);
        return found;
    }

}
