package org.clickledger.flink;

import java.io.Serializable;

/**
 * How often sequence stages go on, and where they stop on their way.
 *
 * @param everyMs between two looks for what may be decided
 * @param stops instants that are told one by one, in their order, where they are passed: rows are
 *     handed out as of each; between others only the newest is told
 */
record Pace(long everyMs, long[] stops) implements Serializable {
    private static final long serialVersionUID = 1;

    Pace(long everyMs) {
        this(everyMs, new long[0]);
    }
}
