package org.clickledger.spark;

import com.fasterxml.jackson.annotation.JsonIgnore;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.clickledger.bridge.Kind;

/**
 * Where the state of some key groups of a stage is: a snapshot, and what came in since.
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

    /** Whether it takes a log more, or its logs are as long as another snapshot. */
    @JsonIgnore
    boolean takesLog() {
        return logs.stream().mapToLong(Log::bytes).sum() < snapshotBytes;
    }

    Piece with(Log log) {
        List<Log> all = new ArrayList<>(logs);
        all.add(log);
        return new Piece(stage, first, end, snapshot, offsets, snapshotBytes, all);
    }

    /** Names of its files. */
    List<String> files() {
        List<String> names = new ArrayList<>(logs.stream().map(Log::file).toList());
        names.add(snapshot);
        return names;
    }
}
