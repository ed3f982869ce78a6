package org.clickledger.stock;

import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** Records of the topic as clicks. */
final class ClickReader implements KafkaRecordDeserializationSchema<Click> {
    private static final long serialVersionUID = 1;
    static final PlainType<Click> TYPE = new PlainType<>(Click.class, ClickSerializer.INSTANCE);

    private transient Decoder decoder;

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Click> out) {
        if (decoder == null) {
            decoder = new Decoder();
        }
        out.collect(decoder.decode(
                record.partition(), record.offset(), record.timestamp(), record.value()));
    }

    @Override
    public TypeInformation<Click> getProducedType() {
        return TYPE;
    }
}
