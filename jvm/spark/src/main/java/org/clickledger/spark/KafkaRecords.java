package org.clickledger.spark;

import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;

/** Takes records as Spark's source gives them, with their places and the times of the broker. */
final class KafkaRecords implements Function<InternalRow, LogRecord> {
    private static final long serialVersionUID = 1;
    private static final int LOG_APPEND_TIME = 1;
    private static final long MICROS_A_MS = 1000;
    private static final byte[] NOTHING = {};

    private final int value;
    private final int partition;
    private final int offset;
    private final int timestamp;
    private final int timestampType;

    private KafkaRecords(Dataset<Row> batch) {
        value = batch.schema().fieldIndex("value");
        partition = batch.schema().fieldIndex("partition");
        offset = batch.schema().fieldIndex("offset");
        timestamp = batch.schema().fieldIndex("timestamp");
        timestampType = batch.schema().fieldIndex("timestampType");
    }

    /** Those of a batch. */
    static JavaRDD<LogRecord> of(Dataset<Row> batch) {
        var rows = ((org.apache.spark.sql.classic.Dataset<Row>) batch).queryExecution().toRdd();
        return rows.toJavaRDD().map(new KafkaRecords(batch));
    }

    @Override
    public LogRecord call(InternalRow row) {
        if (row.getInt(timestampType) != LOG_APPEND_TIME) {
            throw new IllegalStateException(
                    "senders' clocks would decide time: set message.timestamp.type of the topic of"
                            + " clicks to LogAppendTime");
        }
        byte[] payload = row.isNullAt(value) ? NOTHING : row.getBinary(value);
        long appendTime = row.getLong(timestamp) / MICROS_A_MS;
        return new LogRecord(row.getInt(partition), row.getLong(offset), appendTime, payload);
    }
}
