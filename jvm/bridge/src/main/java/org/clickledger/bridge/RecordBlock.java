package org.clickledger.bridge;

import java.io.ByteArrayOutputStream;

/** A frame of records of one partition in the making, for a sequence stage. */
public final class RecordBlock {
    /** Key groups of every stage. */
    public static final int GROUPS = 128;
    private static final int GROUP_BITS = 7;

    private final ByteArrayOutputStream bytes;

    /** An empty one that may grow to about so many bytes. */
    public RecordBlock(int partition, int capacity) {
        bytes = new ByteArrayOutputStream(capacity);
        bytes.write(Frame.RECORDS);
        bytes.write(group(partition));
        number(partition, Integer.BYTES);
    }

    /**
     * The key group of a partition's sequence stage: neighbours are far from each other, so that
     * few partitions are spread over all instances.
     */
    public static int group(int partition) {
        return Integer.reverse(partition % GROUPS) >>> Integer.SIZE - GROUP_BITS;
    }

    /** Adds the next record. */
    public void add(long offset, long appendTime, byte[] payload) {
        number(offset, Long.BYTES);
        number(appendTime, Long.BYTES);
        number(payload.length, Long.BYTES);
        bytes.write(payload, 0, payload.length);
    }

    /** Adds records that are bytes already, from {@code start} on. */
    public void add(byte[] records, int start) {
        bytes.write(records, start, records.length - start);
    }

    /** Bytes so far. */
    public int size() {
        return bytes.size();
    }

    /** The frame. */
    public byte[] frame() {
        return bytes.toByteArray();
    }

    private void number(long number, int length) {
        for (int shift = 0; shift < length * Byte.SIZE; shift += Byte.SIZE) {
            bytes.write((int) (number >>> shift));
        }
    }
}
