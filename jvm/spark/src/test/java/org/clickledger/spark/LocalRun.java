package org.clickledger.spark;

import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * Runs a log in files through the stages in this process. Arguments: the directory with {@code
 * header} and {@code log-0}, {@code log-1}, ..., a seed, then chains as {@code 2-4-1}: so many
 * tasks for a while, then so many. At each change a batch is done again whose state was written.
 * {@code open-2-4} keeps stages open between batches. What comes out of a chain is in the directory
 * of its name.
 */
public final class LocalRun {
    /** Batches between two changes. */
    private static final int BATCHES = 4;
    private static final String OPEN = "open-";

    private LocalRun() {}

    public static void main(String[] arguments) throws Exception {
        SparkConf conf = new SparkConf().setMaster("local[2]").setAppName("test")
                .set("spark.ui.enabled", "false")
                .set("spark.serializer", "org.apache.spark.serializer.KryoSerializer");
        Random random = new Random(Long.parseLong(arguments[1]));
        try (JavaSparkContext spark = new JavaSparkContext(conf)) {
            List<List<byte[]>> log = read(Path.of(arguments[0]));
            byte[] header = Files.readAllBytes(Path.of(arguments[0], "header"));
            for (int chain = 2; chain < arguments.length; chain++) {
                Path out = Path.of(arguments[0], arguments[chain]);
                new Chain(spark, log, header, out, arguments[chain], random).run();
            }
        }
    }

    private static List<List<byte[]>> read(Path directory) throws IOException {
        List<List<byte[]>> log = new ArrayList<>();
        for (;;) {
            Path file = directory.resolve("log-" + log.size());
            if (!Files.exists(file)) {
                return log;
            }
            List<byte[]> records = new ArrayList<>();
            try (DataInputStream in = new DataInputStream(Files.newInputStream(file))) {
                while (in.available() > 0) {
                    records.add(in.readNBytes(Integer.reverseBytes(in.readInt())));
                }
            }
            log.add(records);
        }
    }

    private static LogRecord record(byte[] record) {
        ByteBuffer bytes = ByteBuffer.wrap(record).order(ByteOrder.LITTLE_ENDIAN);
        int partition = bytes.getInt();
        long offset = bytes.getLong();
        long time = bytes.getLong();
        byte[] payload = new byte[Math.toIntExact(bytes.getLong())];
        bytes.get(payload);
        return new LogRecord(partition, offset, time, payload);
    }

    /** One way through the log. */
    private record Chain(
            JavaSparkContext spark,
            List<List<byte[]>> log,
            byte[] header,
            Path out,
            String name,
            Random random) {
        void run() throws IOException {
            boolean open = name.startsWith(OPEN);
            String[] tasks = name.replace(OPEN, "").split("-");
            int all = BATCHES * tasks.length;
            int[] from = new int[log.size()];
            for (int turn = 0; turn < tasks.length; turn++) {
                Batches batches = batches(Integer.parseInt(tasks[turn]), open);
                for (int batch = turn * BATCHES; batch < (turn + 1) * BATCHES; batch++) {
                    int[] to = to(from, batch == all - 1);
                    JavaRDD<LogRecord> records = records(from, to);
                    batches.run("test", batch, records);
                    boolean changes = batch == (turn + 1) * BATCHES - 1 && turn + 1 < tasks.length;
                    if (changes) {
                        // As after a death between the state's last file and Spark's own note.
                        Batches after = batches(Integer.parseInt(tasks[turn + 1]), open);
                        after.run("test", batch, records);
                    }
                    from = to;
                }
            }
        }

        private Batches batches(int tasks, boolean open) {
            Batches.Settings settings =
                    new Batches.Settings(out.resolve("state").toString(), tasks, open, true, 2);
            return new Batches(
                    spark, settings, header, log.size(), new FileOutputs(out.toString()));
        }

        private int[] to(int[] from, boolean isLast) {
            int[] to = from.clone();
            for (int partition = 0; partition < to.length; partition++) {
                int left = log.get(partition).size() - from[partition];
                // Often nothing at all comes of a partition.
                int some = random.nextInt(3) == 0 ? 0 : random.nextInt(left / 3 + 1);
                to[partition] += isLast ? left : some;
            }
            return to;
        }

        /** As Spark's source does, in parts of partitions that may come in any order. */
        private JavaRDD<LogRecord> records(int[] from, int[] to) {
            List<byte[]> records = new ArrayList<>();
            for (int partition = 0; partition < from.length; partition++) {
                records.addAll(log.get(partition).subList(from[partition], to[partition]));
            }
            return spark.parallelize(records, 5).map(LocalRun::record);
        }
    }
}
