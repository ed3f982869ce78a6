package org.clickledger.flink;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.clickledger.bridge.Frame;

/**
 * A window stage's mark for one partition of the topic of rows: all rows of some key groups that
 * changed before an instant are in there already.
 */
final class Mark {
    /** What the key of its record begins with; those of rows begin with another letter. */
    private static final byte KEY = 'm';
    private static final int PARTITION_AT = 2;
    private static final int GROUPS_AT = PARTITION_AT + 4;
    private static final int INSTANT_AT = GROUPS_AT + 2;
    /** An instant, the first minute that can still change, and whether all rows are there. */
    private static final int VALUE_BYTES = 8 + 4 + 1;

    private Mark() {}

    /**
     * @param told the stage's own frame
     * @param all whether rows are there, too, in which only undecided clicks are new
     */
    static byte[] frame(int partition, int firstGroup, int endGroup, byte[] told, boolean all) {
        ByteBuffer frame = ByteBuffer.allocate(INSTANT_AT + VALUE_BYTES);
        frame.order(ByteOrder.LITTLE_ENDIAN).put(Frame.MARK).put((byte) 0).putInt(partition);
        frame.put((byte) firstGroup).put((byte) endGroup);
        frame.put(told, Frame.HEAD, VALUE_BYTES - 1);
        return frame.put((byte) (all ? 1 : 0)).array();
    }

    static int partition(byte[] frame) {
        return ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN).getInt(PARTITION_AT);
    }

    /** One key for each range of key groups: compaction keeps the newest mark of each. */
    static byte[] key(byte[] frame) {
        return new byte[] {KEY, frame[GROUPS_AT], frame[GROUPS_AT + 1]};
    }

    /** The instant in 8 bytes, the minute in 4, and 1 if all rows are there. */
    static byte[] value(byte[] frame) {
        return Arrays.copyOfRange(frame, INSTANT_AT, frame.length);
    }
}
