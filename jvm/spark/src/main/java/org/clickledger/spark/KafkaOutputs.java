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
import org.clickledger.kafka.Records;

/** Topics beside that of the clicks. One producer a process does for all tasks. */
final class KafkaOutputs implements Outputs {
    private static final long serialVersionUID = 1;
    private static final Map<Properties, Producer<byte[], byte[]>> PRODUCERS = new HashMap<>();

    private final Properties client;
    private final String topic;
    private final int rowPartitions;
    private final boolean undecided;

    /**
     * @param client {@code bootstrap.servers} and what else a client needs
     * @param undecided whether rows are there, too, in which only undecided clicks are new
     */
    KafkaOutputs(Properties client, String topic, int rowPartitions, boolean undecided) {
        this.client = client;
        this.topic = topic;
        this.rowPartitions = rowPartitions;
        this.undecided = undecided;
    }

    @Override
    public Sink open(Range range) {
        return new Sending(range);
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
        private final Range range;
        private byte[] mark;

        Sending(Range range) {
            this.range = range;
        }

        @Override
        public void take(byte[] frame) {
            switch (Frame.port(frame)) {
                case Frame.ROW -> send(Records.row(rows(), frame));
                case Frame.VERDICTS -> send(Records.verdicts(topic + ".verdicts", frame));
                case Frame.MARK -> mark = frame;
                case Frame.DEAD_LETTERS -> Records.deadLetters(frame)
                        .forEach(line -> send(Records.deadLetter(topic + ".dead", line)));
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

        /** A mark says what is in front of it: none is sent before all rows are safe. */
        @Override
        public void finish() throws IOException {
            flush();
            if (mark != null) {
                byte[] key = Records.markKey(range.first(), range.end());
                byte[] value = Records.markValue(mark, undecided);
                for (int partition = 0; partition < rowPartitions; partition++) {
                    send(new ProducerRecord<>(rows(), partition, key, value));
                }
                flush();
            }
        }

        private void flush() throws IOException {
            producer.flush();
            Exception error = failure.get();
            if (error != null) {
                throw new IOException("Kafka has not taken all rows: " + error.getMessage(), error);
            }
        }
    }
}
