package org.clickledger.stock;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.streaming.OutputMode;
import org.apache.spark.sql.streaming.StatefulProcessor;
import org.apache.spark.sql.streaming.TTLConfig;
import org.apache.spark.sql.streaming.TimeMode;
import org.apache.spark.sql.streaming.TimerValues;
import org.apache.spark.sql.streaming.ValueState;
import scala.jdk.javaapi.CollectionConverters;

/** Duplicates and double clicks of each user; hands on what a row needs of a click. */
final class UserProcessor extends StatefulProcessor<byte[], byte[], byte[]> {
    private static final long serialVersionUID = 1;
    private static final Comparator<Click> ORDER =
            Comparator.comparingLong((Click click) -> click.foldTime)
                    .thenComparingInt(click -> click.partition)
                    .thenComparingLong(click -> click.offset);

    private transient ValueState<byte[]> users;
    private transient Packed packed;

    @Override
    public void init(OutputMode output, TimeMode time) {
        users = getHandle().getValueState("user", Encoders.BINARY(), TTLConfig.NONE());
        packed = new Packed();
    }

    @Override
    public scala.collection.Iterator<byte[]> handleInputRows(
            byte[] key, scala.collection.Iterator<byte[]> given, TimerValues times) {
        List<Click> clicks = new ArrayList<>(1);
        while (given.hasNext()) {
            clicks.add(Packed.unpack(given.next()));
        }
        if (clicks.size() > 1) {
            clicks.sort(ORDER);
        }
        judge(clicks);
        Iterator<byte[]> out = clicks.stream().map(packed::pack).iterator();
        return CollectionConverters.asScala(out);
    }

    private void judge(List<Click> clicks) {
        byte[] before = users.get();
        UserState state = before == null ? new UserState() : UserBytes.read(before);
        boolean changed = false;
        for (Click click : clicks) {
            UserState next = click.verdict == Click.VALID ? UserRules.judge(click, state) : null;
            if (next != null) {
                state = next;
                changed = true;
            }
            // Nobody behind this asks for them.
            click.issuer = Bytes.NONE;
            click.clickId = Bytes.NONE;
            click.userId = Bytes.NONE;
        }
        if (changed) {
            users.update(UserBytes.write(state));
        }
    }
}
