package org.clickledger.stock;

import java.io.IOException;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** Keys. */
public final class BytesSerializer extends Serializer<Bytes> {
    private static final long serialVersionUID = 1;
    static final BytesSerializer INSTANCE = new BytesSerializer();
    static final PlainType<Bytes> TYPE = new PlainType<>(Bytes.class, INSTANCE);

    @Override
    public void serialize(Bytes bytes, DataOutputView out) throws IOException {
        out.writeShort(bytes.length());
        out.write(bytes.get());
    }

    @Override
    public Bytes deserialize(DataInputView in) throws IOException {
        byte[] bytes = new byte[in.readUnsignedShort()];
        in.readFully(bytes);
        return new Bytes(bytes);
    }

    @Override
    public TypeSerializerSnapshot<Bytes> snapshotConfiguration() {
        return new Snapshot();
    }

    /** Of the serializer. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<Bytes> {
        public Snapshot() {
            super(() -> INSTANCE);
        }
    }
}
