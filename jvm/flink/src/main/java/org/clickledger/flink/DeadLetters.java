package org.clickledger.flink;

import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.clickledger.kafka.Records;

/** Shows dead letters one by one. */
final class DeadLetters implements FlatMapFunction<byte[], byte[]> {
    private static final long serialVersionUID = 1;

    @Override
    public void flatMap(byte[] frame, Collector<byte[]> out) {
        Records.deadLetters(frame).forEach(out::collect);
    }

    /** Writes such a line. */
    static final class Writer implements KafkaRecordSerializationSchema<byte[]> {
        private static final long serialVersionUID = 1;

        private final String topic;

        Writer(String topic) {
            this.topic = topic;
        }

        @Override
        public ProducerRecord<byte[], byte[]> serialize(
                byte[] line, KafkaSinkContext context, Long timestamp) {
            return Records.deadLetter(topic, line);
        }
    }
}
