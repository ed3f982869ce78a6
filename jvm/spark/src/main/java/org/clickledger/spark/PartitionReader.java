package org.clickledger.spark;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Collections;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.InvalidOffsetException;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteBufferDeserializer;

/**
 * Reads a partition of the topic, span after span. Those that are done are kept in the process,
 * with what they have fetched beyond their span, for the task that reads on. For one task at a
 * time.
 */
final class PartitionReader implements Iterator<LogRecord> {
    /** As Spark's own source waits at most. */
    private static final Duration PATIENCE = Duration.ofSeconds(120);
    private static final Duration POLL = Duration.ofSeconds(1);
    /** Nobody else reads on where a partition has moved to another process. */
    private static final Duration IDLE = Duration.ofMinutes(5);
    private static final String FETCH = String.valueOf(4 << 20);
    private static final ByteBuffer NOTHING = ByteBuffer.allocate(0);
    private static final Map<Place, PartitionReader> KEPT = new HashMap<>();

    private final Place place;
    private final KafkaConsumer<ByteBuffer, ByteBuffer> consumer;
    private Iterator<ConsumerRecord<ByteBuffer, ByteBuffer>> fetched = Collections.emptyIterator();
    /** Fetched, but not handed out. */
    private ConsumerRecord<ByteBuffer, ByteBuffer> next;
    /** Offset that is read next. */
    private long position;
    private long until;
    private boolean isWhole;
    private long kept;

    /** What a reader reads. */
    private record Place(Properties client, TopicPartition partition) {}

    private PartitionReader(Place place) {
        this.place = place;
        Properties all = new Properties();
        all.put("max.poll.records", "10000");
        all.put("max.partition.fetch.bytes", FETCH);
        all.putAll(place.client);
        all.put("enable.auto.commit", "false");
        all.put("auto.offset.reset", "none");
        ByteBufferDeserializer bytes = new ByteBufferDeserializer();
        consumer = new KafkaConsumer<>(all, bytes, bytes);
        consumer.assign(List.of(place.partition));
        position = -1;
    }

    /** One for these offsets. */
    static PartitionReader take(Properties client, KafkaRecords.Span span) {
        Place place = new Place(client, span.partition());
        PartitionReader reader = takeKept(place);
        if (reader == null) {
            reader = new PartitionReader(place);
        }
        reader.begin(span);
        return reader;
    }

    private static PartitionReader takeKept(Place place) {
        synchronized (KEPT) {
            return KEPT.remove(place);
        }
    }

    private void begin(KafkaRecords.Span span) {
        if (position != span.from()) {
            fetched = Collections.emptyIterator();
            next = null;
            position = span.from();
            consumer.seek(place.partition, position);
        }
        until = span.until();
        isWhole = position >= until;
    }

    /** When its task ends, however that is: one that has not read its span is let go. */
    void giveBack() {
        kept = System.nanoTime();
        PartitionReader spare = isWhole ? keep() : this;
        if (spare != null) {
            spare.consumer.close(Duration.ZERO);
        }
    }

    /** Keeps this, and takes the place of another one; one that nobody asks for any more. */
    private PartitionReader keep() {
        synchronized (KEPT) {
            PartitionReader other = KEPT.put(place, this);
            if (other != null) {
                return other;
            }
            PartitionReader idle = KEPT.values().stream()
                    .filter(one -> kept - one.kept > IDLE.toNanos()).findFirst().orElse(null);
            return idle == null ? null : KEPT.remove(idle.place);
        }
    }

    @Override
    public boolean hasNext() {
        if (next == null && !isWhole) {
            next = fetched.hasNext() ? fetched.next() : fetch();
        }
        isWhole |= next != null && next.offset() >= until;
        return !isWhole;
    }

    @Override
    public LogRecord next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        ConsumerRecord<ByteBuffer, ByteBuffer> record = next;
        next = null;
        position = record.offset() + 1;
        isWhole = position >= until;
        if (record.timestampType() != TimestampType.LOG_APPEND_TIME) {
            throw new IllegalStateException(
                    "senders' clocks would decide time: set message.timestamp.type of the topic of"
                            + " clicks to LogAppendTime");
        }
        ByteBuffer payload = record.value() == null ? NOTHING : record.value();
        return new LogRecord(record.partition(), record.offset(), record.timestamp(), payload);
    }

    /** The next record; none if the span ends with offsets that have none. */
    private ConsumerRecord<ByteBuffer, ByteBuffer> fetch() {
        long begun = System.nanoTime();
        while (consumer.position(place.partition) < until) {
            try {
                fetched = consumer.poll(POLL).iterator();
            } catch (InvalidOffsetException e) {
                throw new IllegalStateException(
                        place.partition + ": records from offset " + position + " on are gone, and"
                                + " were not read: retention of the topic is too short", e);
            }
            if (fetched.hasNext()) {
                return fetched.next();
            }
            if (System.nanoTime() - begun > PATIENCE.toNanos()) {
                throw new IllegalStateException(
                        place.partition + ": no record of offsets " + position + " to " + until
                                + " in " + PATIENCE.toSeconds()
                                + " s: can the brokers be reached?");
            }
        }
        position = until;
        isWhole = true;
        return null;
    }
}
