package org.clickledger.spark;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.Serializable;
import java.util.UUID;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.util.SerializableConfiguration;

/** Files of state, for tasks: each is written once, under a name that nobody else gives. */
final class StateFiles implements Serializable {
    private static final long serialVersionUID = 1;
    static final String FOLDER = "data";
    private static final int BUFFER_BYTES = 1 << 20;

    private final String root;
    private final Broadcast<SerializableConfiguration> settings;

    /** Below a folder that every executor reaches. */
    StateFiles(String root, Broadcast<SerializableConfiguration> settings) {
        this.root = root;
        this.settings = settings;
    }

    /** A name of a file of this batch. */
    static String name(long batch, String what) {
        return batch + "-" + what + "-" + UUID.randomUUID();
    }

    /** The batch of a file of this name. */
    static long batchOf(String name) {
        return Long.parseLong(name.substring(0, name.indexOf('-')));
    }


    FSDataInputStream open(String name) throws IOException {
        return system().open(path(name));
    }

    /**
     * For many small pieces. To be closed: only then it is whole.
     *
     * <p>The file system has a buffer of its own, behind the one in front of its sums: without that
     * a local disk is written to nine sums at a time.
     */
    OutputStream createBuffered(String name) throws IOException {
        return new BufferedOutputStream(
                system().create(path(name), false, BUFFER_BYTES), BUFFER_BYTES);
    }

    /** As {@link #open}, from the beginning. */
    InputStream openBuffered(String name) throws IOException {
        return new BufferedInputStream(open(name), BUFFER_BYTES);
    }

    private Path path(String name) {
        return new Path(new Path(root, FOLDER), name);
    }

    private FileSystem system() throws IOException {
        return new Path(root).getFileSystem(settings.value().value());
    }
}
