package org.clickledger.stock;

import java.io.IOException;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** Clicks between operators and in state. */
public final class ClickSerializer extends Serializer<Click> {
    private static final long serialVersionUID = 1;
    static final ClickSerializer INSTANCE = new ClickSerializer();

    @Override
    public void serialize(Click click, DataOutputView out) throws IOException {
        out.writeInt(click.partition);
        out.writeLong(click.offset);
        out.writeLong(click.foldTime);
        out.writeLong(click.receivedAt);
        out.writeByte(click.verdict);
        out.writeLong(click.price);
        out.writeLong(click.payout);
        write(click.issuer, out);
        write(click.clickId, out);
        write(click.userId, out);
        write(click.ad, out);
        write(click.campaign, out);
        write(click.advertiser, out);
        write(click.publisher, out);
        write(click.placement, out);
        write(click.currency, out);
        write(click.ip, out);
    }

    @Override
    public Click deserialize(DataInputView in) throws IOException {
        Click click = new Click();
        click.partition = in.readInt();
        click.offset = in.readLong();
        click.foldTime = in.readLong();
        click.receivedAt = in.readLong();
        click.verdict = in.readByte();
        click.price = in.readLong();
        click.payout = in.readLong();
        click.issuer = readBytes(in);
        click.clickId = readBytes(in);
        click.userId = readBytes(in);
        click.ad = readBytes(in);
        click.campaign = readBytes(in);
        click.advertiser = readBytes(in);
        click.publisher = readBytes(in);
        click.placement = readBytes(in);
        click.currency = readBytes(in);
        click.ip = readBytes(in);
        return click;
    }

    static void write(Bytes bytes, DataOutputView out) throws IOException {
        out.writeByte(bytes.length());
        out.write(bytes.get());
    }

    static Bytes readBytes(DataInputView in) throws IOException {
        int length = in.readUnsignedByte();
        if (length == 0) {
            return Bytes.NONE;
        }
        byte[] bytes = new byte[length];
        in.readFully(bytes);
        return new Bytes(bytes);
    }

    @Override
    public TypeSerializerSnapshot<Click> snapshotConfiguration() {
        return new Snapshot();
    }

    /** Of the serializer. */
    public static final class Snapshot extends SimpleTypeSerializerSnapshot<Click> {
        public Snapshot() {
            super(() -> INSTANCE);
        }
    }
}
