package org.clickledger.stock;

import java.io.IOException;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** Of counts. */
public final class CountsSerializer extends Serializer<Counts> {
    private static final long serialVersionUID = 1;
    static final CountsSerializer INSTANCE = new CountsSerializer();

    @Override
    public void serialize(Counts counts, DataOutputView out) throws IOException {
        for (long count : counts.byClass) {
            out.writeLong(count);
        }
        out.writeLong(counts.measured);
        out.writeLong(counts.sum);
        out.writeBoolean(counts.changed);
    }

    @Override
    public Counts deserialize(DataInputView in) throws IOException {
        Counts counts = new Counts();
        for (int at = 0; at < counts.byClass.length; at++) {
            counts.byClass[at] = in.readLong();
        }
        counts.measured = in.readLong();
        counts.sum = in.readLong();
        counts.changed = in.readBoolean();
        return counts;
    }

    @Override
    public Counts copy(Counts from) {
        Counts copy = new Counts();
        System.arraycopy(from.byClass, 0, copy.byClass, 0, copy.byClass.length);
        copy.measured = from.measured;
        copy.sum = from.sum;
        copy.changed = from.changed;
        return copy;
    }

    @Override
    public boolean isImmutableType() {
        return false;
    }

    @Override
    public TypeSerializerSnapshot<Counts> snapshotConfiguration() {
        return new Snapshot();
    }

    /** Of the serializer. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<Counts> {
        public Snapshot() {
            super(() -> CountsSerializer.INSTANCE);
        }
    }
}
