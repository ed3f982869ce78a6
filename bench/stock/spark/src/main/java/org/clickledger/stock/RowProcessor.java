package org.clickledger.stock;

import java.nio.ByteBuffer;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.streaming.OutputMode;
import org.apache.spark.sql.streaming.StatefulProcessor;
import org.apache.spark.sql.streaming.TTLConfig;
import org.apache.spark.sql.streaming.TimeMode;
import org.apache.spark.sql.streaming.TimerValues;
import org.apache.spark.sql.streaming.ValueState;
import scala.Tuple2;
import scala.collection.Iterator;

/** Adds partial counts to rows; hands out each row that a batch has changed, by its key. */
final class RowProcessor extends StatefulProcessor<byte[], byte[], Tuple2<byte[], byte[]>> {
    private static final long serialVersionUID = 1;

    private transient ValueState<byte[]> rows;

    @Override
    public void init(OutputMode output, TimeMode time) {
        rows = getHandle().getValueState("row", Encoders.BINARY(), TTLConfig.NONE());
    }

    @Override
    public Iterator<Tuple2<byte[], byte[]>> handleInputRows(
            byte[] key, Iterator<byte[]> partials, TimerValues times) {
        byte[] row = rows.get();
        while (partials.hasNext()) {
            row = row == null ? partials.next() : sum(row, partials.next());
        }
        rows.update(row);
        return scala.collection.Iterator$.MODULE$.single(new Tuple2<>(key, row));
    }

    /** Of all numbers but the version, of which the greater one stays. */
    private static byte[] sum(byte[] one, byte[] other) {
        ByteBuffer left = ByteBuffer.wrap(one.clone());
        ByteBuffer right = ByteBuffer.wrap(other);
        int at = 2 + left.getShort(0);
        left.putLong(at, Math.max(left.getLong(at), right.getLong(at)));
        for (int count = at + 8; count < one.length; count += 8) {
            left.putLong(count, left.getLong(count) + right.getLong(count));
        }
        return left.array();
    }
}
