package org.clickledger.spark;

import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.clickledger.bridge.Frame;
import org.clickledger.bridge.RecordBlock;
import org.clickledger.kafka.Records;

/** Topics beside that of the clicks. One producer a process does for all tasks. */
final class KafkaOutputs implements Outputs {
    private static final long serialVersionUID = 1;
    private static final Map<Properties, Producer<byte[], byte[]>> PRODUCERS = new HashMap<>();
    /** Instants that marks tell are multiples of this. */
    private static final long GRID_MS = 1000;

    private final Properties client;
    private final String topic;
    private final int rowPartitions;

    /** @param client {@code bootstrap.servers} and what else a client needs */
    KafkaOutputs(Properties client, String topic, int rowPartitions) {
        this.client = client;
        this.topic = topic;
        this.rowPartitions = rowPartitions;
    }

    @Override
    public Sink open() {
        return new Sending();
    }

    @Override
    public void mark(long instant) throws IOException {
        Sending sending = new Sending();
        long on = instant - instant % GRID_MS;
        for (int partition = 0; partition < rowPartitions; partition++) {
            sending.send(Records.mark(rows(), partition, 0, RecordBlock.GROUPS, on));
        }
        sending.finish();
    }

    private String rows() {
        return topic + ".rows";
    }

    private static synchronized Producer<byte[], byte[]> producer(Properties client) {
        return PRODUCERS.computeIfAbsent(client, given -> {
            Properties all = new Properties();
            all.putAll(given);
            all.put("enable.idempotence", "true");
            all.put("acks", "all");
            all.put("linger.ms", "5");
            all.put("batch.size", String.valueOf(256 * 1024));
            all.put("compression.type", "lz4");
            ByteArraySerializer bytes = new ByteArraySerializer();
            return new KafkaProducer<>(all, bytes, bytes);
        });
    }

    /** What one attempt of a task sends. */
    private final class Sending implements Sink {
        private final Producer<byte[], byte[]> producer = producer(client);
        private final AtomicReference<Exception> failure = new AtomicReference<>();

        @Override
        public void take(byte[] frame) {
            switch (Frame.port(frame)) {
                case Frame.ROW -> send(Records.row(rows(), frame));
                case Frame.VERDICTS -> send(Records.verdicts(topic + ".verdicts", frame));
                case Frame.DEAD_LETTERS ->
                    Records.deadLetters(topic + ".dead", frame).forEach(this::send);
                default -> throw new IllegalStateException("a frame of port " + frame[0]);
            }
        }

        private void send(ProducerRecord<byte[], byte[]> record) {
            producer.send(record, (place, error) -> {
                if (error != null) {
                    failure.compareAndSet(null, error);
                }
            });
        }

        @Override
        public void finish() throws IOException {
            producer.flush();
            Exception error = failure.get();
            if (error != null) {
                throw new IOException("Kafka has not taken all rows: " + error.getMessage(), error);
            }
        }
    }
}
