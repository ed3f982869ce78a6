package org.clickledger.spark;

import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.clickledger.bridge.Kind;
import org.clickledger.bridge.Stage;

/**
 * Writes what a task's stage has become: a snapshot, or, where that would be long and little has
 * come in, the frames that came in.
 */
final class Saving implements AutoCloseable {
    private final StateFiles files;
    private final Kind kind;
    private final Range range;
    private final long batch;
    /** To be continued by a log; null if a snapshot is due. */
    private final Piece before;
    private final String name;
    private final DataOutputStream log;
    private long logBytes;

    /** @param before the piece of this very range, if there is one */
    Saving(StateFiles files, Kind kind, Range range, long batch, Piece before) throws IOException {
        this.files = files;
        this.kind = kind;
        this.range = range;
        this.batch = batch;
        boolean logs = isLogged(kind) && before != null && before.takesLog();
        this.before = logs ? before : null;
        String what = kind.name().toLowerCase() + "-" + range.first() + "-" + range.end();
        name = StateFiles.name(batch, what);
        log = logs ? create() : null;
    }

    /** Others hold little but what came in. */
    private static boolean isLogged(Kind kind) {
        return kind == Kind.USER || kind == Kind.WINDOW;
    }

    /** Notes a frame that the stage takes. */
    void took(byte[] frame) throws IOException {
        if (log != null) {
            log.writeInt(frame.length);
            log.write(frame);
            logBytes += Integer.BYTES + frame.length;
        }
    }

    /** Where the state is, of a stage that has gone to this watermark. */
    Piece finish(Stage stage, long watermark) throws IOException {
        if (log != null) {
            log.close();
            return before.with(new Piece.Log(name, watermark, logBytes));
        }
        List<Long> offsets = new ArrayList<>();
        long bytes = 0;
        try (DataOutputStream out = create()) {
            for (int group = range.first(); group < range.end(); group++) {
                offsets.add(bytes);
                bytes += stage.snapshot(group, out);
            }
        }
        return new Piece(kind, range.first(), range.end(), name, offsets, bytes, List.of());
    }

    private DataOutputStream create() throws IOException {
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
