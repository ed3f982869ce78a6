package org.clickledger.stock;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Whether the newest rows of two topics hold the same counts and sums. Arguments: bootstrap
 * servers, the hosted core's topic of rows, the stock job's. Prints records and rows of each.
 */
public final class CompareRows {
    /** Where the stock job's classes are among those of the ledger. */
    private static final int[] CLASSES = {13, 0, 1, 2, 3, 4, 9, 10, 11};
    private static final int ALL_CLASSES = 14;

    private static long records;

    private CompareRows() {}

    public static void main(String[] arguments) {
        Map<Bytes, long[]> hosted = read(arguments[0], arguments[1], true);
        long hostedRecords = records;
        Map<Bytes, long[]> stock = read(arguments[0], arguments[2], false);
        long differing = 0;
        for (Map.Entry<Bytes, long[]> row : hosted.entrySet()) {
            long[] other = stock.get(row.getKey());
            if (other == null || !Arrays.equals(counts(row.getValue()), counts(other))) {
                differing++;
            }
        }
        differing += stock.keySet().stream().filter(key -> !hosted.containsKey(key)).count();
        System.out.printf(
                "{\"hosted_records\":%d,\"stock_records\":%d,\"hosted_rows\":%d,"
                        + "\"stock_rows\":%d,\"differing\":%d}%n",
                hostedRecords, records, hosted.size(), stock.size(), differing);
    }

    /** All but the version. */
    private static long[] counts(long[] row) {
        return Arrays.copyOfRange(row, 1, row.length);
    }

    private static Map<Bytes, long[]> read(String bootstrap, String topic, boolean hosted) {
        Map<Bytes, long[]> rows = new HashMap<>();
        records = 0;
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
            List<TopicPartition> all = consumer.partitionsFor(topic).stream()
                    .map(found -> new TopicPartition(topic, found.partition())).toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            while (all.stream().anyMatch(one -> consumer.position(one) < ends.get(one))) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    if (hosted && record.key()[0] == 'm') {
                        continue;
                    }
                    records++;
                    ByteBuffer row = ByteBuffer.wrap(record.value());
                    Bytes key = hosted ? hostedKey(row) : stockKey(row);
                    long[] values = hosted ? hostedValues(row) : stockValues(row);
                    rows.merge(key, values, (old, next) -> next[0] >= old[0] ? next : old);
                }
            }
        }
        return rows;
    }

    private static Bytes stockKey(ByteBuffer row) {
        byte[] key = new byte[row.getShort()];
        row.get(key);
        return new Bytes(key);
    }

    private static long[] stockValues(ByteBuffer row) {
        long[] values = new long[3 + Click.CLASSES];
        for (int at = 0; at < values.length; at++) {
            values[at] = row.getLong();
        }
        return values;
    }

    /** The same key as the stock job's. */
    private static Bytes hostedKey(ByteBuffer row) {
        row.order(ByteOrder.LITTLE_ENDIAN);
        ByteBuffer key = ByteBuffer.allocate(row.capacity());
        byte kind = row.get();
        key.put(kind);
        for (int part = 0; part < (kind == 'a' ? 4 : 3); part++) {
            byte[] text = new byte[Math.toIntExact(row.getLong())];
            row.get(text);
            key.put((byte) text.length).put(text);
        }
        key.putInt(row.getInt());
        boolean isPosted = row.get() == 1;
        long posted = row.getLong();
        key.putInt(isPosted ? (int) posted : 0);
        return new Bytes(Arrays.copyOf(key.array(), key.position()));
    }

    private static long[] hostedValues(ByteBuffer row) {
        long[] values = new long[3 + Click.CLASSES];
        values[1] = row.getLong();
        row.getLong();
        long[] classes = new long[ALL_CLASSES];
        for (int at = 0; at < ALL_CLASSES; at++) {
            classes[at] = row.getLong();
        }
        for (int at = 0; at < CLASSES.length; at++) {
            values[3 + at] = classes[CLASSES[at]];
        }
        values[2] = row.getLong();
        row.getLong();
        values[0] = row.getLong();
        return values;
    }
}
