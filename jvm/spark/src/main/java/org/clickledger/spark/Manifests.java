package org.clickledger.spark;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.execution.streaming.checkpointing.CheckpointFileManager;

/**
 * What the driver does with state: one manifest a batch names the files that count, whatever else
 * tasks that failed or ran twice have left behind. Written whole or not at all.
 */
final class Manifests {
    private static final String FOLDER = "manifests";

    private final Path root;
    private final CheckpointFileManager files;
    /** What the manifests name that this driver has seen; they are read once. */
    private final Map<Long, List<String>> named = new HashMap<>();

    Manifests(String root, Configuration settings) {
        this.root = new Path(root);
        files = CheckpointFileManager.create(this.root, settings);
        files.mkdirs(new Path(this.root, FOLDER));
        files.mkdirs(new Path(this.root, StateFiles.FOLDER));
    }

    /** The state that a batch of a query begins with. */
    Manifest before(long batch, String query) throws IOException {
        if (batch == 0) {
            for (FileStatus file : list(FOLDER)) {
                checkQuery(read(file.getPath()), query);
            }
            return Manifest.none(query);
        }
        try {
            Manifest manifest = read(path(batch - 1));
            checkQuery(manifest, query);
            return manifest;
        } catch (FileNotFoundException e) {
            throw new IllegalStateException(
                    "batch " + batch + " begins with the state of batch " + (batch - 1) + ", which "
                            + root + " does not hold: name the folder that the query has used, or"
                            + " begin again with new folders for --state and --checkpoint",
                    e);
        }
    }

    private void checkQuery(Manifest manifest, String query) {
        if (manifest.format() != Manifest.FORMAT || !manifest.query().equals(query)) {
            throw new IllegalStateException(
                    root + " holds the state of query " + manifest.query() + ", format "
                            + manifest.format() + ", and not of " + query + ", format "
                            + Manifest.FORMAT + ": each folder for --checkpoint needs a folder for"
                            + " --state of its own");
        }
    }

    /** Has it count. A batch that is done again writes its manifest again, of the same state. */
    void write(Manifest manifest) throws IOException {
        byte[] json = Manifest.write(manifest).getBytes(StandardCharsets.UTF_8);
        var out = files.createAtomic(path(manifest.batch()), true);
        try {
            out.write(json);
            out.close();
        } catch (IOException e) {
            out.cancel();
            throw e;
        }
        named.put(manifest.batch(), names(manifest));
    }

    /** Removes manifests before the last {@code kept}, and files that none of the others names. */
    void sweep(long newest, int kept) throws IOException {
        Set<String> needed = new HashSet<>();
        for (FileStatus file : list(FOLDER)) {
            long number = numberOf(file);
            if (number <= newest - kept) {
                files.delete(file.getPath());
                named.remove(number);
            } else {
                if (!named.containsKey(number)) {
                    named.put(number, names(read(file.getPath())));
                }
                needed.addAll(named.get(number));
            }
        }
        for (FileStatus file : list(StateFiles.FOLDER)) {
            String name = file.getPath().getName();
            // Those of a batch that runs are not named yet.
            if (StateFiles.batchOf(name) <= newest && !needed.contains(name)) {
                files.delete(file.getPath());
            }
        }
    }

    private static List<String> names(Manifest manifest) {
        return manifest.pieces().stream().flatMap(piece -> piece.files().stream()).toList();
    }

    private Manifest read(Path path) throws IOException {
        try (FSDataInputStream in = files.open(path)) {
            String json = new String(in.readAllBytes(), StandardCharsets.UTF_8);
            return Manifest.read(json, Manifest.class);
        }
    }

    private FileStatus[] list(String folder) {
        // Others are on their way, or sums beside files.
        return files.list(
                new Path(root, folder), path -> Character.isDigit(path.getName().charAt(0)));
    }

    private static long numberOf(FileStatus manifest) {
        String name = manifest.getPath().getName();
        return Long.parseLong(name.substring(0, name.indexOf('.')));
    }

    private Path path(long batch) {
        return new Path(new Path(root, FOLDER), batch + ".json");
    }
}
