package org.clickledger.flink;

import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.clickledger.bridge.Frame;
import org.clickledger.bridge.Kind;

/**
 * The window stage, and marks behind its rows: whoever reads a partition of the topic of rows and
 * comes upon a mark has all rows of its key groups there that changed before.
 */
final class RowStage extends KeyedStage {
    private static final long serialVersionUID = 1;

    private final int partitions;
    private final boolean undecided;

    /**
     * @param partitions of the topic of rows
     * @param undecided whether rows are handed out, too, in which only undecided clicks are new
     */
    RowStage(byte[] header, int partitions, boolean undecided) {
        super(Kind.WINDOW, header);
        this.partitions = partitions;
        this.undecided = undecided;
    }

    @Override
    void emit(byte[] frame) {
        if (Frame.port(frame) == Frame.MARK) {
            mark(frame);
        } else if (undecided || Frame.port(frame) != Frame.ROW || frame[frame.length - 1] != 0) {
            super.emit(frame);
        }
    }

    private void mark(byte[] told) {
        int first = groups().getStartKeyGroup();
        int end = groups().getEndKeyGroup() + 1;
        for (int partition = 0; partition < partitions; partition++) {
            byte[] mark = Mark.frame(partition, first, end, told, undecided);
            output.collect(new StreamRecord<>(mark));
        }
    }
}
