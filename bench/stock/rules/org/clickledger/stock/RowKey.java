package org.clickledger.stock;

import java.nio.ByteBuffer;

/** Whose row of which minute a click belongs to. */
final class RowKey {
    static final long MINUTE_MS = 60_000;
    static final long SEAL_AFTER_MS = 900_000;

    private RowKey() {}

    static Bytes of(Click click, boolean byAd) {
        Bytes[] parts = byAd
                ? new Bytes[] {click.ad, click.currency, click.campaign, click.advertiser}
                : new Bytes[] {click.publisher, click.placement, click.currency};
        int length = 9;
        for (Bytes part : parts) {
            length += part.length() + 1;
        }
        long minute = click.clickTime() / MINUTE_MS;
        boolean late = (minute + 1) * MINUTE_MS + SEAL_AFTER_MS <= click.foldTime;
        ByteBuffer key = ByteBuffer.allocate(length).put((byte) (byAd ? 'a' : 'p'));
        for (Bytes part : parts) {
            key.put((byte) part.length()).put(part.get());
        }
        key.putInt((int) minute).putInt(late ? (int) (click.foldTime / MINUTE_MS) : 0);
        return new Bytes(key.array());
    }
}
