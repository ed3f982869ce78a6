package org.clickledger.kafka;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.clickledger.bridge.Frame;

/** What leaves the stages, as records of topics. */
public final class Records {
    /** What the key of a mark begins with; those of rows begin with another letter. */
    private static final byte MARK = 'm';

    private Records() {}

    /** A row by its key; its version is in it. */
    public static ProducerRecord<byte[], byte[]> row(String topic, byte[] frame) {
        byte[] row = Arrays.copyOfRange(frame, Frame.ROW_AT, frame.length);
        return new ProducerRecord<>(topic, Frame.rowKey(frame), row);
    }

    /** The key of a mark of these key groups: compaction keeps the newest of each range. */
    public static byte[] markKey(int first, int end) {
        return new byte[] {MARK, (byte) first, (byte) end};
    }

    /**
     * What a mark says: what the window stage told, an instant and a minute, and whether rows are
     * there, too, in which only undecided clicks are new.
     */
    public static byte[] markValue(byte[] frame, boolean all) {
        byte[] value = Arrays.copyOfRange(frame, Frame.HEAD, frame.length + 1);
        value[value.length - 1] = (byte) (all ? 1 : 0);
        return value;
    }

    /** Verdicts in a batch, by no key. */
    public static ProducerRecord<byte[], byte[]> verdicts(String topic, byte[] frame) {
        return new ProducerRecord<>(topic, Arrays.copyOfRange(frame, Frame.HEAD, frame.length));
    }

    /** Dead letters one by one, as {@code PARTITION:OFFSET:REASON}; they are in the log. */
    public static List<byte[]> deadLetters(byte[] frame) {
        List<byte[]> lines = new ArrayList<>();
        ByteBuffer letters = ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN);
        letters.position(Frame.HEAD);
        while (letters.hasRemaining()) {
            String place = letters.getInt() + ":" + letters.getLong() + ":";
            byte[] reason = new byte[Math.toIntExact(letters.getLong())];
            letters.get(reason);
            String line = place + new String(reason, StandardCharsets.UTF_8);
            lines.add(line.getBytes(StandardCharsets.UTF_8));
        }
        return lines;
    }

    /** Such a line is the key of its record. */
    public static ProducerRecord<byte[], byte[]> deadLetter(String topic, byte[] line) {
        return new ProducerRecord<>(topic, line, null);
    }
}
