package org.clickledger.stock;

import java.nio.ByteBuffer;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** Counts, and a row at each full second in which they have changed. */
final class RowStage extends KeyedProcessFunction<Bytes, Click, byte[]> {
    private static final long serialVersionUID = 1;
    private static final long GRID_MS = 1000;

    private final boolean byAd;
    private transient ValueState<Counts> rows;

    RowStage(boolean byAd) {
        this.byAd = byAd;
    }

    @Override
    public void open(OpenContext context) {
        rows = getRuntimeContext().getState(
                new ValueStateDescriptor<>("row", CountsSerializer.INSTANCE));
    }

    @Override
    public void processElement(Click click, Context context, Collector<byte[]> out)
            throws Exception {
        Counts counts = rows.value();
        if (counts == null) {
            counts = new Counts();
            context.timerService().registerEventTimeTimer(end(context.getCurrentKey()));
        }
        counts.add(click, byAd);
        if (!counts.changed) {
            counts.changed = true;
            long final_ = click.foldTime + GRID_MS;
            context.timerService().registerEventTimeTimer((final_ / GRID_MS + 1) * GRID_MS);
        }
        rows.update(counts);
    }

    /** Behind the minute's or the posted minute's last click. */
    private static long end(Bytes key) {
        ByteBuffer bytes = ByteBuffer.wrap(key.get());
        int posted = bytes.getInt(key.length() - 4);
        int minute = bytes.getInt(key.length() - 8);
        long sealed = posted > 0
                ? (posted + 1L) * RowKey.MINUTE_MS
                : (minute + 1L) * RowKey.MINUTE_MS + RowKey.SEAL_AFTER_MS;
        return sealed + 3 * GRID_MS;
    }

    @Override
    public void onTimer(long time, OnTimerContext context, Collector<byte[]> out)
            throws Exception {
        Counts counts = rows.value();
        if (counts == null) {
            return;
        }
        if (counts.changed) {
            counts.changed = false;
            out.collect(counts.row(context.getCurrentKey(), time));
            rows.update(counts);
        }
        if (time >= end(context.getCurrentKey())) {
            rows.clear();
        }
    }
}
