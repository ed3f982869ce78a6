package org.clickledger.spark;

import java.io.ByteArrayOutputStream;

/** Writes fields of a Protocol Buffers message. */
final class Protobuf {
    private static final int VARINT = 0;
    private static final int LENGTH_DELIMITED = 2;
    private static final int TYPE_BITS = 3;
    private static final int VARINT_BITS = 7;
    private static final int MORE = 0x80;

    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    void number(int field, long value) {
        varint((long) field << TYPE_BITS | VARINT);
        varint(value);
    }

    void bytes(int field, byte[] value) {
        varint((long) field << TYPE_BITS | LENGTH_DELIMITED);
        varint(value.length);
        bytes.writeBytes(value);
    }

    private void varint(long value) {
        long left = value;
        while (left >>> VARINT_BITS != 0) {
            bytes.write((int) left & MORE - 1 | MORE);
            left >>>= VARINT_BITS;
        }
        bytes.write((int) left);
    }

    byte[] done() {
        return bytes.toByteArray();
    }
}
