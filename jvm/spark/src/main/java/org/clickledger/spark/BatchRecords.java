package org.clickledger.spark;

import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.util.LongAccumulator;

/** The records of a batch, and how they come to the sequence stages. */
interface BatchRecords {
    /**
     * @param tasks of the sequence stages that follow the one of partition 0
     * @param packed counts records
     */
    Blocks blocks(int tasks, LongAccumulator packed);

    /**
     * Frames of records, of each partition in the order of the log.
     *
     * @param lead of partition 0, for one task
     * @param others of the other partitions, for the tasks that have their key groups
     */
    record Blocks(JavaRDD<byte[]> lead, JavaRDD<byte[]> others) {}
}
