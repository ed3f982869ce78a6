package org.clickledger.flink;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Which log a topic is: the first record of the topic beside it. */
final class HeaderTopic {
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    private HeaderTopic() {}

    static byte[] read(String bootstrap, String topic) {
        String name = topic + ".header";
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
            List<TopicPartition> all = List.of(new TopicPartition(name, 0));
            consumer.assign(all);
            consumer.seekToBeginning(all);
            for (Instant end = Instant.now().plus(PATIENCE); Instant.now().isBefore(end); ) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    return record.value();
                }
            }
        }
        throw new IllegalStateException(
                "topic " + name + " has no header; run `clickledger topics create`");
    }
}
