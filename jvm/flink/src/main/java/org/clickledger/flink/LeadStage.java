package org.clickledger.flink;

import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.clickledger.bridge.Kind;

/** The sequence stage of partition 0: goes as far as its records allow, now and then. */
final class LeadStage extends HostedStage implements OneInputStreamOperator<byte[], byte[]> {
    private static final long serialVersionUID = 1;

    private final Pace pace;

    LeadStage(byte[] header, Pace pace) {
        super(Kind.LEAD, header);
        this.pace = pace;
    }

    @Override
    public void open() throws Exception {
        super.open();
        getProcessingTimeService()
                .scheduleWithFixedDelay(now -> goOn(), pace.everyMs(), pace.everyMs());
    }

    private void goOn() {
        advance(pace, Long.MAX_VALUE);
    }

    @Override
    public void processElement(StreamRecord<byte[]> element) {
        add(element.getValue());
    }

    @Override
    public void processWatermark(Watermark mark) {
        // Time is in the records.
    }

    @Override
    public void processWatermarkStatus(WatermarkStatus status) {
        // Nobody is idle: see Packer.
    }

    @Override
    public void finish() throws Exception {
        goOn();
        super.finish();
    }
}
