package org.clickledger.bridge;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/** A frame of records of one partition in the making, for a sequence stage. */
public final class RecordBlock {
    /** Key groups of every stage. */
    public static final int GROUPS = 128;
    private static final int GROUP_BITS = 7;
    private static final int HEAD_BYTES = 3 * Long.BYTES;

    private ByteBuffer bytes;

    /** An empty one that may grow to about so many bytes. */
    public RecordBlock(int partition, int capacity) {
        bytes = ByteBuffer.allocate(capacity).order(ByteOrder.LITTLE_ENDIAN);
        bytes.put(Frame.RECORDS).put((byte) group(partition)).putInt(partition);
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
        reserve(HEAD_BYTES + payload.length);
        bytes.putLong(offset).putLong(appendTime).putLong(payload.length).put(payload);
    }

    /** Adds the next record: all that is left of {@code payload}. */
    public void add(long offset, long appendTime, ByteBuffer payload) {
        reserve(HEAD_BYTES + payload.remaining());
        bytes.putLong(offset).putLong(appendTime).putLong(payload.remaining()).put(payload);
    }

    /** Adds records that are bytes already, from {@code start} on. */
    public void add(byte[] records, int start) {
        reserve(records.length - start);
        bytes.put(records, start, records.length - start);
    }

    private void reserve(int more) {
        if (bytes.remaining() < more) {
            int capacity = Math.max(2 * bytes.capacity(), bytes.position() + more);
            ByteBuffer larger = ByteBuffer.allocate(capacity).order(ByteOrder.LITTLE_ENDIAN);
            bytes = larger.put(bytes.flip());
        }
    }

    /** Bytes so far. */
    public int size() {
        return bytes.position();
    }

    /** The frame. */
    public byte[] frame() {
        return Arrays.copyOf(bytes.array(), bytes.position());
    }
}
