package org.clickledger.stock;

import java.nio.ByteBuffer;

/** What is remembered of a user, as a value of the state store. */
final class UserBytes {
    private UserBytes() {}

    static byte[] write(UserState state) {
        int length = 4;
        for (Bytes claim : state.claims) {
            length += 2 + claim.length() + 8;
        }
        for (Bytes ad : state.ads) {
            length += 1 + ad.length() + 16;
        }
        ByteBuffer out = ByteBuffer.allocate(length).putShort((short) state.claims.length);
        for (int at = 0; at < state.claims.length; at++) {
            Bytes claim = state.claims[at];
            out.putShort((short) claim.length()).put(claim.get()).putLong(state.claimedAt[at]);
        }
        out.putShort((short) state.ads.length);
        for (int at = 0; at < state.ads.length; at++) {
            out.put((byte) state.ads[at].length()).put(state.ads[at].get());
            out.putLong(state.clicks[2 * at]).putLong(state.clicks[2 * at + 1]);
        }
        return out.array();
    }

    static UserState read(byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        UserState state = new UserState();
        int claims = in.getShort();
        state.claims = new Bytes[claims];
        state.claimedAt = new long[claims];
        for (int at = 0; at < claims; at++) {
            state.claims[at] = text(in, in.getShort());
            state.claimedAt[at] = in.getLong();
        }
        int ads = in.getShort();
        state.ads = new Bytes[ads];
        state.clicks = new long[2 * ads];
        for (int at = 0; at < ads; at++) {
            state.ads[at] = text(in, in.get() & 0xff);
            state.clicks[2 * at] = in.getLong();
            state.clicks[2 * at + 1] = in.getLong();
        }
        return state;
    }

    private static Bytes text(ByteBuffer in, int length) {
        byte[] text = new byte[length];
        in.get(text);
        return new Bytes(text);
    }
}
