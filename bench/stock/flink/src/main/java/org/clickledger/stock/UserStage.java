package org.clickledger.stock;

import java.time.Duration;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.StateTtlConfig;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** Duplicates and double clicks: a user's clicks are in one partition, so they are in order. */
final class UserStage extends KeyedProcessFunction<Bytes, Click, Click> {
    private static final long serialVersionUID = 1;

    private transient ValueState<UserState> users;

    @Override
    public void open(OpenContext context) {
        ValueStateDescriptor<UserState> descriptor = new ValueStateDescriptor<>(
                "user", UserStateSerializer.INSTANCE);
        descriptor.enableTimeToLive(
                StateTtlConfig.newBuilder(Duration.ofMillis(UserRules.HORIZON + 60_000))
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
        UserState next = UserRules.judge(click, state == null ? new UserState() : state);
        if (next != null) {
            users.update(next);
        }
    }
}
