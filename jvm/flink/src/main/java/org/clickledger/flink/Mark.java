package org.clickledger.flink;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.clickledger.bridge.Frame;
import org.clickledger.kafka.Records;

/**
 * A window stage's mark for one partition of the topic of rows: all rows of some key groups that
 * changed before an instant are in there already. A frame, on its way to the sink.
 */
final class Mark {
    private static final int KEY_AT = Frame.HEAD + Integer.BYTES;
    private static final int VALUE_AT = KEY_AT + Records.markKey(0, 0).length;

    private Mark() {}

    /**
     * @param told the stage's own frame
     * @param all whether rows are there, too, in which only undecided clicks are new
     */
    static byte[] frame(int partition, int first, int end, byte[] told, boolean all) {
        byte[] value = Records.markValue(told, all);
        ByteBuffer frame = ByteBuffer.allocate(VALUE_AT + value.length);
        frame.order(ByteOrder.LITTLE_ENDIAN).put(Frame.MARK).put((byte) 0).putInt(partition);
        return frame.put(Records.markKey(first, end)).put(value).array();
    }

    static ProducerRecord<byte[], byte[]> record(String topic, byte[] frame) {
        int partition = ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN).getInt(Frame.HEAD);
        byte[] key = Arrays.copyOfRange(frame, KEY_AT, VALUE_AT);
        byte[] value = Arrays.copyOfRange(frame, VALUE_AT, frame.length);
        return new ProducerRecord<>(topic, partition, key, value);
    }
}
