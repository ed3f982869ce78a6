package org.clickledger.stock;

import java.util.Arrays;

/** A string that is compared and hashed as the bytes that it is on the wire. */
final class Bytes implements Comparable<Bytes> {
    static final Bytes NONE = new Bytes(new byte[0]);

    private final byte[] bytes;
    private int hash;

    Bytes(byte[] bytes) {
        this.bytes = bytes;
    }

    int length() {
        return bytes.length;
    }

    byte[] get() {
        return bytes;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Bytes b && Arrays.equals(bytes, b.bytes);
    }

    @Override
    public int hashCode() {
        if (hash == 0) {
            // FNV-1a: the usual sum with 31 gives addresses of four bytes few different hashes.
            int sum = 0x811c9dc5;
            for (byte value : bytes) {
                sum = (sum ^ (value & 0xff)) * 0x01000193;
            }
            hash = sum;
        }
        return hash;
    }

    @Override
    public int compareTo(Bytes other) {
        return Arrays.compareUnsigned(bytes, other.bytes);
    }
}
