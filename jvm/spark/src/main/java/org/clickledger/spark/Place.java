package org.clickledger.spark;

import java.io.Serializable;
import java.util.Comparator;

/** Where a block of records belongs: the task that takes it, and its place in the log. */
final class Place implements Serializable {
    private static final long serialVersionUID = 1;

    private int task;
    private int partition;
    private long offset;

    Place(int task, int partition, long offset) {
        this.task = task;
        this.partition = partition;
        this.offset = offset;
    }

    int task() {
        return task;
    }

    /** The order of the log within each partition. */
    static final class Order implements Comparator<Place>, Serializable {
        private static final long serialVersionUID = 1;

        @Override
        public int compare(Place one, Place other) {
            int byPartition = Integer.compare(one.partition, other.partition);
            return byPartition != 0 ? byPartition : Long.compare(one.offset, other.offset);
        }
    }
}
