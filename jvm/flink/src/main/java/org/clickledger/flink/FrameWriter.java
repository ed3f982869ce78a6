package org.clickledger.flink;

import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.clickledger.bridge.Frame;
import org.clickledger.kafka.Records;

/** Writes rows by their keys; marks where they belong; verdicts in batches, by no key. */
final class FrameWriter implements KafkaRecordSerializationSchema<byte[]> {
    private static final long serialVersionUID = 1;

    private final String topic;

    FrameWriter(String topic) {
        this.topic = topic;
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(
            byte[] frame, KafkaSinkContext context, Long timestamp) {
        return switch (Frame.port(frame)) {
            case Frame.ROW -> Records.row(topic, frame);
            case Frame.MARK -> Mark.record(topic, frame);
            default -> Records.verdicts(topic, frame);
        };
    }
}
