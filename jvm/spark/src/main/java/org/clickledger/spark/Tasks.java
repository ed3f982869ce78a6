package org.clickledger.spark;

import org.apache.spark.Partitioner;

/** Sends what is keyed by the number of a task, or by a place, to that task. */
final class Tasks extends Partitioner {
    private static final long serialVersionUID = 1;

    private final int count;

    Tasks(int count) {
        this.count = count;
    }

    @Override
    public int numPartitions() {
        return count;
    }

    @Override
    public int getPartition(Object key) {
        return key instanceof Place place ? place.task() : (Integer) key;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Tasks tasks && tasks.count == count;
    }

    @Override
    public int hashCode() {
        return count;
    }
}
