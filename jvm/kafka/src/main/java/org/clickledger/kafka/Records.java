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
    private static final int LENGTH_BYTES = 4;
    /** What the key of a mark begins with; those of rows begin with another letter. */
    private static final byte MARK = 'm';

    private Records() {}

    /** A row by its key; its version is in it. */
    public static ProducerRecord<byte[], byte[]> row(String topic, byte[] frame) {
        int from = Frame.HEAD + LENGTH_BYTES;
        int length = ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN).getInt(Frame.HEAD);
        byte[] key = Arrays.copyOfRange(frame, from, from + length);
        return new ProducerRecord<>(topic, key, Arrays.copyOfRange(frame, from, frame.length));
    }

    /**
     * All rows of the key groups from {@code first} to before {@code end} that changed before an
     * instant are in this partition already. One key for each range of key groups: compaction keeps
     * the newest mark of each.
     */
    public static ProducerRecord<byte[], byte[]> mark(
            String topic, int partition, int first, int end, long instant) {
        byte[] key = {MARK, (byte) first, (byte) end};
        ByteBuffer value = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        return new ProducerRecord<>(topic, partition, key, value.putLong(instant).array());
    }

    /** Verdicts in a batch, by no key. */
    public static ProducerRecord<byte[], byte[]> verdicts(String topic, byte[] frame) {
        return new ProducerRecord<>(topic, Arrays.copyOfRange(frame, Frame.HEAD, frame.length));
    }

    /** Dead letters one by one, as keys {@code PARTITION:OFFSET:REASON}; they are in the log. */
    public static List<ProducerRecord<byte[], byte[]>> deadLetters(String topic, byte[] frame) {
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        ByteBuffer letters = ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN);
        letters.position(Frame.HEAD);
        while (letters.hasRemaining()) {
            String place = letters.getInt() + ":" + letters.getLong() + ":";
            byte[] reason = new byte[Math.toIntExact(letters.getLong())];
            letters.get(reason);
            String line = place + new String(reason, StandardCharsets.UTF_8);
            records.add(new ProducerRecord<>(topic, line.getBytes(StandardCharsets.UTF_8), null));
        }
        return records;
    }
}
