package m3kit.peer;

import com.yahoo.document.Document;
import com.yahoo.document.DocumentId;
import com.yahoo.document.DocumentOperation;
import com.yahoo.document.DocumentPut;
import com.yahoo.document.DocumentRemove;
import com.yahoo.document.DocumentUpdate;
import com.yahoo.document.config.DocumentmanagerConfig;
import com.yahoo.document.fieldset.FieldSetRepo;
import com.yahoo.document.select.DocumentSelector;
import com.yahoo.document.select.parser.ParseException;
import com.yahoo.documentapi.AsyncParameters;
import com.yahoo.documentapi.AsyncSession;
import com.yahoo.documentapi.DocumentAccess;
import com.yahoo.documentapi.DocumentAccessParams;
import com.yahoo.documentapi.DocumentOperationParameters;
import com.yahoo.documentapi.DocumentResponse;
import com.yahoo.documentapi.RemoveResponse;
import com.yahoo.documentapi.Response;
import com.yahoo.documentapi.Result;
import com.yahoo.documentapi.SubscriptionParameters;
import com.yahoo.documentapi.SubscriptionSession;
import com.yahoo.documentapi.SyncParameters;
import com.yahoo.documentapi.SyncSession;
import com.yahoo.documentapi.UpdateResponse;
import com.yahoo.documentapi.VisitorDestinationParameters;
import com.yahoo.documentapi.VisitorDestinationSession;
import com.yahoo.documentapi.VisitorParameters;
import com.yahoo.documentapi.VisitorSession;

import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongFunction;

import static com.yahoo.documentapi.DocumentOperationParameters.parameters;

/** Vespa's document API over a {@link Corpus}: what the message bus, the distributor and the content node are in Vespa. */
public final class CorpusAccess extends DocumentAccess {

    private final Corpus corpus;

    public CorpusAccess(DocumentmanagerConfig config, Corpus corpus) {
        super(new DocumentAccessParams().setDocumentmanagerConfig(config));
        this.corpus = corpus;
    }

    @Override public AsyncSession createAsyncSession(AsyncParameters parameters) { return new Session(); }

    @Override public VisitorSession createVisitorSession(VisitorParameters parameters) throws ParseException {
        return new CorpusVisit(corpus, getDocumentTypeManager(), parameters);
    }

    @Override public SyncSession createSyncSession(SyncParameters parameters) { throw unsupported(); }
    @Override public SubscriptionSession createSubscription(SubscriptionParameters parameters) { throw unsupported(); }
    @Override public SubscriptionSession openSubscription(SubscriptionParameters parameters) { throw unsupported(); }
    @Override public VisitorDestinationSession createVisitorDestinationSession(VisitorDestinationParameters parameters) { throw unsupported(); }

    private static RuntimeException unsupported() { return new UnsupportedOperationException("/document/v1 does not use this"); }

    static boolean accepts(DocumentSelector selector, Document document) {
        return selector.accepts(new DocumentPut(document)) == com.yahoo.document.select.Result.TRUE;
    }

    /** Answers in the caller's thread; writes are serialised so that a condition and its write are one step. */
    private final class Session implements AsyncSession {

        private final AtomicLong requests = new AtomicLong();

        @Override public Result put(DocumentPut put, DocumentOperationParameters parameters) {
            return answer(parameters, request -> {
                Document old = corpus.get(put.getId());
                if (refused(put, old, put.getCreateIfNonExistent())) return conditionFailed(request);
                corpus.put(put.getDocument());
                return new DocumentResponse(request, put.getDocument());
            });
        }

        @Override public Result update(DocumentUpdate update, DocumentOperationParameters parameters) {
            return answer(parameters, request -> {
                Document old = corpus.get(update.getId());
                if (refused(update, old, update.getCreateIfNonExistent())) return conditionFailed(request);
                if (old == null && ! update.getCreateIfNonExistent()) return new UpdateResponse(request, false);
                Document changed = old == null ? new Document(update.getDocumentType(), update.getId()) : new Document(old);
                update.applyTo(changed);
                corpus.put(changed);
                return new UpdateResponse(request, true);
            });
        }

        @Override public Result remove(DocumentRemove remove, DocumentOperationParameters parameters) {
            return answer(parameters, request -> {
                Document old = corpus.get(remove.getId());
                if (refused(remove, old, false)) return conditionFailed(request);
                return new RemoveResponse(request, corpus.remove(remove.getId()));
            });
        }

        @Override public Result get(DocumentId id, DocumentOperationParameters parameters) {
            return answer(parameters, request -> {
                Document document = corpus.get(id);
                if (document == null) return new DocumentResponse(request, null);
                Document copy = new Document(document.getDataType(), id);
                var fields = new FieldSetRepo().parse(getDocumentTypeManager(), parameters.fieldSet().orElse("[all]"));
                new FieldSetRepo().copyFields(document, copy, fields);
                return new DocumentResponse(request, copy);
            });
        }

        private boolean refused(DocumentOperation operation, Document old, boolean create) {
            if ( ! operation.getCondition().isPresent()) return false;
            if (old == null) return ! create;
            try {
                return ! accepts(new DocumentSelector(operation.getCondition().getSelection()), old);
            } catch (ParseException e) {
                throw new IllegalArgumentException(e);
            }
        }

        private Response conditionFailed(long request) {
            return new Response(request, "Condition did not match document", Response.Outcome.CONDITION_FAILED);
        }

        private Result answer(DocumentOperationParameters parameters, LongFunction<Response> operation) {
            long request = requests.incrementAndGet();
            Response response;
            synchronized (corpus) {
                try {
                    response = operation.apply(request);
                } catch (RuntimeException e) {
                    response = new Response(request, e.getMessage(), Response.Outcome.ERROR);
                }
            }
            parameters.responseHandler().orElseThrow().handleResponse(response);
            return new Result(request);
        }

        @Override public Result put(Document document) { return put(new DocumentPut(document), parameters()); }
        @Override public Result get(DocumentId id) { return get(id, parameters()); }
        @Override public Result remove(DocumentId id) { return remove(new DocumentRemove(id), parameters()); }
        @Override public Result update(DocumentUpdate update) { return update(update, parameters()); }
        @Override public double getCurrentWindowSize() { return 1000; }
        @Override public Response getNext() { throw unsupported(); }
        @Override public Response getNext(int milliseconds) { throw unsupported(); }
        @Override public void destroy() {}

    }

}
