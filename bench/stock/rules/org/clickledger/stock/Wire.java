package org.clickledger.stock;

import java.util.Arrays;

/** Protocol Buffers' wire format, field by field. */
final class Wire {
    private final byte[] from;
    private final int end;
    private int at;

    int field;
    /** A varint, or the length of a field of bytes. */
    long number;
    private int begin;

    Wire(byte[] from) {
        this(from, 0, from == null ? 0 : from.length);
    }

    private Wire(byte[] from, int at, int end) {
        this.from = from;
        this.at = at;
        this.end = end;
    }

    /** Goes to the next field, past the bytes of this one. */
    boolean next() {
        if (at >= end) {
            return false;
        }
        long tag = varint();
        field = (int) (tag >>> 3);
        switch ((int) tag & 7) {
            case 0 -> number = varint();
            case 1 -> at += 8;
            case 2 -> {
                number = varint();
                begin = at;
                at += (int) number;
            }
            case 5 -> at += 4;
            default -> throw new IllegalArgumentException("no record");
        }
        return true;
    }

    private long varint() {
        long value = 0;
        for (int shift = 0; ; shift += 7) {
            byte part = from[at++];
            value |= (long) (part & 0x7f) << shift;
            if (part >= 0) {
                return value;
            }
        }
    }

    Bytes bytes() {
        return new Bytes(Arrays.copyOfRange(from, begin, begin + (int) number));
    }

    Wire nested() {
        return new Wire(from, begin, begin + (int) number);
    }

    boolean is(String ascii) {
        if (ascii.length() != number) {
            return false;
        }
        for (int i = 0; i < ascii.length(); i++) {
            if (from[begin + i] != ascii.charAt(i)) {
                return false;
            }
        }
        return true;
    }
}
