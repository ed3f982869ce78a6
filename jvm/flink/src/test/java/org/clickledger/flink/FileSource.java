package org.clickledger.flink;

import java.io.DataInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.source.legacy.RichParallelSourceFunction;
import org.apache.flink.streaming.api.functions.source.legacy.SourceFunction;

/**
 * A log in files, one a partition, read slowly enough for checkpoints to fall into it. May die once
 * so many checkpoints are whole.
 */
@SuppressWarnings("deprecation")
final class FileSource extends RichParallelSourceFunction<byte[]>
        implements CheckpointedFunction, CheckpointListener {
    private static final long serialVersionUID = 1;
    /** Instances that have read all of theirs, and wait for the others. */
    private static final Set<Integer> DONE = ConcurrentHashMap.newKeySet();
    /** The newest checkpoint of which the job has been told that it is whole. */
    private static final AtomicLong NEWEST = new AtomicLong();

    private final String directory;
    private final int partitions;
    private final int diesAfter;
    private transient Map<Integer, Integer> positions;
    private transient ListState<int[]> saved;
    private transient volatile boolean stopped;
    private transient volatile int whole;

    FileSource(String directory, int partitions, int diesAfter) {
        this.directory = directory;
        this.partitions = partitions;
        this.diesAfter = diesAfter;
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
        saved = context.getOperatorStateStore()
                .getUnionListState(new ListStateDescriptor<>("positions", int[].class));
        positions = new TreeMap<>();
        int mine = getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
        int count = getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
        for (int partition = mine; partition < partitions; partition += count) {
            positions.put(partition, 0);
        }
        for (int[] position : saved.get()) {
            positions.computeIfPresent(position[0], (partition, none) -> position[1]);
        }
        DONE.remove(mine);
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        List<int[]> all = new ArrayList<>();
        positions.forEach((partition, next) -> all.add(new int[] {partition, next}));
        saved.update(all);
    }

    @Override
    public void notifyCheckpointComplete(long checkpointId) {
        NEWEST.set(checkpointId);
        whole++;
    }

    /** Others may be written still, and be removed again, as the job dies. */
    static long newestWhole() {
        return NEWEST.get();
    }

    @Override
    public void run(SourceFunction.SourceContext<byte[]> context) throws Exception {
        Map<Integer, List<byte[]>> logs = new TreeMap<>();
        for (int partition : positions.keySet()) {
            logs.put(partition, read(Path.of(directory, "log-" + partition)));
        }
        boolean left = true;
        while (left && !stopped) {
            left = false;
            for (int partition : logs.keySet()) {
                left |= emitSome(context, partition, logs.get(partition));
            }
            Thread.sleep(5);
            if (diesAfter > 0 && whole >= diesAfter) {
                throw new IllegalStateException("dies as the test asks it to");
            }
        }
        DONE.add(getRuntimeContext().getTaskInfo().getIndexOfThisSubtask());
        int count = getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
        while (DONE.size() < count && !stopped) {
            Thread.sleep(5);
        }
    }

    private boolean emitSome(
            SourceFunction.SourceContext<byte[]> context, int partition, List<byte[]> log) {
        synchronized (context.getCheckpointLock()) {
            int from = positions.get(partition);
            int to = Math.min(from + 11 + partition, log.size());
            for (int next = from; next < to; next++) {
                context.collect(log.get(next));
            }
            positions.put(partition, to);
            return to < log.size();
        }
    }

    private static List<byte[]> read(Path file) throws Exception {
        List<byte[]> records = new ArrayList<>();
        try (DataInputStream in = new DataInputStream(Files.newInputStream(file))) {
            while (in.available() > 0) {
                records.add(in.readNBytes(Integer.reverseBytes(in.readInt())));
            }
        }
        return records;
    }

    @Override
    public void cancel() {
        stopped = true;
    }
}
