package m3kit.peer;

import com.yahoo.slime.Cursor;
import com.yahoo.slime.Slime;
import com.yahoo.slime.SlimeUtils;

import java.io.File;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** {@code validate <package>...}: deploy-time validation. {@code serve <package> <port> <scratch>}: a Vespa with documents in memory. */
public final class Main {

    private Main() {}

    public static void main(String[] arguments) {
        switch (arguments.length == 0 ? "" : arguments[0]) {
            case "validate" -> validate(arguments);
            case "serve" -> serve(Path.of(arguments[1]), Integer.parseInt(arguments[2]), Path.of(arguments[3]));
            default -> {
                System.err.println("usage: validate <package>... | serve <package> <port> <scratch>");
                System.exit(2);
            }
        }
    }

    /** Prints one line of JSON for each package; whatever else wants to print goes to the error stream. */
    private static void validate(String[] arguments) {
        var out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        for (int i = 1; i < arguments.length; i++) {
            var report = Deployment.validate(new File(arguments[i]));
            Slime slime = new Slime();
            Cursor root = slime.setObject();
            root.setString("verdict", report.verdict());
            Cursor messages = root.setArray("messages");
            report.messages().forEach(messages::addString);
            out.println(SlimeUtils.toJson(slime));
        }
        System.exit(0);
    }

    /** Serves until it is terminated, or until the process that started it is gone. */
    private static void serve(Path application, int port, Path scratch) {
        ProcessHandle.current().parent().ifPresent(parent -> parent.onExit().thenRun(() -> System.exit(0)));
        try {
            Server.serve(application, port, scratch);
        } catch (Exception | LinkageError e) {
            e.printStackTrace();
            System.exit(1);     // threads of the half-started container would keep the process alive
        }
    }

}
