package org.clickledger.spark;

import java.util.Iterator;
import java.util.NoSuchElementException;
import org.apache.spark.util.LongAccumulator;
import org.clickledger.bridge.RecordBlock;

/** Packs records into blocks, each of records that follow one another in one partition. */
final class Packing implements Iterator<Packing.Block> {
    private static final int BLOCK_BYTES = 64 * 1024;
    /** The last record of a block mostly fits in without another allocation. */
    private static final int CAPACITY_BYTES = BLOCK_BYTES + 4 * 1024;

    private final Iterator<LogRecord> records;
    private final LongAccumulator packed;
    private LogRecord next;

    /** @param packed counts records */
    Packing(Iterator<LogRecord> records, LongAccumulator packed) {
        this.records = records;
        this.packed = packed;
        step();
    }

    /**
     * Records from {@code offset} to before {@code end}.
     *
     * @param frame for a sequence stage
     */
    record Block(int partition, long offset, long end, byte[] frame) {}

    private void step() {
        next = records.hasNext() ? records.next() : null;
    }

    @Override
    public boolean hasNext() {
        return next != null;
    }

    @Override
    public Block next() {
        if (next == null) {
            throw new NoSuchElementException();
        }
        int partition = next.partition();
        long offset = next.offset();
        RecordBlock block = new RecordBlock(partition, CAPACITY_BYTES);
        long end = offset;
        // Files of a partition may come in any order: a gap may be filled by another block.
        while (next != null && next.partition() == partition && next.offset() == end
                && block.size() < BLOCK_BYTES) {
            block.add(next.offset(), next.appendTime(), next.payload());
            end++;
            step();
        }
        packed.add(end - offset);
        return new Block(partition, offset, end, block.frame());
    }
}
