package org.clickledger.spark;

import java.util.Arrays;
import java.util.List;
import org.apache.spark.Partition;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.datasources.v2.DataSourceRDDPartition;
import org.apache.spark.sql.kafka010.KafkaBatchInputPartition;

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

    /** Those of a batch, which is read from one topic and nothing else. */
    static BatchRecords of(Dataset<Row> batch) {
        RDD<InternalRow> rows =
                ((org.apache.spark.sql.classic.Dataset<Row>) batch).queryExecution().toRdd();
        List<InPlace.Slice> slices =
                Arrays.stream(rows.partitions()).map(KafkaRecords::slice).toList();
        return new InPlace(rows.toJavaRDD().map(new KafkaRecords(batch)), slices);
    }

    private static InPlace.Slice slice(Partition part) {
        if (part instanceof DataSourceRDDPartition source
                && source.inputPartition().getOrElse(() -> null)
                        instanceof KafkaBatchInputPartition read) {
            return new InPlace.Slice(
                    read.offsetRange().partition(), read.offsetRange().fromOffset());
        }
        throw new IllegalStateException(
                "this Spark does not read a topic partition by partition, but by " + part
                        + ": take the version that docs/spark.md names");
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
