package m3kit.peer;

import com.yahoo.schema.document.ImmutableSDField;
import com.yahoo.search.config.SchemaInfoConfig;
import com.yahoo.vespa.config.search.AttributesConfig;
import com.yahoo.vespa.config.search.IndexschemaConfig;
import com.yahoo.vespa.config.search.RankProfilesConfig;
import com.yahoo.vespa.config.search.SummaryConfig;
import com.yahoo.vespa.model.search.DocumentDatabase;
import com.yahoo.vespa.model.search.SearchCluster;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** What Vespa's model derived from one schema, and would send to a content node as configuration. */
record Catalog(String schema,
               Map<String, AttributesConfig.Attribute> attributes,
               Set<String> indexes,
               Set<String> bm25,
               Map<String, List<String>> fieldSets,
               Map<String, RankProfile> profiles,
               Map<String, Set<String>> inputs,
               Map<String, List<SummaryConfig.Classes.Fields>> summaries,
               List<String> undone) {

    /** Indexing that stores a field as it is: an attribute or a summary, or an index of tensors or of stemmed words. */
    private static final List<Pattern> PLAIN = Stream.of(
            "\\{ \\}",
            "\\{ input (\\w+)( \\| (for_each \\{ )?(tokenize[^|;]*|exact|(attribute|summary) \\1)( \\})?)+; \\}",
            "\\{ input (\\w+)( \\| (tokenize normalize stem:\"BEST\"|(attribute|index|summary) \\1))+; \\}").map(Pattern::compile).toList();

    /** By name, the document types of a cluster. */
    static Map<String, Catalog> of(SearchCluster cluster) {
        return cluster.getDocumentDbs().stream().collect(Collectors.toMap(DocumentDatabase::getName, Catalog::of));
    }

    private static Catalog of(DocumentDatabase database) {
        var catalog = new Catalog(database.getSchemaName(), new HashMap<>(), new HashSet<>(), new HashSet<>(), new HashMap<>(),
                                  new HashMap<>(), new HashMap<>(), new HashMap<>(), new ArrayList<>());
        var attributes = new AttributesConfig.Builder();
        database.getConfig(attributes);
        attributes.build().attribute().forEach(attribute -> catalog.attributes.put(attribute.name(), attribute));
        var index = new IndexschemaConfig.Builder();
        database.getConfig(index);
        index.build().indexfield().forEach(field -> {
            catalog.indexes.add(field.name());
            if (field.interleavedfeatures()) catalog.bm25.add(field.name());
        });
        index.build().fieldset().forEach(set -> catalog.fieldSets.put(set.name(), set.field().stream().map(f -> f.name()).toList()));
        var ranking = new RankProfilesConfig.Builder();
        database.getConfig(ranking);
        ranking.build().rankprofile().forEach(profile -> catalog.profiles.put(profile.name(), RankProfile.of(profile)));
        var summaries = new SummaryConfig.Builder();
        database.getConfig(summaries);
        summaries.build().classes().forEach(summary -> catalog.summaries.put(summary.name(), summary.fields()));
        catalog.read(database);
        return catalog;
    }

    /** What the configuration of a content node does not say. */
    private void read(DocumentDatabase database) {
        var derived = database.getDerivedConfiguration();
        if (derived.isStreaming()) undone.add("Documents of '" + schema + "' are streamed, which the peer does not do");
        attributes.values().stream().filter(AttributesConfig.Attribute::imported).forEach(attribute ->
                undone.add("Field '" + attribute.name() + "' of '" + schema + "' is imported, which the peer does not do"));
        var info = new SchemaInfoConfig.Builder();
        derived.getSchemaInfo().getConfig(info);
        info.build().schema().forEach(schema -> schema.rankprofile().forEach(profile ->
                inputs.put(profile.name(), profile.input().stream().map(input -> input.name()).collect(Collectors.toSet()))));
        derived.getSchema().allConcreteFields().forEach(field -> {
            if ( ! plain(field)) undone.add("Field '" + field.getName() + "' of '" + schema + "' is made by indexing, which the peer does not run");
        });
    }

    private static boolean plain(ImmutableSDField field) {
        if (field.isExtraField()) return false;
        String script = field.getIndexingScript().toString();
        return (script.equals("{ }") || script.startsWith("{ input " + field.getName() + " |"))
                && PLAIN.stream().anyMatch(plain -> plain.matcher(script).matches());
    }

    void requireAllDone() {
        if ( ! undone.isEmpty()) throw new IllegalArgumentException(String.join("; ", undone));
    }

    Set<String> inputs(String profile) { return inputs.getOrDefault(profile, Set.of()); }

    RankProfile profile(String name) {
        RankProfile profile = profiles.get(name);
        if (profile == null) throw new IllegalArgumentException("No rank profile '" + name + "' in schema '" + schema + "'");
        List<String> unknown = RankNames.unknown(profile, this);
        if ( ! unknown.isEmpty())
            throw new IllegalArgumentException("Rank profile '" + name + "' uses what the peer does not know: " + String.join(", ", unknown));
        return profile;
    }

    List<SummaryConfig.Classes.Fields> summary(String name) {
        var fields = summaries.get(name.isEmpty() ? "default" : name);
        if (fields == null) throw new IllegalArgumentException("No summary class '" + name + "' in schema '" + schema + "'");
        return fields;
    }

}
