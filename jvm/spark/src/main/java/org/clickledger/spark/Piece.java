package org.clickledger.spark;

import com.fasterxml.jackson.annotation.JsonIgnore;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.clickledger.bridge.Kind;

/**
 * Where the state of some key groups of a stage is: a snapshot, and the frames that came in since;
 * of a journalled stage the newest snapshot, and journals, of which the first says all that those
 * before it had said.
 *
 * @param offsets where in the snapshot each group begins
 * @param snapshotBytes its length
 */
record Piece(
        Kind stage,
        int first,
        int end,
        String snapshot,
        List<Long> offsets,
        long snapshotBytes,
        List<Log> logs)
        implements Serializable {

    /** The frames of one batch, after which the stage went to {@code watermark}. */
    record Log(String file, long watermark, long bytes) implements Serializable {}

    /** The key groups. */
    Range range() {
        return new Range(first, end);
    }

    /** Whether it takes a log more, or its logs are as long as the whole state. */
    @JsonIgnore
    boolean takesLog() {
        boolean isJournalled = stage == Kind.JOURNALLED_USER;
        long whole = isJournalled ? logs.get(0).bytes() : snapshotBytes;
        long since = logs.stream().skip(isJournalled ? 1 : 0).mapToLong(Log::bytes).sum();
        return since < whole;
    }

    /** The logs so far and another one. */
    List<Log> logsWith(Log log) {
        List<Log> all = new ArrayList<>(logs);
        all.add(log);
        return all;
    }

    /** Names of its files. */
    List<String> files() {
        List<String> names = new ArrayList<>(logs.stream().map(Log::file).toList());
        names.add(snapshot);
        return names;
    }
}
