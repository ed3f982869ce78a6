package org.clickledger.spark;

import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import org.clickledger.bridge.Kind;
import org.clickledger.bridge.Stage;

/**
 * Writes what a task's stage has become: a snapshot, or, where that would be long and little has
 * come in, the frames that came in; of a journalled stage a snapshot and what it remembers, which
 * is only what is new where little is.
 */
final class Saving implements AutoCloseable {
    private final StateFiles files;
    private final Kind kind;
    private final Range range;
    private final long batch;
    /** To be continued by a log; null if the whole state is due. */
    private final Piece before;
    private final String what;
    private final String logName;
    private final DataOutputStream log;
    private long logBytes;

    /** @param before the piece of this very range, if there is one */
    Saving(StateFiles files, Kind kind, Range range, long batch, Piece before) throws IOException {
        this.files = files;
        this.kind = kind;
        this.range = range;
        this.batch = batch;
        boolean logs = kind == Kind.WINDOW || kind == Kind.JOURNALLED_USER;
        this.before = logs && before != null && before.takesLog() ? before : null;
        what = kind.name().toLowerCase() + "-" + range.first() + "-" + range.end();
        logName = StateFiles.name(batch, "log-" + what);
        log = isJournalled() || this.before != null ? create(logName) : null;
    }

    private boolean isJournalled() {
        return kind == Kind.JOURNALLED_USER;
    }

    /** Notes a frame that the stage takes. */
    void took(byte[] frame) throws IOException {
        if (before != null && !isJournalled()) {
            write(frame);
        }
    }

    /** Notes what the stage tells of what it remembers now. */
    void remembers(byte[] frame) {
        try {
            if (before != null) {
                write(frame);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void write(byte[] frame) throws IOException {
        log.writeInt(frame.length);
        log.write(frame);
        logBytes += Integer.BYTES + frame.length;
    }

    /** Where the state is, of a stage that has gone to this watermark. */
    Piece finish(Stage stage, long watermark) throws IOException {
        if (isJournalled()) {
            return snapshot(stage, journals(stage, watermark));
        }
        if (before != null) {
            return new Piece(
                    kind, range.first(), range.end(), before.snapshot(), before.offsets(),
                    before.snapshotBytes(), before.logsWith(closed(watermark)));
        }
        return snapshot(stage, List.of());
    }

    private List<Piece.Log> journals(Stage stage, long watermark) throws IOException {
        if (before != null) {
            return before.logsWith(closed(watermark));
        }
        List<byte[]> frames = new ArrayList<>();
        for (int group = range.first(); group < range.end(); group++) {
            stage.journal(group, frames::add);
            for (byte[] frame : frames) {
                write(frame);
            }
            frames.clear();
        }
        return List.of(closed(watermark));
    }

    private Piece.Log closed(long watermark) throws IOException {
        log.close();
        return new Piece.Log(logName, watermark, logBytes);
    }

    private Piece snapshot(Stage stage, List<Piece.Log> logs) throws IOException {
        String name = StateFiles.name(batch, what);
        List<Long> offsets = new ArrayList<>();
        long bytes = 0;
        try (DataOutputStream out = create(name)) {
            for (int group = range.first(); group < range.end(); group++) {
                offsets.add(bytes);
                bytes += stage.snapshot(group, out);
            }
        }
        return new Piece(kind, range.first(), range.end(), name, offsets, bytes, logs);
    }

    private DataOutputStream create(String name) throws IOException {
        return new DataOutputStream(files.createBuffered(name));
    }

    /** What was not finished is not named, and is swept. */
    @Override
    public void close() throws IOException {
        if (log != null) {
            log.close();
        }
    }
}
