package org.clickledger.flink;

import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.clickledger.bridge.RecordBlock;

/**
 * Packs records into blocks, one of each partition, beside the source. Keeps nothing over a
 * barrier, so it has no state; knows nothing of time.
 */
final class Packer extends AbstractStreamOperator<byte[]>
        implements OneInputStreamOperator<byte[], byte[]> {
    private static final long serialVersionUID = 1;
    private static final int BLOCK_BYTES = 64 * 1024;
    private static final long WAIT_MS = 20;

    private transient Map<Integer, RecordBlock> blocks;

    @Override
    public void open() throws Exception {
        super.open();
        blocks = new TreeMap<>();
        getProcessingTimeService().scheduleWithFixedDelay(now -> flush(), WAIT_MS, WAIT_MS);
    }

    @Override
    public void processElement(StreamRecord<byte[]> element) {
        byte[] record = element.getValue();
        int partition = LogRecord.partition(record);
        RecordBlock block = blocks.computeIfAbsent(partition, Packer::begin);
        block.add(record, LogRecord.PARTITION_BYTES);
        if (block.size() >= BLOCK_BYTES) {
            blocks.remove(partition);
            emit(partition, block.frame());
        }
    }

    private static RecordBlock begin(int partition) {
        return new RecordBlock(partition, BLOCK_BYTES);
    }

    private void flush() {
        blocks.forEach((partition, block) -> emit(partition, block.frame()));
        blocks.clear();
    }

    private void emit(int partition, byte[] block) {
        if (partition == 0) {
            output.collect(new StreamRecord<>(block));
        } else {
            output.collect(Outputs.OTHERS, new StreamRecord<>(block));
        }
    }

    @Override
    public void processWatermark(Watermark mark) {
        // Time is in the records, and the sequence stages read it there.
    }

    @Override
    public void processWatermarkStatus(WatermarkStatus status) {
        // A partition that is silent holds time back, for ever if need be.
    }

    @Override
    public void prepareSnapshotPreBarrier(long checkpointId) {
        flush();
    }

    @Override
    public void finish() throws Exception {
        flush();
        super.finish();
    }
}
