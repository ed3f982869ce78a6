package org.clickledger.spark;

import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.clickledger.bridge.Frame;

/** Frames of rows as the columns that {@code clickledger show --with-version} has. */
final class LedgerRows {
    /** The first byte of a row by ad; those by publisher begin with another. */
    static final byte AD = 'a';
    static final byte PUBLISHER = 'p';
    private static final List<String> CLASSES = List.of(
            "T2", "T3", "T4", "G8", "G5", "G9", "G2", "G1", "G4", "D1", "D2", "G3", "S1", "V");
    private static final int SUM_BYTES = 16;
    private static final int MINUTE_SECONDS = 60;
    private static final DateTimeFormatter MINUTE =
            DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm'Z'").withZone(ZoneOffset.UTC);

    private LedgerRows() {}

    /** The names of these bits, as an archive writes the reasons of a verdict. */
    static String classes(int bits) {
        return IntStream.range(0, CLASSES.size())
                .filter(bit -> (bits >>> bit & 1) == 1)
                .mapToObj(CLASSES::get)
                .collect(Collectors.joining("+"));
    }

    /** What tells rows apart. */
    static ByteBuffer key(byte[] frame) {
        return ByteBuffer.wrap(Frame.rowKey(frame));
    }

    static byte view(byte[] frame) {
        return frame[Frame.ROW_AT];
    }

    /** Of two frames of one row, the one of the higher version. */
    static byte[] newer(byte[] one, byte[] other) {
        return Long.compareUnsigned(version(one), version(other)) >= 0 ? one : other;
    }

    /** Behind it is only whether a verdict has changed the row. */
    private static long version(byte[] frame) {
        return ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN)
                .getLong(frame.length - 1 - Long.BYTES);
    }

    static StructType columns(byte view) {
        List<String> keys = view == AD
                ? List.of("ad_id", "minute", "posted_minute", "currency", "campaign_id",
                        "advertiser_id")
                : List.of("publisher_id", "placement_id", "minute", "posted_minute", "currency");
        String sum = view == AD ? "spend_micros" : "payout_micros";
        return new StructType(Stream.of(
                        keys.stream().map(LedgerRows::text),
                        Stream.of("measured", "pending").map(LedgerRows::count),
                        CLASSES.stream().map(LedgerRows::count),
                        Stream.of(sum, "version").map(LedgerRows::text))
                .flatMap(columns -> columns)
                .toArray(StructField[]::new));
    }

    private static StructField text(String name) {
        return DataTypes.createStructField(name, DataTypes.StringType, false);
    }

    private static StructField count(String name) {
        return DataTypes.createStructField(name, DataTypes.LongType, false);
    }

    static Row row(byte[] frame) {
        ByteBuffer bytes = ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN);
        bytes.position(Frame.ROW_AT);
        List<Object> cells = new ArrayList<>();
        if (bytes.get() == AD) {
            String ad = slice(bytes);
            String currency = slice(bytes);
            List<String> rest = List.of(slice(bytes), slice(bytes));
            cells.addAll(List.of(ad, minute(bytes.getInt()), posted(bytes), currency));
            cells.addAll(rest);
        } else {
            List<String> first = List.of(slice(bytes), slice(bytes));
            String currency = slice(bytes);
            cells.addAll(first);
            cells.addAll(List.of(minute(bytes.getInt()), posted(bytes), currency));
        }
        for (int count = 0; count < 2 + CLASSES.size(); count++) {
            cells.add(bytes.getLong());
        }
        byte[] sum = new byte[SUM_BYTES];
        for (int at = SUM_BYTES - 1; at >= 0; at--) {
            sum[at] = bytes.get();
        }
        cells.add(new BigInteger(sum).toString());
        cells.add(Long.toUnsignedString(bytes.getLong()));
        return RowFactory.create(cells.toArray());
    }

    private static String slice(ByteBuffer bytes) {
        byte[] text = new byte[Math.toIntExact(bytes.getLong())];
        bytes.get(text);
        return new String(text, StandardCharsets.UTF_8);
    }

    private static String posted(ByteBuffer bytes) {
        boolean given = bytes.get() == 1;
        long minute = bytes.getLong();
        return given ? minute(Math.toIntExact(minute)) : "";
    }

    private static String minute(int minute) {
        return MINUTE.format(Instant.ofEpochSecond((long) minute * MINUTE_SECONDS));
    }
}
