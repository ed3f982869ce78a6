package org.clickledger.stock;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.apache.spark.api.java.function.MapFunction;

/** Clicks between stages, as bytes that begin with the key of the next one. */
final class Packed {
    private static final int MOST = 16 * 1024;

    /** The user's key of a packed click, behind its length. */
    static final MapFunction<byte[], byte[]> USER = Packed::key;
    /** The key of a row. */
    static final MapFunction<byte[], byte[]> ROW = Packed::key;

    private final ByteBuffer buffer = ByteBuffer.allocate(MOST);

    static byte[] key(byte[] packed) {
        int length = (packed[0] & 0xff) << 8 | packed[1] & 0xff;
        return Arrays.copyOfRange(packed, 2, 2 + length);
    }

    byte[] pack(Click click) {
        buffer.clear();
        Bytes user = click.userKey();
        // Spark sorts by eight bytes at first: a hash tells users apart where their ids do not.
        buffer.putShort((short) (8 + user.length())).putLong(hash(user)).put(user.get());
        buffer.putInt(click.partition).putLong(click.offset);
        buffer.putLong(click.foldTime).putLong(click.receivedAt).put((byte) click.verdict);
        buffer.putLong(click.price).putLong(click.payout);
        for (Bytes text : texts(click)) {
            buffer.put((byte) text.length()).put(text.get());
        }
        return Arrays.copyOf(buffer.array(), buffer.position());
    }

    static Click unpack(byte[] packed) {
        ByteBuffer from = ByteBuffer.wrap(packed);
        from.position(2 + from.getShort());
        Click click = new Click();
        click.partition = from.getInt();
        click.offset = from.getLong();
        click.foldTime = from.getLong();
        click.receivedAt = from.getLong();
        click.verdict = from.get();
        click.price = from.getLong();
        click.payout = from.getLong();
        click.issuer = text(from);
        click.clickId = text(from);
        click.userId = text(from);
        click.ad = text(from);
        click.campaign = text(from);
        click.advertiser = text(from);
        click.publisher = text(from);
        click.placement = text(from);
        click.currency = text(from);
        return click;
    }

    private static Bytes[] texts(Click click) {
        return new Bytes[] {
            click.issuer, click.clickId, click.userId, click.ad, click.campaign,
            click.advertiser, click.publisher, click.placement, click.currency
        };
    }

    private static Bytes text(ByteBuffer from) {
        byte[] bytes = new byte[from.get() & 0xff];
        from.get(bytes);
        return new Bytes(bytes);
    }

    private static long hash(Bytes bytes) {
        long sum = 0xcbf29ce484222325L;
        for (byte value : bytes.get()) {
            sum = (sum ^ (value & 0xff)) * 0x100000001b3L;
        }
        return sum;
    }
}
