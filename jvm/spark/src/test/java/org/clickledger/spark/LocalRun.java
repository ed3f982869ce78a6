package org.clickledger.spark;

import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * Runs a log in files through the stages in this process. Arguments: the directory with {@code
 * header} and {@code log-0}, {@code log-1}, ..., a seed, then chains as {@code 2-4-1}: so many
 * tasks for a while, then so many. At each change a batch is done again whose state was written.
 * {@code open-2-4} keeps stages open between batches, {@code place-2-4} has tasks read their
 * partitions themselves. What comes out of a chain is in the directory of its name.
 */
public final class LocalRun {
    /** Batches between two changes. */
    private static final int BATCHES = 4;
    private static final String OPEN = "open-";
    private static final String PLACE = "place-";

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
        return new LogRecord(partition, offset, time, ByteBuffer.wrap(payload));
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
            boolean open = name.contains(OPEN);
            String[] tasks = name.replace(OPEN, "").replace(PLACE, "").split("-");
            int all = BATCHES * tasks.length;
            int[] from = new int[log.size()];
            for (int turn = 0; turn < tasks.length; turn++) {
                Batches batches = batches(Integer.parseInt(tasks[turn]), open);
                for (int batch = turn * BATCHES; batch < (turn + 1) * BATCHES; batch++) {
                    int[] to = to(from, batch == all - 1);
                    BatchRecords records =
                            name.contains(PLACE) ? slices(from, to) : records(from, to);
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

        /** In parts of partitions that may come in any order, as an archive's files. */
        private BatchRecords records(int[] from, int[] to) {
            List<byte[]> records = new ArrayList<>();
            for (int partition = 0; partition < from.length; partition++) {
                records.addAll(log.get(partition).subList(from[partition], to[partition]));
            }
            return new Shuffled(spark.parallelize(records, 5).map(LocalRun::record));
        }

        /** As Spark's source does: by partition, here some of them cut in two, in any order. */
        private BatchRecords slices(int[] from, int[] to) {
            List<List<byte[]>> parts = new ArrayList<>();
            for (int partition = 0; partition < from.length; partition++) {
                List<byte[]> all = log.get(partition).subList(from[partition], to[partition]);
                int cut = random.nextInt(all.size() + 1);
                parts.add(new ArrayList<>(all.subList(0, cut)));
                parts.add(new ArrayList<>(all.subList(cut, all.size())));
            }
            parts.removeIf(List::isEmpty);
            Collections.shuffle(parts, random);
            List<InPlace.Slice> slices = parts.stream()
                    .map(part -> record(part.get(0)))
                    .map(first -> new InPlace.Slice(first.partition(), first.offset()))
                    .toList();
            JavaRDD<List<byte[]>> read = parts.isEmpty()
                    ? spark.emptyRDD() : spark.parallelize(parts, parts.size());
            return new InPlace(read.flatMap(List::iterator).map(LocalRun::record), slices);
        }
    }
}
