package m3kit.peer;

import com.google.re2j.Pattern;
import com.google.re2j.PatternSyntaxException;

import java.util.function.Predicate;

/** Regular expressions of a content node: RE2's, found anywhere in the value. */
final class Regex {

    private Regex() {}

    /** A content node would silently match nothing with an expression that RE2 refuses; here it is an error. */
    static Predicate<String> of(String expression, boolean cased) {
        try {
            Pattern pattern = Pattern.compile(expression, cased ? 0 : Pattern.CASE_INSENSITIVE);
            return value -> pattern.matcher(value).find();
        } catch (PatternSyntaxException e) {
            throw new IllegalArgumentException("Not a regular expression of RE2: " + e.getMessage());
        }
    }

}
