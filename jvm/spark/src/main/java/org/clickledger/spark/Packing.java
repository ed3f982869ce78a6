package org.clickledger.spark;

import java.util.Iterator;
import java.util.NoSuchElementException;
import org.apache.spark.api.java.function.PairFlatMapFunction;
import org.apache.spark.util.LongAccumulator;
import org.clickledger.bridge.RecordBlock;
import scala.Tuple2;

/** Packs records into blocks, each for the task that reads its partition. */
final class Packing implements PairFlatMapFunction<Iterator<LogRecord>, Place, byte[]> {
    private static final long serialVersionUID = 1;
    private static final int BLOCK_BYTES = 64 * 1024;
    /** The last record of a block mostly fits in without another allocation. */
    private static final int CAPACITY_BYTES = BLOCK_BYTES + 4 * 1024;

    private final int tasks;
    private final LongAccumulator packed;

    /**
     * @param tasks of the sequence stages, which follow that of partition 0
     * @param packed counts records
     */
    Packing(int tasks, LongAccumulator packed) {
        this.tasks = tasks;
        this.packed = packed;
    }

    @Override
    public Iterator<Tuple2<Place, byte[]>> call(Iterator<LogRecord> records) {
        return new Blocks(records);
    }

    private int taskOf(int partition) {
        return partition == 0 ? 0 : 1 + Range.taskOf(RecordBlock.group(partition), tasks);
    }

    /** One at a time, each of records that follow one another in one partition. */
    private final class Blocks implements Iterator<Tuple2<Place, byte[]>> {
        private final Iterator<LogRecord> records;
        private LogRecord next;

        Blocks(Iterator<LogRecord> records) {
            this.records = records;
            step();
        }

        private void step() {
            next = records.hasNext() ? records.next() : null;
        }

        @Override
        public boolean hasNext() {
            return next != null;
        }

        @Override
        public Tuple2<Place, byte[]> next() {
            if (next == null) {
                throw new NoSuchElementException();
            }
            int partition = next.partition();
            Place place = new Place(taskOf(partition), partition, next.offset());
            RecordBlock block = new RecordBlock(partition, CAPACITY_BYTES);
            long count = 0;
            long behind = next.offset();
            // Files of a partition may come in any order: a gap may be filled by another block.
            while (next != null && next.partition() == partition && next.offset() == behind
                    && block.size() < BLOCK_BYTES) {
                block.add(next.offset(), next.appendTime(), next.payload());
                count++;
                behind++;
                step();
            }
            packed.add(count);
            return new Tuple2<>(place, block.frame());
        }
    }
}
