package m3kit.peer;

import com.yahoo.document.Document;
import com.yahoo.document.datatypes.Array;
import com.yahoo.document.datatypes.BoolFieldValue;
import com.yahoo.document.datatypes.DoubleFieldValue;
import com.yahoo.document.datatypes.FieldValue;
import com.yahoo.document.datatypes.FloatFieldValue;
import com.yahoo.document.datatypes.MapFieldValue;
import com.yahoo.document.datatypes.NumericFieldValue;
import com.yahoo.document.datatypes.Raw;
import com.yahoo.document.datatypes.Struct;
import com.yahoo.document.datatypes.TensorFieldValue;
import com.yahoo.document.datatypes.WeightedSet;
import com.yahoo.slime.ArrayInserter;
import com.yahoo.slime.Cursor;
import com.yahoo.slime.Inserter;
import com.yahoo.slime.ObjectInserter;
import com.yahoo.tensor.serialization.TypedBinaryFormat;
import com.yahoo.vespa.config.search.SummaryConfig;

import java.util.Collection;
import java.util.List;
import java.util.Set;

/** Writes document summaries in the binary form in which a content node sends them. */
final class Summaries {

    private Summaries() {}

    private static final Set<String> COMMANDS = Set.of("", "attribute", "documentid", "rankfeatures", "summaryfeatures", "copy");

    static void write(Document document, List<SummaryConfig.Classes.Fields> fields, Collection<String> wanted, Cursor to) {
        for (var field : fields) {
            if ( ! wanted.isEmpty() && ! wanted.contains(field.name())) continue;
            if ( ! COMMANDS.contains(field.command()))
                throw new IllegalArgumentException("The peer cannot make the summary of '" + field.name() + "': " + field.command());
            if (field.command().equals("documentid")) to.setString(field.name(), document.getId().toString());
            FieldValue value = document.getFieldValue(field.source().isEmpty() ? field.name() : field.source());
            if (value != null) write(value, new ObjectInserter(to, field.name()));
        }
    }

    private static void write(FieldValue value, Inserter to) {
        if (value instanceof BoolFieldValue bool) to.insertBOOL(bool.getBoolean());
        else if (value instanceof DoubleFieldValue number) to.insertDOUBLE(number.getDouble());
        else if (value instanceof FloatFieldValue number) to.insertDOUBLE(number.getFloat());
        else if (value instanceof NumericFieldValue number) to.insertLONG(number.getNumber().longValue());
        else if (value instanceof TensorFieldValue tensor) tensor.getTensor().ifPresent(t -> to.insertDATA(TypedBinaryFormat.encode(t)));
        else if (value instanceof Raw raw) {
            byte[] bytes = new byte[raw.getByteBuffer().remaining()];
            raw.getByteBuffer().duplicate().get(bytes);
            to.insertDATA(bytes);
        }
        else if (value instanceof Array<?> array) {
            Cursor list = to.insertARRAY();
            for (Object element : array) write((FieldValue) element, new ArrayInserter(list));
        }
        else if (value instanceof WeightedSet<?> set) {
            Cursor list = to.insertARRAY();
            for (FieldValue key : set.keySet()) {
                Cursor pair = list.addObject();
                write(key, new ObjectInserter(pair, "item"));
                pair.setLong("weight", set.get(key));
            }
        }
        else if (value instanceof MapFieldValue<?, ?> map) {
            Cursor list = to.insertARRAY();
            map.forEach((key, element) -> {
                Cursor pair = list.addObject();
                write(key, new ObjectInserter(pair, "key"));
                write(element, new ObjectInserter(pair, "value"));
            });
        }
        else if (value instanceof Struct struct) {
            Cursor object = to.insertOBJECT();
            struct.iterator().forEachRemaining(entry -> write(entry.getValue(), new ObjectInserter(object, entry.getKey().getName())));
        }
        else to.insertSTRING(value.toString());
    }

}
