package org.clickledger.bridge;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * Loads the native library: the file that the property {@code clickledger.library} names, else the
 * one packed beside this class, by way of a temporary file that no other class loader uses.
 */
final class Library {
    private static final String PROPERTY = "clickledger.library";

    private Library() {}

    static void load() {
        String file = System.getProperty(PROPERTY);
        try {
            if (file != null) {
                System.load(Path.of(file).toAbsolutePath().toString());
            } else {
                loadPacked();
            }
        } catch (IOException | UnsatisfiedLinkError e) {
            throw new IllegalStateException(
                    "cannot load the native library of clickledger (" + e.getMessage()
                            + "): put the bridge's jar for " + platform()
                            + " into lib/, or name the file by -D" + PROPERTY,
                    e);
        }
    }

    private static void loadPacked() throws IOException {
        String name = "/native/" + platform() + "/libclick_jvm.so";
        try (InputStream packed = Library.class.getResourceAsStream(name)) {
            if (packed == null) {
                throw new IOException("the jar does not hold " + name);
            }
            Path copy = Files.createTempFile("clickledger-", ".so");
            try {
                Files.copy(packed, copy, StandardCopyOption.REPLACE_EXISTING);
                System.load(copy.toString());
            } finally {
                Files.deleteIfExists(copy);
            }
        }
    }

    private static String platform() {
        String system = System.getProperty("os.name").toLowerCase();
        String machine = System.getProperty("os.arch");
        return system + "-" + machine.replace("amd64", "x86-64").replace("aarch64", "arm64");
    }
}
