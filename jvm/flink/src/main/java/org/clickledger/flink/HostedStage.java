package org.clickledger.flink;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import org.apache.flink.api.common.TaskInfo;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.runtime.state.KeyGroupRange;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;
import org.apache.flink.runtime.state.KeyGroupStatePartitionStreamProvider;
import org.apache.flink.runtime.state.KeyedStateCheckpointOutputStream;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.clickledger.bridge.Frame;
import org.clickledger.bridge.Kind;
import org.clickledger.bridge.Stage;

/**
 * A stage of the core as an operator: its state is Flink's raw keyed state, by key group, so that a
 * change of parallelism redistributes it. Decides nothing.
 */
abstract class HostedStage extends AbstractStreamOperator<byte[]> {
    private static final long serialVersionUID = 1;
    private static final long NANOS_A_MS = 1_000_000;

    private final Kind kind;
    private final byte[] header;
    private transient Stage stage;
    /** What those that follow have been told; each of their watermarks is one less. */
    private transient volatile long told;
    private transient volatile long gaps;
    private transient volatile long stateBytes;
    private transient volatile long snapshotMs;

    HostedStage(Kind kind, byte[] header) {
        this.kind = kind;
        this.header = header;
    }

    @Override
    protected boolean isUsingCustomRawKeyedState() {
        return true;
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        KeyGroupRange groups = groups();
        stage = new Stage(kind, groups.getStartKeyGroup(), groups.getEndKeyGroup() + 1, header);
        if (context.isRestored()) {
            for (KeyGroupStatePartitionStreamProvider state : context.getRawKeyedStateInputs()) {
                stage.restore(state.getKeyGroupId(), new DataInputStream(state.getStream()));
            }
        }
        stage.start();
    }

    @Override
    public void open() throws Exception {
        super.open();
        MetricGroup metrics = getMetricGroup().addGroup("clickledger");
        metrics.gauge("watermark", (Gauge<Long>) () -> told);
        metrics.gauge("stateBytes", (Gauge<Long>) () -> stateBytes);
        metrics.gauge("snapshotMs", (Gauge<Long>) () -> snapshotMs);
        if (kind == Kind.LEAD || kind == Kind.SEQUENCE) {
            metrics.gauge("gaps", (Gauge<Long>) () -> gaps);
        }
    }

    /** The key groups of this instance. */
    final KeyGroupRange groups() {
        TaskInfo task = getRuntimeContext().getTaskInfo();
        int count = task.getMaxNumberOfParallelSubtasks();
        if (count != KeyGroups.COUNT) {
            throw new IllegalStateException(
                    "the maximum parallelism is " + count + ": it has to be " + KeyGroups.COUNT);
        }
        return KeyGroupRangeAssignment.computeKeyGroupRangeForOperatorIndex(
                count, task.getNumberOfParallelSubtasks(), task.getIndexOfThisSubtask());
    }

    /** Takes a frame. */
    final void add(byte[] frame) {
        stage.add(frame, this::emit);
    }

    /** As {@link #advance(long)}, to the stops on the way first, one by one. */
    final void advance(Pace pace, long watermark) {
        for (long stop : pace.stops()) {
            if (stop > told && stop < watermark) {
                advance(stop);
                if (told < stop) {
                    return;
                }
            }
        }
        advance(watermark);
    }

    /** Goes to a watermark, or as far as records allow, and tells those that follow. */
    void advance(long watermark) {
        long reached = stage.advance(watermark, this::emit);
        gaps = stage.gaps();
        if (reached > told) {
            told = reached;
            // Flink's says that all up to it has come, the core's that all below it has.
            output.emitWatermark(new Watermark(reached - 1));
        }
    }

    /** Hands on what came of frames and watermarks. */
    void emit(byte[] frame) {
        StreamRecord<byte[]> element = new StreamRecord<>(frame);
        switch (Frame.port(frame)) {
            case Frame.NEXT, Frame.ROW -> output.collect(element);
            case Frame.POLICIES -> {
                if (kind == Kind.LEAD) {
                    output.collect(Outputs.POLICIES, element);
                }
                output.collect(element);
            }
            case Frame.VERDICTS -> output.collect(Outputs.VERDICTS, element);
            case Frame.DEAD_LETTERS -> output.collect(Outputs.DEAD_LETTERS, element);
            default -> throw new IllegalStateException("a frame of port " + Frame.port(frame));
        }
    }

    @Override
    public void prepareSnapshotPreBarrier(long checkpointId) {
        stage.flush(this::emit);
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        super.snapshotState(context);
        long begun = System.nanoTime();
        long written = 0;
        KeyedStateCheckpointOutputStream state = context.getRawKeyedOperatorStateOutput();
        for (int group : groups()) {
            state.startNewKeyGroup(group);
            DataOutputStream bytes = new DataOutputStream(state);
            stage.snapshot(group, bytes);
            bytes.flush();
            written += bytes.size();
        }
        stateBytes = written;
        snapshotMs = (System.nanoTime() - begun) / NANOS_A_MS;
    }

    @Override
    public void close() throws Exception {
        if (stage != null) {
            stage.close();
        }
        super.close();
    }
}
