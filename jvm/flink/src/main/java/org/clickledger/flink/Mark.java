package org.clickledger.flink;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * A frame that never meets the core: all rows of some key groups that changed before an instant are
 * in a partition of the topic of rows already.
 */
final class Mark {
    /** Its port, which the core does not know. */
    static final byte PORT = 6;
    /** What the key of its record begins with; those of rows begin with another letter. */
    private static final byte KEY = 'm';
    private static final int PARTITION_AT = 2;
    private static final int GROUPS_AT = PARTITION_AT + 4;
    private static final int INSTANT_AT = GROUPS_AT + 2;
    private static final int BYTES = INSTANT_AT + 8;

    private Mark() {}

    static byte[] frame(int partition, int firstGroup, int endGroup, long instant) {
        ByteBuffer frame = ByteBuffer.allocate(BYTES).order(ByteOrder.LITTLE_ENDIAN);
        frame.put(PORT).put((byte) 0).putInt(partition);
        return frame.put((byte) firstGroup).put((byte) endGroup).putLong(instant).array();
    }

    static int partition(byte[] frame) {
        return ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN).getInt(PARTITION_AT);
    }

    /** One key for each range of key groups: compaction keeps the newest mark of each. */
    static byte[] key(byte[] frame) {
        return new byte[] {KEY, frame[GROUPS_AT], frame[GROUPS_AT + 1]};
    }

    /** The instant in 8 bytes. */
    static byte[] value(byte[] frame) {
        return Arrays.copyOfRange(frame, INSTANT_AT, BYTES);
    }
}
