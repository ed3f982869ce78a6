package org.clickledger.flink;

import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.clickledger.bridge.Kind;

/** A user, source or window stage: goes where the stages before it have gone. */
class KeyedStage extends HostedStage implements OneInputStreamOperator<byte[], byte[]> {
    private static final long serialVersionUID = 1;

    KeyedStage(Kind kind, byte[] header) {
        super(kind, header);
    }

    @Override
    public void processElement(StreamRecord<byte[]> element) {
        add(element.getValue());
    }

    @Override
    public void processWatermark(Watermark mark) {
        // The end of a stream is not an instant of the log.
        if (mark.getTimestamp() != Watermark.MAX_WATERMARK.getTimestamp()) {
            advance(mark.getTimestamp() + 1);
        }
    }
}
