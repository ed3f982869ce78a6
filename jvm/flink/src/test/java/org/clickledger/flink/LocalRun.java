package org.clickledger.flink;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Runs a log in files through the dataflow on a cluster within this process. Arguments: the
 * directory with {@code header} and {@code log-0}, {@code log-1}, ..., then chains of parallelisms
 * as 2-4-1: each but the last of a chain dies, and the next goes on from its last checkpoint. A
 * chain whose name begins with {@code every-} stops at each of the {@code instants}, a file of
 * eight bytes each. What comes out of a chain is in the directory of its name; {@code gaps} has how
 * many records its last job knew to be missing.
 */
public final class LocalRun {
    private static final int CHECKPOINTS_BEFORE_DEATH = 3;
    private static final int EVERY_MS = 20;
    private static final String EVERY = "every-";

    private LocalRun() {}

    public static void main(String[] arguments) throws Exception {
        String log = arguments[0];
        for (int chain = 1; chain < arguments.length; chain++) {
            Path out = Path.of(log, arguments[chain]);
            boolean stops = arguments[chain].startsWith(EVERY);
            Pace pace = new Pace(EVERY_MS, stops ? instants(log) : new long[0]);
            String[] parallelisms = arguments[chain].replace(EVERY, "").split("-");
            String from = null;
            for (int turn = 0; turn < parallelisms.length; turn++) {
                boolean isLast = turn == parallelisms.length - 1;
                Path checkpoints = out.resolve("checkpoints-" + turn);
                Configuration settings = settings(checkpoints, from);
                Gaps.forget();
                run(log, out, Integer.parseInt(parallelisms[turn]), settings, pace, !isLast);
                from = isLast ? null : newest(checkpoints);
            }
            Files.writeString(out.resolve("gaps"), String.valueOf(Gaps.sum()));
        }
    }

    private static long[] instants(String log) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(Path.of(log, "instants")));
        long[] instants = new long[bytes.remaining() / Long.BYTES];
        bytes.order(ByteOrder.LITTLE_ENDIAN).asLongBuffer().get(instants);
        return instants;
    }

    private static Configuration settings(Path checkpoints, String from) {
        Configuration settings = new Configuration();
        settings.setString("execution.checkpointing.interval", "40 ms");
        settings.setString("execution.checkpointing.dir", checkpoints.toUri().toString());
        String retention = "execution.checkpointing.externalized-checkpoint-retention";
        settings.setString(retention, "RETAIN_ON_CANCELLATION");
        settings.setString("execution.checkpointing.num-retained", "100");
        settings.setString("restart-strategy.type", "none");
        settings.setString("metrics.reporters", "gaps");
        settings.setString("metrics.reporter.gaps.factory.class", Gaps.Factory.class.getName());
        settings.setString("rest.port", "0");
        settings.setString("rest.bind-port", "0");
        if (from != null) {
            settings.setString("execution.state-recovery.path", from);
        }
        return settings;
    }

    private static void run(
            String log,
            Path out,
            int parallelism,
            Configuration settings,
            Pace pace,
            boolean dies)
            throws Exception {
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.createLocalEnvironment(parallelism, settings);
        Dataflow.prepare(environment);
        int partitions = 0;
        while (Files.exists(Path.of(log, "log-" + partitions))) {
            partitions++;
        }
        FileSource source = new FileSource(log, partitions, dies ? CHECKPOINTS_BEFORE_DEATH : 0);
        @SuppressWarnings("deprecation")
        SingleOutputStreamOperator<byte[]> records = environment.addSource(source).uid("log")
                .setParallelism(Math.min(parallelism, partitions));
        byte[] header = Files.readAllBytes(Path.of(log, "header"));
        Dataflow flow = new Dataflow(records, header, pace, new RowStage(header, 0, true));
        sink(flow.rows, out, "rows");
        sink(flow.verdicts, out, "verdicts");
        sink(flow.deadLetters, out, "dead-letters");
        try {
            environment.execute("test");
        } catch (Exception e) {
            if (!dies || !says(e, "dies as the test asks it to")) {
                throw e;
            }
            System.out.println("died at parallelism " + parallelism);
        }
    }

    @SuppressWarnings("deprecation")
    private static void sink(DataStream<byte[]> frames, Path out, String name) {
        frames.addSink(new FileSink(out.resolve(name).toString())).uid(name);
    }

    private static boolean says(Throwable e, String text) {
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (String.valueOf(cause.getMessage()).contains(text)) {
                return true;
            }
        }
        return false;
    }

    private static String newest(Path checkpoints) throws IOException {
        String name = "chk-" + FileSource.newestWhole();
        try (Stream<Path> files = Files.walk(checkpoints)) {
            return files.filter(file -> file.endsWith(name))
                    .findFirst()
                    .orElseThrow(() -> new IOException("no " + name + " in " + checkpoints))
                    .toUri().toString();
        }
    }
}
