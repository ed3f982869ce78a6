package org.clickledger.spark;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.functions;

/** Writes the archive's rows as the records that they were. */
final class ArchiveRecords implements Function<InternalRow, LogRecord> {
    private static final long serialVersionUID = 1;

    /** What is in a column. */
    private enum Type { TEXT, BYTES, NUMBER, FLAG, ADDRESS, CAPTURE }

    /**
     * A field of a message and its column.
     *
     * @param optional whether it is there even if it is 0 or empty
     */
    private record Field(int number, Type type, boolean optional, String column) {}

    private static Field field(int number, Type type, String column) {
        return new Field(number, type, false, column);
    }

    private static Field optional(int number, Type type, String column) {
        return new Field(number, type, true, column);
    }

    private static final List<Field> RECORD = List.of(
            optional(1, Type.NUMBER, "sent_at"),
            field(2, Type.TEXT, "tracker_id"),
            field(3, Type.NUMBER, "epoch"),
            field(4, Type.NUMBER, "seq"),
            field(5, Type.TEXT, "previous_tracker_id"),
            field(6, Type.NUMBER, "previous_epoch"),
            field(7, Type.NUMBER, "previous_seq"));
    private static final List<Field> HEARTBEAT = List.of(field(1, Type.NUMBER, "next_seq"));
    private static final List<Field> POLICY = List.of(
            field(1, Type.TEXT, "policy_id"),
            field(2, Type.NUMBER, "effective_from"),
            optional(3, Type.NUMBER, "link_lifetime_ms"),
            optional(4, Type.NUMBER, "spool_limit_ms"),
            optional(5, Type.NUMBER, "horizon_ms"),
            optional(6, Type.NUMBER, "seal_after_ms"),
            optional(7, Type.NUMBER, "double_click_ms"),
            optional(8, Type.NUMBER, "burst_clicks"));
    private static final List<Field> CLICK = List.of(
            field(1, Type.TEXT, "click_id"),
            field(2, Type.NUMBER, "click_id_source"),
            field(3, Type.TEXT, "issuer"),
            field(4, Type.TEXT, "user_id"),
            field(5, Type.NUMBER, "user_id_source"),
            field(6, Type.TEXT, "ad_id"),
            field(7, Type.TEXT, "campaign_id"),
            field(8, Type.TEXT, "advertiser_id"),
            field(9, Type.TEXT, "publisher_id"),
            field(10, Type.TEXT, "placement_id"),
            field(11, Type.TEXT, "impression_id"),
            field(12, Type.NUMBER, "price_micros"),
            field(13, Type.TEXT, "currency"),
            field(14, Type.NUMBER, "payout_micros"),
            field(15, Type.NUMBER, "price_source"),
            field(16, Type.NUMBER, "catalogue_version"),
            field(17, Type.NUMBER, "received_at"),
            optional(18, Type.NUMBER, "client_time"),
            field(19, Type.CAPTURE, "capture"),
            field(20, Type.TEXT, "method"),
            field(21, Type.TEXT, "purpose"),
            field(22, Type.ADDRESS, "ip"),
            field(23, Type.ADDRESS, "peer_ip"),
            field(24, Type.BYTES, "source_key"),
            optional(25, Type.TEXT, "user_agent"),
            field(26, Type.TEXT, "referrer"),
            field(27, Type.TEXT, "country"),
            field(28, Type.TEXT, "consent"),
            field(29, Type.TEXT, "extras"),
            optional(30, Type.NUMBER, "expires_at"),
            optional(31, Type.FLAG, "ad_active"));
    private static final List<String> CAPTURES =
            List.of("", "redirect", "beacon", "ping", "s2s", "import");
    private static final List<String> PLACE =
            List.of("partition", "offset", "append_time", "kind", "payload");

    /** Columns in the order in which they are read. */
    private static final List<String> COLUMNS = Stream.concat(
                    PLACE.stream(),
                    Stream.of(RECORD, HEARTBEAT, POLICY, CLICK)
                            .flatMap(List::stream).map(Field::column))
            .toList();
    private static final int KIND = PLACE.indexOf("kind");
    private static final int PAYLOAD = PLACE.indexOf("payload");

    /** The records of these files. */
    static JavaRDD<LogRecord> of(SparkSession session, List<String> files) {
        Dataset<Row> rows = session.read().parquet(files.toArray(String[]::new))
                .select(COLUMNS.stream().map(functions::col)
                        .toArray(org.apache.spark.sql.Column[]::new));
        var internal = ((org.apache.spark.sql.classic.Dataset<Row>) rows).queryExecution().toRdd();
        return internal.toJavaRDD().map(new ArchiveRecords());
    }

    @Override
    public LogRecord call(InternalRow row) throws UnknownHostException {
        int partition = Math.toIntExact(row.getLong(0));
        byte[] payload = row.isNullAt(PAYLOAD) ? payload(row) : row.getBinary(PAYLOAD);
        return new LogRecord(partition, row.getLong(1), row.getLong(2), ByteBuffer.wrap(payload));
    }

    private static byte[] payload(InternalRow row) throws UnknownHostException {
        String kind = row.getUTF8String(KIND).toString();
        int next = PLACE.size();
        Protobuf record = new Protobuf();
        next = put(record, RECORD, row, next);
        Protobuf inner = new Protobuf();
        int number = switch (kind) {
            case "click" -> {
                put(inner, CLICK, row, next + HEARTBEAT.size() + POLICY.size());
                yield 10;
            }
            case "tick" -> 11;
            case "heartbeat" -> {
                put(inner, HEARTBEAT, row, next);
                yield 12;
            }
            case "policy" -> {
                put(inner, POLICY, row, next + HEARTBEAT.size());
                yield 13;
            }
            default -> throw new IllegalStateException("a " + kind + " without its payload");
        };
        record.bytes(number, inner.done());
        return record.done();
    }

    /** Puts fields whose columns begin at one; the column behind them. */
    private static int put(Protobuf out, List<Field> fields, InternalRow row, int first)
            throws UnknownHostException {
        int column = first;
        for (Field field : fields) {
            if (!row.isNullAt(column)) {
                put(out, field, row, column);
            }
            column++;
        }
        return column;
    }

    private static void put(Protobuf out, Field field, InternalRow row, int column)
            throws UnknownHostException {
        switch (field.type) {
            case NUMBER -> number(out, field, row.getLong(column));
            case FLAG -> number(out, field, row.getBoolean(column) ? 1 : 0);
            case CAPTURE ->
                number(out, field, CAPTURES.indexOf(row.getUTF8String(column).toString()));
            case TEXT -> bytes(out, field, row.getUTF8String(column).getBytes());
            case BYTES -> bytes(out, field, row.getBinary(column));
            case ADDRESS -> {
                String address = row.getUTF8String(column).toString();
                bytes(out, field, InetAddress.getByName(address).getAddress());
            }
        }
    }

    private static void number(Protobuf out, Field field, long value) {
        if (field.optional || value != 0) {
            out.number(field.number, value);
        }
    }

    private static void bytes(Protobuf out, Field field, byte[] value) {
        if (field.optional || value.length > 0) {
            out.bytes(field.number, value);
        }
    }
}
