package org.clickledger.flink;

import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.record.TimestampType;

/** Takes a record of the topic as it is, with its place and the time that the broker gave it. */
final class RecordReader implements KafkaRecordDeserializationSchema<byte[]> {
    private static final long serialVersionUID = 1;
    private static final byte[] NOTHING = {};

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<byte[]> out) {
        if (record.timestampType() != TimestampType.LOG_APPEND_TIME) {
            throw new IllegalStateException(
                    "senders' clocks would decide time: set message.timestamp.type of topic "
                            + record.topic() + " to LogAppendTime");
        }
        byte[] payload = record.value() == null ? NOTHING : record.value();
        out.collect(LogRecord.of(record.partition(), record.offset(), record.timestamp(), payload));
    }

    @Override
    public TypeInformation<byte[]> getProducedType() {
        return Outputs.BYTES;
    }
}
