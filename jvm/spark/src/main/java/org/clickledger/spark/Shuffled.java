package org.clickledger.spark;

import java.io.Serializable;
import java.util.Iterator;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.function.PairFlatMapFunction;
import org.apache.spark.rdd.PartitionPruningRDD;
import org.apache.spark.util.LongAccumulator;
import org.clickledger.bridge.RecordBlock;
import scala.Tuple2;
import scala.runtime.AbstractFunction1;

/** Records that lie anywhere in any order, and are shuffled to the tasks of their partitions. */
final class Shuffled implements BatchRecords {
    private final JavaRDD<LogRecord> records;

    Shuffled(JavaRDD<LogRecord> records) {
        this.records = records;
    }

    /** Task 0 takes partition 0, the others the other partitions. */
    @Override
    public Blocks blocks(int tasks, LongAccumulator packed) {
        JavaRDD<byte[]> all = records
                .mapPartitionsToPair(new Placing(tasks, packed))
                .repartitionAndSortWithinPartitions(new Tasks(1 + tasks), new Place.Order())
                .values();
        return new Blocks(pruned(all, true), pruned(all, false));
    }

    private static JavaRDD<byte[]> pruned(JavaRDD<byte[]> all, boolean lead) {
        return PartitionPruningRDD.create(all.rdd(), new TaskFilter(lead)).toJavaRDD();
    }

    /** Packs records into blocks, each for the task that reads its partition. */
    private static final class Placing
            implements PairFlatMapFunction<Iterator<LogRecord>, Place, byte[]> {
        private static final long serialVersionUID = 1;
        private final int tasks;
        private final LongAccumulator packed;

        Placing(int tasks, LongAccumulator packed) {
            this.tasks = tasks;
            this.packed = packed;
        }

        @Override
        public Iterator<Tuple2<Place, byte[]>> call(Iterator<LogRecord> records) {
            Packing blocks = new Packing(records, packed);
            return new Iterator<>() {
                @Override
                public boolean hasNext() {
                    return blocks.hasNext();
                }

                @Override
                public Tuple2<Place, byte[]> next() {
                    Packing.Block block = blocks.next();
                    int partition = block.partition();
                    Place place = new Place(taskOf(partition), partition, block.offset());
                    return new Tuple2<>(place, block.frame());
                }
            };
        }

        private int taskOf(int partition) {
            return partition == 0 ? 0 : 1 + Range.taskOf(RecordBlock.group(partition), tasks);
        }
    }

    /** Task 0, or all others. */
    private static final class TaskFilter
            extends AbstractFunction1<Object, Object> implements Serializable {
        private static final long serialVersionUID = 1;
        private final boolean first;

        TaskFilter(boolean first) {
            this.first = first;
        }

        @Override
        public Object apply(Object task) {
            return (Integer) task == 0 == first;
        }
    }
}
