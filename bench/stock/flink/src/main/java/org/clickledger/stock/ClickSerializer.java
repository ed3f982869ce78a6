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
        click.issuer.write(out);
        click.clickId.write(out);
        click.userId.write(out);
        click.ad.write(out);
        click.campaign.write(out);
        click.advertiser.write(out);
        click.publisher.write(out);
        click.placement.write(out);
        click.currency.write(out);
        click.ip.write(out);
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
        click.issuer = Bytes.read(in);
        click.clickId = Bytes.read(in);
        click.userId = Bytes.read(in);
        click.ad = Bytes.read(in);
        click.campaign = Bytes.read(in);
        click.advertiser = Bytes.read(in);
        click.publisher = Bytes.read(in);
        click.placement = Bytes.read(in);
        click.currency = Bytes.read(in);
        click.ip = Bytes.read(in);
        return click;
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
