package org.clickledger.spark;

import java.io.IOException;
import java.time.Instant;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.DataStreamReader;
import org.apache.spark.sql.streaming.Trigger;
import org.clickledger.bridge.RecordBlock;
import org.clickledger.kafka.Cluster;

/**
 * The job: a topic of clicks in; {@code TOPIC.rows}, {@code TOPIC.verdicts} and {@code TOPIC.dead}
 * out. At least once is enough: a row is absolute and has a version, of two the higher wins and
 * equal ones are equal; a verdict is final and names its click's place.
 *
 * <p>docs/spark.md tells its arguments.
 */
public final class ClickJob {
    private static final Set<String> NAMES = Set.of(
            "bootstrap", "topic", "state", "checkpoint", "tasks", "trigger-ms", "max-offsets",
            "bounded", "sums", "keep-batches", "keep-open");
    private static final int TRIGGER_MS = 1000;
    private static final int MAX_OFFSETS = 1_000_000;
    private static final int KEPT = 10;
    /** Exit status of an audit that found a difference. */
    private static final int DIFFERS = 1;
    private static final String QUERY_ID = "sql.streaming.queryId";

    private final SparkSession session;
    private final Arguments given;
    private final Properties client;
    private final String topic;

    private ClickJob(SparkSession session, Arguments given) {
        this.session = session;
        this.given = given;
        client = given.client();
        topic = given.required("topic");
    }

    /** Runs until it is stopped, or has reached the end of the topic if that is asked for. */
    public static void main(String[] arguments) throws Exception {
        boolean again = List.of(arguments).contains("--" + ArchiveJob.WORD);
        SparkSession session = SparkSession.builder()
                .appName("clickledger")
                .config(settings(again))
                .getOrCreate();
        boolean good = true;
        try {
            if (again) {
                good = new ArchiveJob(session, arguments).run();
            } else {
                new ClickJob(session, new Arguments(arguments, NAMES)).run();
            }
        } finally {
            session.stop();
        }
        if (!good) {
            System.exit(DIFFERS);
        }
    }

    /** What is given to Spark, and where nothing is given what does best here. */
    private static SparkConf settings(boolean again) {
        SparkConf settings = new SparkConf()
                .setIfMissing("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
                // Otherwise a shuffle to few tasks is written a file for each, and copied together.
                .setIfMissing("spark.shuffle.sort.bypassMergeThreshold", "0");
        // From a topic only clicks are shuffled, mostly hashes, which nothing makes smaller; from
        // an archive whole records, too.
        return again ? settings : settings.setIfMissing("spark.shuffle.compress", "false");
    }

    private void run() throws Exception {
        Cluster cluster = new Cluster(client);
        int partitions = cluster.partitions(topic);
        boolean sums = given.isSet("sums", false);
        Outputs outputs =
                new KafkaOutputs(client, topic, cluster.partitions(topic + ".rows"), sums);
        JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
        Batches.Settings settings = new Batches.Settings(
                given.required("state"),
                given.number(
                        "tasks",
                        Math.min(spark.defaultParallelism(), RecordBlock.GROUPS),
                        RecordBlock.GROUPS),
                given.isSet("keep-open", true),
                sums,
                given.number("keep-batches", KEPT, Integer.MAX_VALUE));
        Batches batches =
                new Batches(spark, settings, cluster.header(topic), partitions, outputs);
        source().load().writeStream()
                .option("checkpointLocation", given.required("checkpoint"))
                .trigger(trigger())
                .foreachBatch((Dataset<Row> batch, Long number) ->
                        run(batches, KafkaRecords.of(batch, client), query(batch), number))
                .start()
                .awaitTermination();
    }

    private DataStreamReader source() {
        DataStreamReader source = session.readStream()
                .format("kafka")
                .option("subscribe", topic)
                // Where records are gone that were not read, this stops rather than going on.
                .option("failOnDataLoss", "true")
                .option("startingOffsets", "earliest")
                .option(
                        "maxOffsetsPerTrigger",
                        given.number("max-offsets", MAX_OFFSETS, Integer.MAX_VALUE));
        client.forEach((name, value) -> source.option("kafka." + name, String.valueOf(value)));
        return source;
    }

    private Trigger trigger() {
        return given.isSet("bounded", false)
                ? Trigger.AvailableNow()
                : Trigger.ProcessingTime(given.number("trigger-ms", TRIGGER_MS, 0, Long.MAX_VALUE));
    }

    private static String query(Dataset<Row> batch) {
        return batch.sparkSession().sparkContext().getLocalProperty(QUERY_ID);
    }

    private static void run(Batches batches, BatchRecords records, String query, long number)
            throws IOException {
        long begun = System.nanoTime();
        Batches.Done done = batches.run(query, number, records);
        System.out.printf(
                "batch %d: %d records, %d rows, as of %s, %d ms%n",
                number, done.records(), done.rows(), Instant.ofEpochMilli(done.watermark()),
                (System.nanoTime() - begun) / 1_000_000);
    }
}
