package m3kit.peer;

import com.yahoo.document.BucketId;
import com.yahoo.document.BucketIdFactory;
import com.yahoo.document.Document;
import com.yahoo.document.DocumentPut;
import com.yahoo.document.DocumentTypeManager;
import com.yahoo.document.fieldset.FieldSet;
import com.yahoo.document.fieldset.FieldSetRepo;
import com.yahoo.document.select.DocumentSelector;
import com.yahoo.document.select.parser.ParseException;
import com.yahoo.documentapi.AckToken;
import com.yahoo.documentapi.ProgressToken;
import com.yahoo.documentapi.VisitorControlHandler;
import com.yahoo.documentapi.VisitorControlHandler.CompletionCode;
import com.yahoo.documentapi.VisitorDataHandler;
import com.yahoo.documentapi.VisitorIterator;
import com.yahoo.documentapi.VisitorParameters;
import com.yahoo.documentapi.VisitorResponse;
import com.yahoo.documentapi.VisitorSession;
import com.yahoo.documentapi.messagebus.protocol.PutDocumentMessage;
import com.yahoo.messagebus.Trace;

import java.util.List;

/**
 * One visit. Selection, field set, buckets and the progress token are Vespa's; as there, a bucket is the smallest step,
 * so a visit may return more documents than wanted.
 */
final class CorpusVisit implements VisitorSession {

    private static final int DISTRIBUTION_BITS = 8;

    private final Corpus corpus;
    private final VisitorParameters parameters;
    private final VisitorControlHandler control;
    private final VisitorDataHandler data;
    private final DocumentSelector selector;
    private final FieldSet fields;
    private final VisitorIterator buckets;
    private volatile boolean aborted;

    CorpusVisit(Corpus corpus, DocumentTypeManager types, VisitorParameters parameters) throws ParseException {
        if (parameters.getRemoteDataHandler() != null || parameters.getVisitRemoves() || parameters.getFromTimestamp() != 0)
            throw new IllegalArgumentException("The peer visits what is there now, and for the container alone");
        this.corpus = corpus;
        this.parameters = parameters;
        this.control = parameters.getControlHandler();
        this.data = parameters.getLocalDataHandler();
        this.selector = new DocumentSelector(parameters.getDocumentSelection());
        this.fields = new FieldSetRepo().parse(types, parameters.fieldSet());
        ProgressToken progress = parameters.getResumeToken();
        if (progress == null) progress = new ProgressToken(DISTRIBUTION_BITS);
        this.buckets = VisitorIterator.createFromDocumentSelection(
                parameters.getDocumentSelection(), new BucketIdFactory(), DISTRIBUTION_BITS, progress,
                parameters.getSlices(), parameters.getSliceId());
        control.setSession(this);
        data.setSession(this);
        new Thread(this::run, "visit").start();
    }

    private void run() {
        try {
            long sent = 0;
            List<Placed> placed = placed();
            while (buckets.hasNext() && ! aborted && (sent < parameters.getMaxTotalHits() || parameters.getMaxTotalHits() < 0)) {
                var bucket = buckets.getNext();
                for (var place : placed) {
                    Document document = place.document;
                    if ( ! bucket.getSuperbucket().contains(place.bucket) || ! CorpusAccess.accepts(selector, document)) continue;
                    Document copy = new Document(document.getDataType(), document.getId());
                    new FieldSetRepo().copyFields(document, copy, fields);
                    data.onMessage(new PutDocumentMessage(new DocumentPut(copy)), new AckToken(document.getId()));
                    sent++;
                }
                buckets.update(bucket.getSuperbucket(), ProgressToken.FINISHED_BUCKET);
                control.onProgress(buckets.getProgressToken());
            }
            control.onDone(aborted ? CompletionCode.ABORTED : CompletionCode.SUCCESS, "");
        } catch (RuntimeException e) {
            control.onDone(CompletionCode.FAILURE, String.valueOf(e.getMessage()));
        } finally {
            data.onDone();
        }
    }

    private record Placed(Document document, BucketId bucket) {}

    private List<Placed> placed() {
        var buckets = new BucketIdFactory();
        return corpus.inCluster(parameters.getRoute().toString()).stream()
                     .map(document -> new Placed(document, buckets.getBucketId(document.getId()))).toList();
    }

    @Override public boolean isDone() { return control.isDone(); }
    @Override public ProgressToken getProgress() { return buckets.getProgressToken(); }
    @Override public Trace getTrace() { return new Trace(); }
    @Override public boolean waitUntilDone(long milliseconds) throws InterruptedException { return control.waitUntilDone(milliseconds); }
    @Override public void ack(AckToken token) {}
    @Override public void abort() { aborted = true; }
    @Override public VisitorResponse getNext() { throw new UnsupportedOperationException(); }
    @Override public VisitorResponse getNext(int milliseconds) { throw new UnsupportedOperationException(); }
    @Override public void destroy() { abort(); }

}
