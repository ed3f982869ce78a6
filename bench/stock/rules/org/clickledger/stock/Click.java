package org.clickledger.stock;

/** A click, as far as the rules and rows need it. Strings are the wire's bytes, never decoded. */
public final class Click {
    static final int VALID = 0;
    static final int T2 = 1;
    static final int T3 = 2;
    static final int T4 = 3;
    static final int G8 = 4;
    static final int G5 = 5;
    static final int D1 = 6;
    static final int D2 = 7;
    static final int G3 = 8;
    static final int CLASSES = 9;

    int partition;
    long offset;
    long foldTime;
    long receivedAt;
    int verdict;
    long price;
    long payout;
    Bytes issuer = Bytes.NONE;
    Bytes clickId = Bytes.NONE;
    Bytes userId = Bytes.NONE;
    Bytes ad = Bytes.NONE;
    Bytes campaign = Bytes.NONE;
    Bytes advertiser = Bytes.NONE;
    Bytes publisher = Bytes.NONE;
    Bytes placement = Bytes.NONE;
    Bytes currency = Bytes.NONE;
    Bytes ip = Bytes.NONE;

    long clickTime() {
        return Math.min(receivedAt, foldTime);
    }

    Bytes userKey() {
        return userId.length() == 0 ? clickId : userId;
    }
}
