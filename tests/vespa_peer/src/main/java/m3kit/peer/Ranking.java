package m3kit.peer;

import com.yahoo.searchlib.rankingexpression.RankingExpression;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.OptionalDouble;
import java.util.stream.IntStream;

/** The hits of one query in their order. Equal scores are in the order of global ids, which says nothing to a user. */
final class Ranking {

    /** One hit with its score. */
    static final class Ranked {

        final Features features;
        double score = 0;

        private Ranked(Features features) { this.features = features; }

    }

    private static final Comparator<Ranked> BEST = Comparator.comparingDouble(hit -> -hit.score);

    private Ranking() {}

    static List<Ranked> of(Matcher matcher, RankProfile profile, SearchQuery query, List<SortOrder> orders) {
        List<Ranked> hits = new ArrayList<>();
        matcher.matches.stream().forEach(i -> hits.add(new Ranked(new Features(profile, query, matcher, i))));
        if (orders.isEmpty() || orders.stream().anyMatch(SortOrder::byRank)) rank(hits, profile, query);
        for (int i = orders.size() - 1; i >= 0; i--) hits.sort(orders.get(i));
        return hits;
    }

    private static void rank(List<Ranked> hits, RankProfile profile, SearchQuery query) {
        score(hits, profile.firstPhase);
        hits.forEach(hit -> hit.features.put("firstPhase", hit.score));
        drop(hits, query.number("vespa.hitcollector.rankscoredroplimit", profile.dropLimit));
        hits.sort(BEST);
        if (profile.secondPhase == null) return;
        rerank(hits, profile, (int) query.number("vespa.hitcollector.heapsize", OptionalDouble.of(profile.rerankCount)).getAsDouble());
        drop(hits, query.number("vespa.hitcollector.secondphase.rankscoredroplimit", profile.secondPhaseDropLimit));
    }

    /** Scores the best again; the others keep their order, and are moved below where they would be among those. */
    private static void rerank(List<Ranked> hits, RankProfile profile, int count) {
        var head = hits.subList(0, Math.max(0, Math.min(count, hits.size())));
        if (head.isEmpty()) return;
        double firstLow = head.get(head.size() - 1).score, firstHigh = head.get(0).score;
        score(head, profile.secondPhase);
        head.sort(BEST);
        double secondLow = head.get(head.size() - 1).score, secondHigh = head.get(0).score;
        if (firstLow > secondLow) {
            double scale = Math.max(1, secondHigh - secondLow) / Math.max(1, firstHigh - firstLow);
            for (var hit : hits.subList(head.size(), hits.size())) hit.score = secondLow + (hit.score - firstLow) * scale;
        }
        hits.sort(BEST);
    }

    /** Scores that are not finite are the worst there are, and -0 is 0. */
    private static void score(List<Ranked> hits, RankingExpression expression) {
        IntStream.range(0, hits.size()).parallel().forEach(i -> {
            double score = hits.get(i).features.score(expression);
            hits.get(i).score = Double.isFinite(score) ? score + 0.0 : Double.NEGATIVE_INFINITY;
        });
    }

    private static void drop(List<Ranked> hits, OptionalDouble limit) {
        if (limit.isPresent()) hits.removeIf(hit -> hit.score <= limit.getAsDouble());
    }

}
