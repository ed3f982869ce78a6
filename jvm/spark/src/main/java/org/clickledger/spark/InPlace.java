package org.clickledger.spark;

import java.io.Serializable;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.rdd.PartitionCoalescer;
import org.apache.spark.rdd.PartitionGroup;
import org.apache.spark.rdd.RDD;
import org.apache.spark.util.LongAccumulator;
import org.clickledger.bridge.RecordBlock;
import scala.Option;

/**
 * Records that are read partition by partition, each in its order: the task that has a partition
 * reads it itself, and no record is shuffled.
 */
final class InPlace implements BatchRecords {
    private final JavaRDD<LogRecord> records;
    private final List<Slice> slices;

    /** @param slices what each partition of {@code records} holds, in their order */
    InPlace(JavaRDD<LogRecord> records, List<Slice> slices) {
        this.records = records;
        this.slices = slices;
    }

    /**
     * A part of a partition of the log: all that a batch has of its offsets from {@code from} on,
     * up to the next slice of that partition.
     */
    record Slice(int partition, long from) implements Serializable {}

    @Override
    public Blocks blocks(int tasks, LongAccumulator packed) {
        return new Blocks(
                read(1, partition -> partition == 0 ? 0 : -1, packed),
                read(tasks, partition -> partition == 0 ? -1 : taskOf(partition, tasks), packed));
    }

    private static int taskOf(int partition, int tasks) {
        return Range.taskOf(RecordBlock.group(partition), tasks);
    }

    /** @param taskOf the task that reads a partition of the log; -1 if none does */
    private JavaRDD<byte[]> read(int tasks, IntFunction<Integer> taskOf, LongAccumulator packed) {
        int[] readers = slices.stream().mapToInt(slice -> taskOf.apply(slice.partition)).toArray();
        int[] order = IntStream.range(0, slices.size())
                .boxed()
                .sorted(Comparator.comparingInt((Integer at) -> slices.get(at).partition)
                        .thenComparingLong(at -> slices.get(at).from))
                .mapToInt(Integer::intValue)
                .toArray();
        return records.rdd()
                .coalesce(tasks, false, Option.apply(new Readers(readers, order)), null)
                .toJavaRDD()
                .mapPartitions(new Ordered(packed));
    }

    /** Which task reads which slices, one after another. */
    private record Readers(int[] taskOf, int[] order) implements PartitionCoalescer, Serializable {
        @Override
        public PartitionGroup[] coalesce(int tasks, RDD<?> slices) {
            PartitionGroup[] groups = new PartitionGroup[tasks];
            for (int slice : order) {
                if (taskOf[slice] >= 0) {
                    var partition = slices.partitions()[slice];
                    PartitionGroup group = groups[taskOf[slice]];
                    if (group == null) {
                        // Where a consumer of that partition may be open still.
                        group = new PartitionGroup(
                                slices.preferredLocations(partition).headOption());
                        groups[taskOf[slice]] = group;
                    }
                    group.partitions().append(partition);
                }
            }
            for (int task = 0; task < tasks; task++) {
                // A task without records carries its state on.
                groups[task] = groups[task] == null
                        ? new PartitionGroup(Option.empty()) : groups[task];
            }
            return groups;
        }
    }

    /** Frames of blocks; fails if the records of a partition do not come in their order. */
    private record Ordered(LongAccumulator packed)
            implements FlatMapFunction<Iterator<LogRecord>, byte[]> {
        @Override
        public Iterator<byte[]> call(Iterator<LogRecord> records) {
            Packing blocks = new Packing(records, packed);
            Map<Integer, Long> ends = new HashMap<>();
            return new Iterator<>() {
                @Override
                public boolean hasNext() {
                    return blocks.hasNext();
                }

                @Override
                public byte[] next() {
                    Packing.Block block = blocks.next();
                    Long before = ends.put(block.partition(), block.end());
                    if (before != null && before > block.offset()) {
                        throw new IllegalStateException(
                                "partition " + block.partition() + " is read out of order: offset "
                                        + block.offset() + " behind " + before);
                    }
                    return block.frame();
                }
            };
        }
    }
}
