package org.clickledger.stock;

import java.util.Arrays;

/** What is remembered of a user: links that were claimed, and the last click on each ad. */
final class UserState {
    private static final Bytes[] NONE = {};
    private static final long[] NEVER = {};

    /** Issuer and click id, one behind the other. */
    Bytes[] claims = NONE;
    long[] claimedAt = NEVER;
    Bytes[] ads = NONE;
    /** Of each ad click time and fold time. */
    long[] clicks = NEVER;

    /** Fold time of the claim; -1 if there is none. */
    long claimed(Bytes claim) {
        for (int at = 0; at < claims.length; at++) {
            if (claims[at].equals(claim)) {
                return claimedAt[at];
            }
        }
        return -1;
    }

    /** Claims, and forgets what nobody asks for any more. */
    UserState claim(Bytes claim, long now, long horizon) {
        UserState next = new UserState();
        int count = 0;
        Bytes[] kept = new Bytes[claims.length + 1];
        long[] times = new long[claims.length + 1];
        for (int at = 0; at < claims.length; at++) {
            if (now - claimedAt[at] <= horizon && !claims[at].equals(claim)) {
                kept[count] = claims[at];
                times[count++] = claimedAt[at];
            }
        }
        kept[count] = claim;
        times[count++] = now;
        next.claims = Arrays.copyOf(kept, count);
        next.claimedAt = Arrays.copyOf(times, count);
        next.ads = ads;
        next.clicks = clicks;
        return next;
    }

    int find(Bytes ad) {
        for (int at = 0; at < ads.length; at++) {
            if (ads[at].equals(ad)) {
                return at;
            }
        }
        return -1;
    }

    /** Notes a click on an ad, and forgets old ones. */
    void note(Bytes ad, long clickTime, long foldTime, long age) {
        int count = 0;
        Bytes[] kept = new Bytes[ads.length + 1];
        long[] times = new long[2 * kept.length];
        for (int at = 0; at < ads.length; at++) {
            if (foldTime - clicks[2 * at + 1] <= age && !ads[at].equals(ad)) {
                kept[count] = ads[at];
                times[2 * count] = clicks[2 * at];
                times[2 * count++ + 1] = clicks[2 * at + 1];
            }
        }
        kept[count] = ad;
        times[2 * count] = clickTime;
        times[2 * count++ + 1] = foldTime;
        ads = Arrays.copyOf(kept, count);
        clicks = Arrays.copyOf(times, 2 * count);
    }
}
