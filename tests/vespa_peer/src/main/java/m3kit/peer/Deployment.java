package m3kit.peer;

import com.yahoo.component.Version;
import com.yahoo.config.model.NullConfigModelRegistry;
import com.yahoo.config.model.api.HostProvisioner;
import com.yahoo.config.model.api.ValidationParameters;
import com.yahoo.config.model.application.provider.ApplicationPackageXmlFilesValidator;
import com.yahoo.config.model.application.provider.FilesApplicationPackage;
import com.yahoo.config.model.deploy.DeployState;
import com.yahoo.config.model.deploy.TestProperties;
import com.yahoo.config.model.provision.SingleNodeProvisioner;
import com.yahoo.vespa.model.VespaModel;
import com.yahoo.vespa.model.application.validation.Validation;
import com.yahoo.yolean.Exceptions;

import java.io.File;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;

/** What a config server does with an application package: XML schemas, model building, validation. All of it is Vespa's code. */
final class Deployment {

    private Deployment() {}

    static VespaModel model(File directory, List<String> warnings, HostProvisioner hosts) throws Exception {
        var application = FilesApplicationPackage.fromDir(directory, Map.of());
        var xml = ApplicationPackageXmlFilesValidator.create(directory, new Version(8));
        xml.checkApplication();
        xml.checkIncludedDirs(application);
        var state = new DeployState.Builder().applicationPackage(application).properties(new TestProperties()).modelHostProvisioner(hosts)
                .deployLogger((level, message) -> warn(level, message, warnings)).build();
        var model = new VespaModel(new NullConfigModelRegistry(), state);
        new Validation().validate(model, new ValidationParameters(ValidationParameters.CheckRouting.FALSE), state);
        return model;
    }

    /** The verdict is OK, UNSURE where there are warnings, or INVALID where Vespa refuses the package. */
    record Report(String verdict, List<String> messages) {}

    static Report validate(File directory) {
        List<String> warnings = new ArrayList<>();
        try {
            for (var cluster : model(directory, warnings, new SingleNodeProvisioner()).getSearchClusters())
                Catalog.of(cluster).values().forEach(catalog -> warnings.addAll(unknown(catalog)));
        } catch (Exception | LinkageError | StackOverflowError e) {
            return new Report("INVALID", List.of(Exceptions.toMessageString(e)));
        }
        return new Report(warnings.isEmpty() ? "OK" : "UNSURE", warnings);
    }

    /** What this schema uses of Vespa that only a content node of Vespa's own could check, or do. */
    private static List<String> unknown(Catalog catalog) {
        List<String> unknown = new ArrayList<>(catalog.undone());
        catalog.profiles().values().forEach(profile -> RankNames.unknown(profile, catalog).forEach(
                name -> unknown.add("Rank profile '" + profile.name + "' uses '" + name + "', which the peer does not know")));
        return unknown;
    }

    private static void warn(Level level, String message, List<String> warnings) {
        if (level.intValue() >= Level.WARNING.intValue() && ! message.contains("vespa-verify-ranksetup-bin")) warnings.add(message);
    }

}
