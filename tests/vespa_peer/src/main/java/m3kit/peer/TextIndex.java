package m3kit.peer;

import com.yahoo.document.Document;
import com.yahoo.document.datatypes.FieldValue;
import com.yahoo.language.Linguistics;
import com.yahoo.language.opennlp.OpenNlpLinguistics;
import com.yahoo.language.process.LinguisticsParameters;
import com.yahoo.language.process.StemMode;
import com.yahoo.language.process.Token;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** The words of a text field in each document, made by Vespa's own linguistics as at indexing, and BM25 over them. */
final class TextIndex {

    private static final Linguistics linguistics = new OpenNlpLinguistics();
    private static final double K1 = 1.2, B = 0.75;

    private final List<List<String>> texts;
    private final double averageLength;

    TextIndex(List<Document> documents, String field) {
        texts = documents.stream().map(document -> words(document.getFieldValue(field))).toList();
        averageLength = texts.stream().mapToInt(List::size).filter(length -> length > 0).average().orElse(1);
    }

    boolean contains(int document, String word) { return texts.get(document).contains(word); }

    /** What one word adds to the score of a document that has it. */
    double bm25(int document, String word) {
        long having = texts.stream().filter(text -> text.contains(word)).count();
        double rarity = Math.log(1 + (texts.size() - having + 0.5) / (having + 0.5));
        double count = texts.get(document).stream().filter(word::equals).count();
        return rarity * count * (K1 + 1) / (count + K1 * (1 - B + B * texts.get(document).size() / averageLength));
    }

    private static List<String> words(FieldValue value) {
        List<String> words = new ArrayList<>();
        if (value == null) return words;
        String text = value.toString();
        var language = linguistics.getDetector().detect(text, null).getLanguage();
        var parameters = new LinguisticsParameters(language, StemMode.BEST, true, true);
        linguistics.getTokenizer().tokenize(text, parameters).forEach(token -> add(token, words));
        return words;
    }

    private static void add(Token token, List<String> words) {
        if (token.isIndexable()) words.add(token.getTokenString());
        else IntStream.range(0, token.getNumComponents()).forEach(i -> add(token.getComponent(i), words));
    }

}
