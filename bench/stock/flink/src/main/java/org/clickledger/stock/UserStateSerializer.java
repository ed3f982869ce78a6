package org.clickledger.stock;

import java.io.IOException;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** Of user states. */
public final class UserStateSerializer extends Serializer<UserState> {
    private static final long serialVersionUID = 1;
    static final UserStateSerializer INSTANCE = new UserStateSerializer();

    @Override
    public void serialize(UserState state, DataOutputView out) throws IOException {
        out.writeShort(state.claims.length);
        for (int at = 0; at < state.claims.length; at++) {
            BytesSerializer.INSTANCE.serialize(state.claims[at], out);
            out.writeLong(state.claimedAt[at]);
        }
        out.writeShort(state.ads.length);
        for (int at = 0; at < state.ads.length; at++) {
            ClickSerializer.write(state.ads[at], out);
            out.writeLong(state.clicks[2 * at]);
            out.writeLong(state.clicks[2 * at + 1]);
        }
    }

    @Override
    public UserState deserialize(DataInputView in) throws IOException {
        UserState state = new UserState();
        int claims = in.readUnsignedShort();
        state.claims = new Bytes[claims];
        state.claimedAt = new long[claims];
        for (int at = 0; at < claims; at++) {
            state.claims[at] = BytesSerializer.INSTANCE.deserialize(in);
            state.claimedAt[at] = in.readLong();
        }
        int ads = in.readUnsignedShort();
        state.ads = new Bytes[ads];
        state.clicks = new long[2 * ads];
        for (int at = 0; at < ads; at++) {
            state.ads[at] = ClickSerializer.readBytes(in);
            state.clicks[2 * at] = in.readLong();
            state.clicks[2 * at + 1] = in.readLong();
        }
        return state;
    }

    @Override
    public TypeSerializerSnapshot<UserState> snapshotConfiguration() {
        return new Snapshot();
    }

    /** Of the serializer. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<UserState> {
        public Snapshot() {
            super(() -> UserStateSerializer.INSTANCE);
        }
    }
}
