package org.clickledger.flink;

import org.apache.flink.streaming.api.operators.TwoInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.clickledger.bridge.Kind;

/**
 * The sequence stages of partitions other than 0: the first input has their records, the second
 * policies and the watermark of partition 0, beyond which they do not go.
 */
final class SequenceStage extends HostedStage
        implements TwoInputStreamOperator<byte[], byte[], byte[]> {
    private static final long serialVersionUID = 1;

    private final Pace pace;
    private transient long lead;

    SequenceStage(byte[] header, Pace pace) {
        super(Kind.SEQUENCE, header);
        this.pace = pace;
    }

    @Override
    public void open() throws Exception {
        super.open();
        getProcessingTimeService()
                .scheduleWithFixedDelay(now -> goOn(), pace.everyMs(), pace.everyMs());
    }

    private void goOn() {
        advance(pace, lead);
    }

    @Override
    public void processElement1(StreamRecord<byte[]> block) {
        add(block.getValue());
    }

    @Override
    public void processElement2(StreamRecord<byte[]> policies) {
        add(policies.getValue());
    }

    @Override
    public void processWatermark1(Watermark mark) {
        // Time is in the records.
    }

    @Override
    public void processWatermark2(Watermark mark) {
        if (mark.getTimestamp() != Watermark.MAX_WATERMARK.getTimestamp()) {
            lead = mark.getTimestamp() + 1;
            goOn();
        }
    }

    @Override
    public void finish() throws Exception {
        goOn();
        super.finish();
    }
}
