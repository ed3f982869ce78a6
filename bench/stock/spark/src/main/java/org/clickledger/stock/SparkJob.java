package org.clickledger.stock;

import java.util.HashMap;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoder;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.DataStreamReader;
import org.apache.spark.sql.streaming.DataStreamWriter;
import org.apache.spark.sql.streaming.OutputMode;
import org.apache.spark.sql.streaming.TimeMode;
import org.apache.spark.sql.streaming.Trigger;
import scala.Tuple2;
import scala.Tuple4;

/**
 * An ordinary job of the same rules in Structured Streaming: what the hosted core is compared with.
 *
 * <p>It does less than the hosted core and than the stock Flink job, each time in its own favour:
 * no bursts of a source (G3), which would take a third shuffle of all clicks and a third state;
 * state is never forgotten (a time to live costs a second entry for each user); what a sender has
 * sent twice is dropped within a batch alone; a batch's rows appear with it, not at full seconds.
 * On clicks without bursts the newest rows are the same.
 *
 * <p>Arguments: {@code --bootstrap HOST:PORT --topic TOPIC --out TOPIC --checkpoint DIR
 * [--bounded true] [--max-offsets N] [--trigger-ms N] [--tasks N]}.
 */
public final class SparkJob {
    private static final String STATE =
            "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider";

    private SparkJob() {}

    /** Builds the query and waits for its end. */
    public static void main(String[] arguments) throws Exception {
        Map<String, String> given = given(arguments);
        SparkSession session = session(given);
        Dataset<Tuple2<byte[], byte[]>> rows = rows(records(session, given));
        sink(rows.toDF("key", "value"), given)
                .outputMode(OutputMode.Append())
                .start()
                .awaitTermination();
        session.stop();
    }

    static Map<String, String> given(String[] arguments) {
        Map<String, String> given = new HashMap<>();
        for (int at = 0; at + 1 < arguments.length; at += 2) {
            given.put(arguments[at].substring(2), arguments[at + 1]);
        }
        return given;
    }

    static DataStreamWriter<Row> sink(Dataset<Row> rows, Map<String, String> given) {
        return rows.writeStream()
                .format("kafka")
                .option("kafka.bootstrap.servers", given.get("bootstrap"))
                .option("kafka.linger.ms", "5")
                .option("kafka.batch.size", String.valueOf(256 * 1024))
                .option("kafka.compression.type", "lz4")
                .option("topic", given.get("out"))
                .option("checkpointLocation", given.get("checkpoint"))
                .trigger(trigger(given));
    }

    static SparkSession session(Map<String, String> given) {
        String own = "spark.sql.streaming.stateStore.";
        return SparkSession.builder()
                .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
                .config("spark.shuffle.sort.bypassMergeThreshold", "0")
                .config("spark.sql.shuffle.partitions", given.getOrDefault("tasks", "2"))
                .config(own + "providerClass", STATE)
                .config(own + "rocksdb.changelogCheckpointing.enabled", "true")
                .config(own + "rocksdb.trackTotalNumberOfRows", "false")
                .getOrCreate();
    }

    static Dataset<Row> records(SparkSession session, Map<String, String> given) {
        DataStreamReader source = session.readStream()
                .format("kafka")
                .option("kafka.bootstrap.servers", given.get("bootstrap"))
                .option("subscribe", given.get("topic"))
                .option("startingOffsets", "earliest")
                .option("kafka.max.poll.records", "10000")
                .option("kafka.max.partition.fetch.bytes", String.valueOf(8 << 20))
                .option("kafka.receive.buffer.bytes", String.valueOf(1 << 20));
        if (given.containsKey("max-offsets")) {
            source = source.option("maxOffsetsPerTrigger", given.get("max-offsets"));
        }
        return source.load();
    }

    private static Dataset<Tuple2<byte[], byte[]>> rows(Dataset<Row> records) {
        Encoder<byte[]> bytes = Encoders.BINARY();
        return typed(records)
                .mapPartitions(new Reading(), bytes)
                .groupByKey(Packed.USER, bytes)
                .transformWithState(
                        new UserProcessor(), TimeMode.None(), OutputMode.Append(), bytes)
                .mapPartitions(new Combining(), bytes)
                .groupByKey(Packed.ROW, bytes)
                .transformWithState(
                        new RowProcessor(), TimeMode.None(), OutputMode.Append(),
                        Encoders.tuple(bytes, bytes));
    }

    /** Partition, offset, time of the broker, value. */
    static Dataset<Tuple4<Integer, Long, Long, byte[]>> typed(Dataset<Row> records) {
        Encoder<Tuple4<Integer, Long, Long, byte[]>> record = Encoders.tuple(
                Encoders.INT(), Encoders.LONG(), Encoders.LONG(), Encoders.BINARY());
        return records
                .selectExpr("partition", "offset", "unix_millis(timestamp)", "value")
                .toDF("_1", "_2", "_3", "_4")
                .as(record);
    }

    private static Trigger trigger(Map<String, String> given) {
        return given.containsKey("bounded")
                ? Trigger.AvailableNow()
                : Trigger.ProcessingTime(Long.parseLong(given.getOrDefault("trigger-ms", "0")));
    }
}
