package org.clickledger.flink;

import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.clickledger.bridge.Kind;

/** The stages, put together: records of the log in, rows, verdicts and dead letters out. */
final class Dataflow {
    /** Frames of one row each, and marks. */
    final DataStream<byte[]> rows;
    /** Frames of final verdicts. */
    final DataStream<byte[]> verdicts;
    /** Frames of records that no click came of. */
    final DataStream<byte[]> deadLetters;

    /**
     * @param records {@link LogRecord}s, each partition's in order
     * @param header payload of the first record of partition 0
     * @param pace how often watermarks are told
     * @param last the stage that hands out rows
     */
    Dataflow(
            SingleOutputStreamOperator<byte[]> records,
            byte[] header,
            Pace pace,
            RowStage last) {
        SingleOutputStreamOperator<byte[]> blocks =
                named("pack", records.transform("pack", Outputs.BYTES, new Packer()))
                        .setParallelism(records.getParallelism());
        SingleOutputStreamOperator<byte[]> lead = lead(blocks, header, pace);
        SingleOutputStreamOperator<byte[]> others = others(blocks, lead, header, pace);
        KeyedStage user = new KeyedStage(Kind.USER, header);
        SingleOutputStreamOperator<byte[]> users = stage("user", lead.union(others), user);
        KeyedStage source = new KeyedStage(Kind.SOURCE, header);
        SingleOutputStreamOperator<byte[]> sources = stage("source", users, source);
        rows = stage("window", sources, last);
        verdicts = sources.getSideOutput(Outputs.VERDICTS);
        deadLetters = lead.getSideOutput(Outputs.DEAD_LETTERS)
                .union(others.getSideOutput(Outputs.DEAD_LETTERS));
    }

    /** What a job of this dataflow needs of its environment, whatever the cluster's settings. */
    static void prepare(StreamExecutionEnvironment environment) {
        environment.setMaxParallelism(KeyGroups.COUNT);
        // All instances of a stage have one watermark at a barrier only if barriers are aligned.
        environment.getCheckpointConfig().enableUnalignedCheckpoints(false);
        environment.getConfig().enableObjectReuse();
    }

    private static SingleOutputStreamOperator<byte[]> lead(
            DataStream<byte[]> blocks, byte[] header, Pace pace) {
        LeadStage stage = new LeadStage(header, pace);
        return named("lead", blocks.keyBy(new KeyGroups()).transform("lead", Outputs.BYTES, stage))
                .setParallelism(1);
    }

    private static SingleOutputStreamOperator<byte[]> others(
            SingleOutputStreamOperator<byte[]> blocks,
            SingleOutputStreamOperator<byte[]> lead,
            byte[] header,
            Pace pace) {
        SequenceStage stage = new SequenceStage(header, pace);
        return named("sequence", blocks.getSideOutput(Outputs.OTHERS)
                .connect(lead.getSideOutput(Outputs.POLICIES))
                .keyBy(new KeyGroups(), new KeyGroups())
                .transform("sequence", Outputs.BYTES, stage));
    }

    private static SingleOutputStreamOperator<byte[]> stage(
            String name, DataStream<byte[]> input, KeyedStage stage) {
        return named(name, input.keyBy(new KeyGroups()).transform(name, Outputs.BYTES, stage));
    }

    /** State is found again by this name. */
    private static SingleOutputStreamOperator<byte[]> named(
            String name, SingleOutputStreamOperator<byte[]> stage) {
        return stage.uid("clickledger-" + name);
    }
}
