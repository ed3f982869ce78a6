package org.clickledger.stock;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * How long after the instant that they are true as of rows can be read, once committed. Arguments:
 * bootstrap servers, the topic of rows, seconds; the first quarter is not counted.
 */
public final class RowLatency {
    private static final long MS = (1L << 48) - 1;

    private RowLatency() {}

    public static void main(String[] arguments) {
        String topic = arguments[1];
        long seconds = Long.parseLong(arguments[2]);
        List<Long> late = new ArrayList<>();
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        Map<String, Object> settings = Map.of(
                "bootstrap.servers", arguments[0], "isolation.level", "read_committed");
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
            List<TopicPartition> all = consumer.partitionsFor(topic).stream()
                    .map(found -> new TopicPartition(topic, found.partition())).toList();
            consumer.assign(all);
            consumer.seekToEnd(all);
            long begun = System.currentTimeMillis();
            long from = begun + 1000 * seconds / 4;
            while (System.currentTimeMillis() < begun + 1000 * seconds) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(5))) {
                    long now = System.currentTimeMillis();
                    if (now >= from && record.key()[0] != 'm') {
                        late.add(now - instant(topic, record.value()));
                    }
                }
            }
        }
        Collections.sort(late);
        int count = late.size();
        System.out.printf(
                "{\"rows\":%d,\"p50\":%d,\"p99\":%d}%n",
                count,
                count == 0 ? -1 : late.get(count / 2),
                count == 0 ? -1 : late.get(count * 99 / 100));
    }

    /** The instant of a row: its version. */
    private static long instant(String topic, byte[] row) {
        if (topic.contains("stock")) {
            ByteBuffer stock = ByteBuffer.wrap(row);
            return stock.getLong(2 + stock.getShort(0));
        }
        // The version is last but for a byte.
        return ByteBuffer.wrap(row).order(ByteOrder.LITTLE_ENDIAN).getLong(row.length - 9) & MS;
    }
}
