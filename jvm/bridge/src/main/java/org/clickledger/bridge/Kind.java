package org.clickledger.bridge;

/** The stages, in the order of the numbers that the native library knows them by. */
public enum Kind {
    /** Sequence of partition 0, where the policies are: one instance, before all others. */
    LEAD,
    /** Sequence of the other partitions. */
    SEQUENCE,
    /** Duplicates and double clicks. */
    USER,
    /** Bursts, verdicts, and the counting. */
    SOURCE,
    /** Rows. */
    WINDOW,
    /**
     * As {@link #USER}, for hosts that keep a journal of what it remembers: told in frames, and
     * left out of snapshots.
     */
    JOURNALLED_USER
}
