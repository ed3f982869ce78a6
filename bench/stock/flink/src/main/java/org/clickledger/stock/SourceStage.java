package org.clickledger.stock;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** Bursts of one source: a click is decided a second after its fold time. */
final class SourceStage extends KeyedProcessFunction<Bytes, Click, Click> {
    private static final long serialVersionUID = 1;
    private static final long SPAN_MS = 1000;
    private static final int CLICKS = 11;
    private static final Comparator<Click> ORDER = Comparator
            .comparingLong((Click click) -> click.foldTime)
            .thenComparingInt(click -> click.partition)
            .thenComparingLong(click -> click.offset < 0 ? -1 - click.offset : click.offset);

    private transient ListState<Click> recent;

    @Override
    public void open(OpenContext context) {
        recent = getRuntimeContext().getListState(
                new ListStateDescriptor<>("recent", ClickSerializer.INSTANCE));
    }

    @Override
    public void processElement(Click click, Context context, Collector<Click> out)
            throws Exception {
        recent.add(click);
        context.timerService().registerEventTimeTimer(click.foldTime + SPAN_MS);
    }

    @Override
    public void onTimer(long time, OnTimerContext context, Collector<Click> out) throws Exception {
        List<Click> clicks = new ArrayList<>();
        recent.get().forEach(clicks::add);
        if (clicks.isEmpty()) {
            return;
        }
        long now = Math.max(time, context.timerService().currentWatermark());
        if (clicks.size() >= CLICKS && context.getCurrentKey().length() > 0) {
            clicks.sort(ORDER);
            mark(clicks);
        }
        List<Click> kept = new ArrayList<>();
        for (Click click : clicks) {
            boolean decided = click.foldTime + SPAN_MS <= now;
            // Decided before, and kept for those that follow.
            if (decided && click.offset >= 0) {
                boolean isNeeded = clicks.size() > 1 && click.foldTime + 2 * SPAN_MS > now;
                if (isNeeded) {
                    kept.add(context(click));
                }
                click.ip = Bytes.NONE;
                out.collect(click);
            } else if (!decided || click.foldTime + 2 * SPAN_MS > now) {
                kept.add(click);
            }
        }
        if (kept.isEmpty()) {
            recent.clear();
        } else {
            recent.update(kept);
            context.timerService().registerEventTimeTimer(now + SPAN_MS);
        }
    }

    /** The same, not to be handed out again. */
    private static Click context(Click click) {
        Click copy = new Click();
        copy.foldTime = click.foldTime;
        copy.receivedAt = click.receivedAt;
        copy.partition = click.partition;
        copy.offset = -1 - click.offset;
        copy.verdict = click.verdict;
        return copy;
    }

    private static void mark(List<Click> all) {
        List<Click> clicks = all.stream()
                .filter(click -> click.verdict != Click.G5 && click.verdict != Click.G8)
                .toList();
        for (int first = 0; first + CLICKS <= clicks.size(); first++) {
            List<Click> window = clicks.subList(first, first + CLICKS);
            long folded = window.get(CLICKS - 1).foldTime - window.get(0).foldTime;
            long least = Long.MAX_VALUE;
            long most = Long.MIN_VALUE;
            for (Click click : window) {
                least = Math.min(least, click.clickTime());
                most = Math.max(most, click.clickTime());
            }
            if (folded < SPAN_MS && most - least < SPAN_MS) {
                for (Click click : window) {
                    if (click.verdict == Click.VALID) {
                        click.verdict = Click.G3;
                    }
                }
            }
        }
    }
}
