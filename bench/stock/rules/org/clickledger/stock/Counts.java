package org.clickledger.stock;

import java.nio.ByteBuffer;

/** What a row holds. */
final class Counts {
    final long[] byClass = new long[Click.CLASSES];
    long measured;
    long sum;
    boolean changed;

    void add(Click click, boolean byAd) {
        measured++;
        byClass[click.verdict]++;
        if (click.verdict == Click.VALID) {
            sum += byAd ? click.price : click.payout;
        }
    }

    /** Length of the key, key, version, counts. */
    byte[] row(Bytes key, long version) {
        int bytes = 2 + key.length() + 8 * (3 + byClass.length);
        ByteBuffer row = ByteBuffer.allocate(bytes).putShort((short) key.length()).put(key.get());
        row.putLong(version).putLong(measured).putLong(sum);
        for (long count : byClass) {
            row.putLong(count);
        }
        return row.array();
    }
}
