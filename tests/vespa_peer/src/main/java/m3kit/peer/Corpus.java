package m3kit.peer;

import com.yahoo.document.Document;
import com.yahoo.document.DocumentId;
import com.yahoo.document.Field;
import com.yahoo.document.GlobalId;
import com.yahoo.document.datatypes.BoolFieldValue;
import com.yahoo.document.datatypes.CollectionFieldValue;
import com.yahoo.document.datatypes.FieldValue;
import com.yahoo.document.datatypes.NumericFieldValue;
import com.yahoo.document.datatypes.StringFieldValue;
import com.yahoo.document.datatypes.TensorFieldValue;
import com.yahoo.io.GrowableByteBuffer;
import com.yahoo.tensor.Tensor;
import com.yahoo.tensor.serialization.TypedBinaryFormat;
import com.yahoo.vespa.config.search.AttributesConfig.Attribute;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;

/** The documents, by global id, as a content node would hold them. A stored document is never changed, only replaced. */
public final class Corpus {

    /** Container components are made by dependency injection, so they find the one corpus of the process here. */
    public static final Corpus SHARED = new Corpus();

    private final Map<GlobalId, Document> documents = new ConcurrentSkipListMap<>();
    private final Map<String, Map<String, Catalog>> clusters = new ConcurrentHashMap<>();

    /** Says what a content cluster's document types are; before the first document is put. */
    void add(String cluster, Map<String, Catalog> types) { clusters.put(cluster, types); }

    void put(Document document) {
        Document copy = new Document(document);
        for (var field : copy.getDataType().fieldSet()) throughBinary(copy, field);
        for (var types : clusters.values()) {
            Catalog catalog = types.get(document.getDataType().getName());
            if (catalog != null) catalog.attributes().values().forEach(attribute -> asRead(copy, attribute));
        }
        documents.put(key(document.getId()), copy);
    }

    Document get(DocumentId id) { return documents.get(key(id)); }

    Document get(byte[] globalId) { return documents.get(new GlobalId(globalId)); }

    boolean remove(DocumentId id) { return documents.remove(key(id)) != null; }

    List<Document> inCluster(String cluster) {
        var types = clusters.get(cluster);
        if (types == null) throw new IllegalArgumentException("No content cluster '" + cluster + "'");
        return documents.values().stream().filter(document -> types.containsKey(document.getDataType().getName())).toList();
    }

    List<Document> ofType(String type) {
        return documents.values().stream().filter(document -> document.getDataType().getName().equals(type)).toList();
    }

    private static GlobalId key(DocumentId id) { return new GlobalId(id.getGlobalId()); }

    /** Vespa's binary format of tensors is where bfloat16 and int8 cells lose their extra bits. */
    private static void throughBinary(Document document, Field field) {
        if ( ! (document.getFieldValue(field) instanceof TensorFieldValue value) || value.getTensor().isEmpty()) return;
        Tensor full = value.getTensor().get();
        var bytes = GrowableByteBuffer.wrap(TypedBinaryFormat.encode(full));
        document.setFieldValue(field, new TensorFieldValue(TypedBinaryFormat.decode(Optional.of(full.type()), bytes)));
    }

    /** An attribute cannot tell some values from none, and a content node reads documents from its attributes. */
    private static void asRead(Document document, Attribute attribute) {
        Field field = document.getField(attribute.name());
        if (field == null) return;
        FieldValue value = document.getFieldValue(field);
        if (value == null && attribute.datatype() == Attribute.Datatype.BOOL && FieldValues.single(attribute))
            document.setFieldValue(field, new BoolFieldValue(false));
        else if (value != null && undefined(value)) document.removeFieldValue(field);
    }

    private static boolean undefined(FieldValue value) {
        if (value instanceof CollectionFieldValue<?> collection) return collection.size() == 0;
        if (value instanceof StringFieldValue string) return string.getString().isEmpty();
        if ( ! (value instanceof NumericFieldValue numeric)) return false;
        Number number = numeric.getNumber();
        return number instanceof Double || number instanceof Float ? Double.isNaN(number.doubleValue())
             : number instanceof Integer ? number.intValue() == Integer.MIN_VALUE
             : number instanceof Long ? number.longValue() == Long.MIN_VALUE
             : number.longValue() == Byte.MIN_VALUE;
    }

}
