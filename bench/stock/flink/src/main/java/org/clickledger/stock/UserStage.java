package org.clickledger.stock;

import java.time.Duration;
import java.util.Arrays;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.StateTtlConfig;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** Duplicates and double clicks: a user's clicks are in one partition, so they are in order. */
final class UserStage extends KeyedProcessFunction<Bytes, Click, Click> {
    private static final long serialVersionUID = 1;
    private static final long HORIZON = 86_400_000L + 3 * 86_400_000L + 300_000;
    private static final long DOUBLE_MS = 30_000;
    private static final long DOUBLE_AGE_MS = 600_000;

    private transient ValueState<UserState> users;

    @Override
    public void open(OpenContext context) {
        ValueStateDescriptor<UserState> descriptor = new ValueStateDescriptor<>(
                "user", UserState.StateSerializer.INSTANCE);
        descriptor.enableTimeToLive(
                StateTtlConfig.newBuilder(Duration.ofMillis(HORIZON + 60_000))
                        .cleanupIncrementally(1, false)
                        .build());
        users = getRuntimeContext().getState(descriptor);
    }

    @Override
    public void processElement(Click click, Context context, Collector<Click> out)
            throws Exception {
        if (click.verdict == Click.VALID) {
            judge(click);
        }
        // Nobody behind this asks for them.
        click.issuer = Bytes.NONE;
        click.clickId = Bytes.NONE;
        click.userId = Bytes.NONE;
        out.collect(click);
    }

    private void judge(Click click) throws Exception {
        UserState state = users.value();
        if (state == null) {
            state = new UserState();
        }
        Bytes claim = claim(click);
        long claimed = state.claimed(claim);
        if (claimed >= 0 && click.foldTime - claimed <= HORIZON) {
            click.verdict = Click.D1;
            return;
        }
        state = state.claim(claim, click.foldTime, HORIZON);
        if (click.userId.length() > 0) {
            int last = state.find(click.ad);
            boolean isDouble = last >= 0
                    && Math.abs(click.clickTime() - state.clicks[2 * last]) <= DOUBLE_MS
                    && click.foldTime - state.clicks[2 * last + 1] <= DOUBLE_AGE_MS;
            if (isDouble) {
                click.verdict = Click.D2;
            } else {
                state.note(click.ad, click.clickTime(), click.foldTime, DOUBLE_AGE_MS);
            }
        }
        users.update(state);
    }

    private static Bytes claim(Click click) {
        byte[] issuer = click.issuer.get();
        byte[] id = click.clickId.get();
        byte[] claim = Arrays.copyOf(issuer, issuer.length + id.length + 1);
        claim[issuer.length] = (byte) (click.userId.length() == 0 ? 1 : 0);
        System.arraycopy(id, 0, claim, issuer.length + 1, id.length);
        return new Bytes(claim);
    }
}
