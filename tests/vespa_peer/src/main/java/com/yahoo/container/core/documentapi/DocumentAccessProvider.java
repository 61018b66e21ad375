package com.yahoo.container.core.documentapi;

import com.yahoo.component.annotation.Inject;
import com.yahoo.container.di.componentgraph.Provider;
import com.yahoo.document.config.DocumentmanagerConfig;
import com.yahoo.documentapi.DocumentAccess;
import com.yahoo.messagebus.MessagebusConfig;
import m3kit.peer.Corpus;
import m3kit.peer.CorpusAccess;

/**
 * Takes the place, on the class path, of the component of the same name, which would connect to a message bus.
 * This is the one seam by which /document/v1 writes into our memory; the handler itself is Vespa's.
 */
public class DocumentAccessProvider implements Provider<VespaDocumentAccess> {

    private final VespaDocumentAccess access;

    @Inject
    public DocumentAccessProvider(DocumentmanagerConfig documents, MessagebusConfig messages) {
        DocumentAccess corpus = new CorpusAccess(documents, Corpus.SHARED);
        this.access = new VespaDocumentAccess(documents, "", messages) {
            @Override public DocumentAccess delegate() { return corpus; }
        };
    }

    @Override public VespaDocumentAccess get() { return access; }
    @Override public void deconstruct() {}

}
