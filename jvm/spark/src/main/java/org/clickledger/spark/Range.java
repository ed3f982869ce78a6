package org.clickledger.spark;

import java.io.Serializable;
import org.clickledger.bridge.RecordBlock;

/** The key groups from {@code first} to before {@code end}: what one task of a stage has. */
record Range(int first, int end) implements Serializable {
    /** Those of one task out of so many. */
    static Range of(int task, int tasks) {
        return new Range(begin(task, tasks), begin(task + 1, tasks));
    }

    /** All that there are. */
    static Range all() {
        return new Range(0, RecordBlock.GROUPS);
    }

    /** The task that has a key group. */
    static int taskOf(int group, int tasks) {
        return group * tasks / RecordBlock.GROUPS;
    }

    /** The least group of which {@link #taskOf} says so. */
    private static int begin(int task, int tasks) {
        return (task * RecordBlock.GROUPS + tasks - 1) / tasks;
    }

    /** The groups that both have. */
    Range and(Range other) {
        return new Range(Math.max(first, other.first), Math.min(end, other.end));
    }

    boolean contains(int group) {
        return first <= group && group < end;
    }
}
