package org.clickledger.spark;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.storage.StorageLevel;
import org.apache.spark.util.LongAccumulator;
import org.apache.spark.util.SerializableConfiguration;
import org.clickledger.bridge.Frame;
import org.clickledger.bridge.Kind;
import scala.Tuple2;

/**
 * Runs batches of records through the stages, each stage a shuffle by key group. What comes of a
 * batch, its state too, follows from the state before it and its records alone: it may be done any
 * number of times, by any number of tasks.
 */
final class Batches {
    private final JavaSparkContext spark;
    private final Settings settings;
    private final byte[] header;
    private final int partitions;
    private final Outputs outputs;
    private final Manifests manifests;
    private final StateFiles files;
    private final String run = UUID.randomUUID().toString();

    /**
     * @param state the folder for state, which every executor reaches
     * @param tasks of each stage
     * @param keepsHandles whether open stages stay in memory between batches
     * @param undecided whether rows are handed out, too, in which only undecided clicks are new
     * @param kept manifests, and the state that they name, that stay
     */
    record Settings(String state, int tasks, boolean keepsHandles, boolean undecided, int kept) {}

    /** What a batch did. */
    record Done(long watermark, long records, long rows) {}

    /**
     * @param header payload of the first record of partition 0
     * @param partitions of the log
     */
    Batches(
            JavaSparkContext spark,
            Settings settings,
            byte[] header,
            int partitions,
            Outputs outputs) {
        this.spark = spark;
        this.settings = settings;
        this.header = header;
        this.partitions = partitions;
        this.outputs = outputs;
        manifests = new Manifests(settings.state, spark.hadoopConfiguration());
        files = new StateFiles(
                settings.state,
                spark.broadcast(new SerializableConfiguration(spark.hadoopConfiguration())));
    }

    /** Does a batch of a query; {@code records} are those behind the batch before. */
    Done run(String query, long number, BatchRecords records) throws IOException {
        Manifest before = manifests.before(number, query);
        LongAccumulator packed = spark.sc().longAccumulator("records");
        LongAccumulator rows = spark.sc().longAccumulator("rows");
        StageTask.Batch batch = new StageTask.Batch(
                number, run, settings.tasks, settings.keepsHandles, settings.undecided, header,
                files, outputs, rows);
        List<byte[]> told = new Flow(batch, before)
                .run(records.blocks(settings.tasks, packed));
        long watermark = reached(told);
        List<Piece> pieces = told.stream()
                .filter(frame -> Frame.port(frame) == Control.PIECE)
                .map(frame -> Manifest.read(Control.json(frame), Piece.class))
                .toList();
        manifests.write(new Manifest(Manifest.FORMAT, query, number, watermark, pieces));
        manifests.sweep(number, settings.kept);
        return new Done(watermark, packed.value(), rows.value());
    }

    /** The least of what tasks have reached. */
    private static long reached(List<byte[]> frames) {
        return frames.stream()
                .filter(frame -> Frame.port(frame) == Control.REACHED)
                .mapToLong(Control::instant)
                .min()
                .orElseThrow(() -> new IllegalStateException("no task says how far it went"));
    }

    /** The stages of one batch. */
    private final class Flow {
        private final StageTask.Batch batch;
        private final Manifest before;

        Flow(StageTask.Batch batch, Manifest before) {
            this.batch = batch;
            this.before = before;
        }

        /** What the tasks of the last stage say. */
        List<byte[]> run(BatchRecords.Blocks blocks) {
            StageTask.Input input = StageTask.Input.ofRecords();
            JavaRDD<byte[]> lead = task(blocks.lead(), Kind.LEAD, input)
                    .persist(StorageLevel.MEMORY_AND_DISK());
            try {
                return follow(blocks.others(), lead);
            } finally {
                lead.unpersist(false);
            }
        }

        private List<byte[]> follow(JavaRDD<byte[]> others, JavaRDD<byte[]> lead) {
            JavaRDD<byte[]> clicks = lead;
            int sequences = 1;
            if (partitions > 1) {
                // Policies are in partition 0: it goes first, and the others no further.
                List<byte[]> told = lead.filter(Flow::isForSequences).collect();
                List<byte[]> policies = new ArrayList<>(told);
                policies.removeIf(Control::is);
                StageTask.Input input = new StageTask.Input(reached(told), policies, 0);
                clicks = lead.union(task(others, Kind.SEQUENCE, input));
                sequences += batch.tasks();
            }
            JavaRDD<byte[]> users = stage(clicks, Kind.JOURNALLED_USER, sequences);
            JavaRDD<byte[]> sources = stage(users, Kind.SOURCE, batch.tasks());
            return stage(sources, Kind.WINDOW, batch.tasks()).collect();
        }

        /** Policies are told to every key group; one of these says it all. */
        private static boolean isForSequences(byte[] frame) {
            byte port = Frame.port(frame);
            boolean tells = port == Frame.POLICIES || port == Control.REACHED;
            return tells && Frame.group(frame) == 0;
        }

        private JavaRDD<byte[]> stage(JavaRDD<byte[]> frames, Kind kind, int heard) {
            int tasks = batch.tasks();
            JavaPairRDD<Integer, byte[]> routed = frames
                    .mapToPair(frame -> new Tuple2<>(taskOf(frame, tasks), frame));
            return task(
                    routed.partitionBy(new Tasks(tasks)).values(), kind, StageTask.Input.of(heard));
        }

        private JavaRDD<byte[]> task(JavaRDD<byte[]> frames, Kind kind, StageTask.Input input) {
            List<Piece> pieces = before.pieces().stream()
                    .filter(piece -> piece.stage() == kind).toList();
            return frames.mapPartitionsWithIndex(
                    new StageTask(batch, kind, pieces, input), false);
        }
    }

    private static int taskOf(byte[] frame, int tasks) {
        return Range.taskOf(Frame.group(frame), tasks);
    }
}
