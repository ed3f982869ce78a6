package org.clickledger.flink;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.clickledger.bridge.Frame;

/** Shows dead letters one by one, as {@code PARTITION:OFFSET:REASON}; they are in the log. */
final class DeadLetters implements FlatMapFunction<byte[], byte[]> {
    private static final long serialVersionUID = 1;

    @Override
    public void flatMap(byte[] frame, Collector<byte[]> out) {
        ByteBuffer letters = ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN);
        letters.position(Frame.HEAD);
        while (letters.hasRemaining()) {
            String place = letters.getInt() + ":" + letters.getLong() + ":";
            byte[] reason = new byte[Math.toIntExact(letters.getLong())];
            letters.get(reason);
            String line = place + new String(reason, StandardCharsets.UTF_8);
            out.collect(line.getBytes(StandardCharsets.UTF_8));
        }
    }

    /** Such a line is the key of its record. */
    static final class Writer implements KafkaRecordSerializationSchema<byte[]> {
        private static final long serialVersionUID = 1;

        private final String topic;

        Writer(String topic) {
            this.topic = topic;
        }

        @Override
        public ProducerRecord<byte[], byte[]> serialize(
                byte[] line, KafkaSinkContext context, Long timestamp) {
            return new ProducerRecord<>(topic, line, null);
        }
    }
}
