package m3kit.peer;

import com.yahoo.searchlib.rankingexpression.RankingExpression;
import com.yahoo.searchlib.rankingexpression.parser.ParseException;
import com.yahoo.tensor.Tensor;
import com.yahoo.tensor.TensorType;
import com.yahoo.vespa.config.search.RankProfilesConfig;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.regex.Pattern;

/** One rank profile, read from the properties that Vespa's model derived for the content node. */
final class RankProfile {

    private static final Pattern SCRIPT = Pattern.compile("(rankingExpression\\(.+\\))\\.rankingScript");
    private static final Pattern TYPE = Pattern.compile("vespa\\.type\\.(query|attribute|feature)\\.(.+)");
    private static final Pattern CONSTANT = Pattern.compile("(constant\\(.+\\))\\.(type|value)");
    /** How a content node is to go about its work, and what concerns the container or features that the peer does not know. */
    private static final Pattern HARMLESS = Pattern.compile(
            "vespa\\.(matching|dump|isfilterfield|hidden|globalphase|fieldweight)\\..*|"
            + "vespa\\.hitcollector\\.arraysize|vespa\\.rank\\.globalphase|(?!vespa\\.|bm25\\b).*");

    final String name;
    /** The expressions by feature name, as in "rankingExpression(sparse)". */
    final Map<String, RankingExpression> expressions = new HashMap<>();
    /** The declared types of "query(x)" and "attribute(y)" where they are tensors. */
    final Map<String, TensorType> types = new HashMap<>();
    /** The values of constants, and of query inputs that have a default. */
    final Map<String, Tensor> defaults = new HashMap<>();
    /** The features to send with each hit and with each summary, by the name to send them under. */
    final Map<String, RankingExpression> matchFeatures = new LinkedHashMap<>();
    final Map<String, RankingExpression> summaryFeatures = new LinkedHashMap<>();
    RankingExpression firstPhase = parse("nativeRank");
    RankingExpression secondPhase = null;
    int rerankCount = 100;
    OptionalDouble dropLimit = OptionalDouble.empty();
    OptionalDouble secondPhaseDropLimit = OptionalDouble.empty();
    /** Properties that would change the answer in a way that the peer does not know. */
    final List<String> unknownProperties = new ArrayList<>();

    private final Map<String, String> constants = new HashMap<>();
    private final List<String> sentWithHits = new ArrayList<>(), sentWithSummaries = new ArrayList<>(), renames = new ArrayList<>();

    private RankProfile(String name) { this.name = name; }

    static RankProfile of(RankProfilesConfig.Rankprofile config) {
        var profile = new RankProfile(config.name());
        config.fef().property().forEach(property -> profile.read(property.name(), property.value()));
        profile.finish();
        return profile;
    }

    private void read(String property, String value) {
        var script = SCRIPT.matcher(property);
        var type = TYPE.matcher(property);
        if (script.matches()) expressions.put(script.group(1), parse(value));
        else if (type.matches()) types.put(type.group(1) + "(" + type.group(2) + ")", TensorType.fromSpec(value));
        else if (CONSTANT.matcher(property).matches() || property.startsWith("query(")) constants.put(property, value);
        else switch (property) {
            case "vespa.rank.firstphase" -> firstPhase = parse(value);
            case "vespa.rank.secondphase" -> secondPhase = parse(value);
            case "vespa.hitcollector.heapsize" -> rerankCount = Integer.parseInt(value);
            case "vespa.hitcollector.rankscoredroplimit" -> dropLimit = OptionalDouble.of(Double.parseDouble(value));
            case "vespa.hitcollector.secondphase.rankscoredroplimit" -> secondPhaseDropLimit = OptionalDouble.of(Double.parseDouble(value));
            case "vespa.match.feature" -> sentWithHits.add(value);
            case "vespa.summary.feature" -> sentWithSummaries.add(value);
            case "vespa.feature.rename" -> renames.add(value);          // the old and the new name are two properties in a row
            default -> { if ( ! HARMLESS.matcher(property).matches()) unknownProperties.add(property); }
        }
    }

    private void finish() {
        Map<String, String> renamed = new HashMap<>();
        for (int i = 0; i + 1 < renames.size(); i += 2) renamed.put(renames.get(i), renames.get(i + 1));
        sentWithHits.forEach(feature -> matchFeatures.put(renamed.getOrDefault(feature, feature), parse(feature)));
        sentWithSummaries.forEach(feature -> summaryFeatures.put(renamed.getOrDefault(feature, feature), parse(feature)));
        constants.forEach((name, value) -> {
            if (name.endsWith(".value")) {
                String constant = name.substring(0, name.length() - ".value".length());
                defaults.put(constant, Tensor.from(TensorType.fromSpec(constants.get(constant + ".type")), value));
            } else if ( ! name.endsWith(".type")) {
                defaults.put(name, Tensor.from(types.getOrDefault(name, TensorType.empty), value));
            }
        });
    }

    private static RankingExpression parse(String expression) {
        try {
            return new RankingExpression(expression);
        } catch (ParseException e) {
            throw new IllegalArgumentException(e);
        }
    }

}
