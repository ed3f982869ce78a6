package org.clickledger.spark;

import java.io.IOException;
import java.time.Instant;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.SerializableConfiguration;
import org.clickledger.bridge.Frame;
import org.clickledger.bridge.RecordBlock;
import scala.Tuple2;

/**
 * Computes the ledger again from an archive, slice after slice by the same stages as the stream,
 * and compares the verdicts with those in the archive.
 */
final class ArchiveJob {
    static final String WORD = "archive";
    private static final Set<String> NAMES =
            Set.of(WORD, "state", "out", "tasks", "max-records", "format");
    private static final int MAX_RECORDS = 5_000_000;
    private static final Set<String> FORMATS = Set.of("csv", "parquet");

    private final SparkSession session;
    private final JavaSparkContext spark;
    private final Arguments given;
    private final String out;
    private final String format;
    private final int tasks;

    ArchiveJob(SparkSession session, String[] arguments) {
        this.session = session;
        spark = JavaSparkContext.fromSparkContext(session.sparkContext());
        given = new Arguments(arguments, NAMES);
        out = given.required("out");
        format = given.has("format") ? given.required("format") : "csv";
        int parallelism = Math.min(spark.defaultParallelism(), RecordBlock.GROUPS);
        tasks = given.number("tasks", parallelism, RecordBlock.GROUPS);
        session.conf().set("spark.sql.shuffle.partitions", tasks);
        if (!FORMATS.contains(format)) {
            throw new IllegalArgumentException("--format " + format + ": csv or parquet");
        }
    }

    /** Writes the rows, and tells whether the verdicts are the archive's. */
    boolean run() throws IOException {
        Archive archive = new Archive(given.required(WORD), spark.hadoopConfiguration());
        String state = given.required("state");
        // The folder stays, so that a run that fails can be looked at; each has its own.
        String work = new Path(state, UUID.randomUUID().toString()).toString();
        FrameFiles frames = new FrameFiles(new StateFiles(
                new Path(work, "out").toString(),
                spark.broadcast(new SerializableConfiguration(spark.hadoopConfiguration()))));
        Batches.Settings settings = new Batches.Settings(work, tasks, true, true, 1);
        Batches batches =
                new Batches(spark, settings, archive.header(), archive.partitions(), frames);
        long number = 0;
        for (List<String> files : archive.slices(
                given.number("max-records", MAX_RECORDS, Integer.MAX_VALUE))) {
            long begun = System.nanoTime();
            JavaRDD<LogRecord> records = ArchiveRecords.of(session, files);
            Batches.Done done = batches.run(WORD, number, new Shuffled(records));
            System.out.printf(
                    "slice %d: %d records of %d files, %d rows, as of %s, %d ms%n",
                    number, done.records(), files.size(), done.rows(),
                    Instant.ofEpochMilli(done.watermark()),
                    (System.nanoTime() - begun) / 1_000_000);
            number++;
        }
        JavaRDD<byte[]> all = frames(work, frames).cache();
        write(all, LedgerRows.AD, "ad");
        write(all, LedgerRows.PUBLISHER, "publisher");
        boolean same = new Verdicts(session).compare(all, archive.verdicts());
        remove(work);
        return same;
    }

    /** All that tasks have handed out, some of it more than once. */
    private JavaRDD<byte[]> frames(String work, FrameFiles files) throws IOException {
        Path folder = new Path(new Path(work, "out"), StateFiles.FOLDER);
        FileSystem system = folder.getFileSystem(spark.hadoopConfiguration());
        if (!system.exists(folder)) {
            return spark.emptyRDD();
        }
        List<String> names = List.of(system.listStatus(folder)).stream()
                .map(FileStatus::getPath).map(Path::getName).toList();
        return spark.parallelize(names, tasks).flatMap(files::read);
    }

    private void write(JavaRDD<byte[]> frames, byte view, String folder) {
        JavaRDD<Row> rows = frames
                .filter(frame -> Frame.port(frame) == Frame.ROW && LedgerRows.view(frame) == view)
                .mapToPair(frame -> new Tuple2<>(LedgerRows.key(frame), frame))
                .reduceByKey(LedgerRows::newer, tasks)
                .values()
                .map(LedgerRows::row);
        session.createDataFrame(rows, LedgerRows.columns(view))
                .write()
                .mode(SaveMode.ErrorIfExists)
                .format(format)
                .option("header", "true")
                .option("escape", "\"")
                .option("emptyValue", "")
                .save(new Path(out, folder).toString());
    }

    private void remove(String work) throws IOException {
        Path path = new Path(work);
        path.getFileSystem(spark.hadoopConfiguration()).delete(path, true);
    }
}
