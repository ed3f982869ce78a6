package org.clickledger.flink;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.clickledger.bridge.Frame;

/**
 * Writes rows by their keys, versions in them; marks where they belong; verdicts and dead letters
 * in batches, by no key.
 */
final class FrameWriter implements KafkaRecordSerializationSchema<byte[]> {
    private static final long serialVersionUID = 1;
    private static final int LENGTH_BYTES = 4;

    private final String topic;

    FrameWriter(String topic) {
        this.topic = topic;
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(
            byte[] frame, KafkaSinkContext context, Long timestamp) {
        return switch (Frame.port(frame)) {
            case Frame.ROW -> row(frame);
            case Frame.MARK -> new ProducerRecord<>(
                    topic, Mark.partition(frame), Mark.key(frame), Mark.value(frame));
            default -> new ProducerRecord<>(
                    topic, Arrays.copyOfRange(frame, Frame.HEAD, frame.length));
        };
    }

    private ProducerRecord<byte[], byte[]> row(byte[] frame) {
        int from = Frame.HEAD + LENGTH_BYTES;
        int length = ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN).getInt(Frame.HEAD);
        byte[] key = Arrays.copyOfRange(frame, from, from + length);
        return new ProducerRecord<>(topic, key, Arrays.copyOfRange(frame, from, frame.length));
    }
}
