package org.clickledger.kafka;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** What is asked of the Kafka cluster before the job begins. */
public final class Cluster {
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    private final Properties client;

    /** @param client {@code bootstrap.servers} and what else a client needs */
    public Cluster(Properties client) {
        this.client = client;
    }

    /** How many partitions a topic has. */
    public int partitions(String topic) throws InterruptedException {
        try (Admin admin = Admin.create(client)) {
            return admin.describeTopics(List.of(topic)).allTopicNames().get()
                    .get(topic).partitions().size();
        } catch (ExecutionException e) {
            throw new IllegalStateException(
                    "topic " + topic + ": " + e.getCause().getMessage()
                            + "; `clickledger topics create --outputs N` makes what is missing",
                    e);
        }
    }

    /** Which log a topic is: the first record of the topic beside it. */
    public byte[] header(String topic) throws InterruptedException {
        String name = topic + ".header";
        partitions(name);
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(client, bytes, bytes)) {
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
