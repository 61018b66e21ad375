package m3kit.peer;

import com.yahoo.text.XML;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import java.io.File;
import java.util.ArrayList;
import java.util.List;

/** What has to be changed in a copy of services.xml, so that the container finds its content node in its own process. */
final class Services {

    private Services() {}

    /**
     * Sets the container's port, and returns the ids of the content clusters. The model inside the container has no
     * content clusters of its own, so the document API is told of them by configuration.
     */
    static List<String> adapt(File services, int port) throws Exception {
        Document document = XML.getDocument(services);
        Element root = document.getDocumentElement(), container = XML.getChild(root, "container");
        if (container == null) throw new IllegalArgumentException("services.xml has no container to serve it");
        for (Element http : XML.getChildren(container, "http")) container.removeChild(http);
        add(add(container, "http"), "server", "id", "default", "port", Integer.toString(port));
        add(add(container, "config", "name", "vespa.config.search.dispatch"), "warmuptime").setTextContent("0.0");
        Element clusters = add(add(container, "config", "name", "cloud.config.cluster-list"), "storage");
        Element spaces = add(add(container, "config", "name", "vespa.config.content.all-clusters-bucket-spaces"), "cluster");
        List<String> ids = new ArrayList<>();
        for (Element content : XML.getChildren(root, "content")) {
            String id = content.getAttribute("id").isEmpty() ? "content" : content.getAttribute("id");
            ids.add(id);
            Element cluster = add(clusters, "item");
            add(cluster, "name").setTextContent(id);
            add(cluster, "configid").setTextContent(id);
            Element types = add(add(spaces, "item", "key", id), "documentType");
            Element documents = XML.getChild(content, "documents");
            requireKept(documents);
            for (Element type : XML.getChildren(documents, "document")) {
                requireKept(type);
                add(add(types, "item", "key", type.getAttribute("type")), "bucketSpace").setTextContent("default");
            }
        }
        TransformerFactory.newInstance().newTransformer().transform(new DOMSource(document), new StreamResult(services));
        return ids;
    }

    private static void requireKept(Element documents) {
        if (documents.hasAttribute("selection") || documents.hasAttribute("garbage-collection"))
            throw new IllegalArgumentException("The peer keeps all documents, whatever the selection in services.xml");
    }

    private static Element add(Element parent, String name, String... attributes) {
        Element child = parent.getOwnerDocument().createElement(name);
        for (int i = 0; i < attributes.length; i += 2) child.setAttribute(attributes[i], attributes[i + 1]);
        parent.appendChild(child);
        return child;
    }

}
