package org.clickledger.bridge;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/** A frame as bytes: what it is, the key group that it is for, and a payload. */
public final class Frame {
    /** A partition in 4 bytes, and records of it. */
    public static final byte RECORDS = 0;
    /** A batch for the stage that follows. */
    public static final byte NEXT = 1;
    /** All policies so far, for every stage that follows. */
    public static final byte POLICIES = 2;
    /** A length in 4 bytes, and a row of which so many bytes are its key. */
    public static final byte ROW = 3;
    /** Verdicts. */
    public static final byte VERDICTS = 4;
    /** Dead letters. */
    public static final byte DEAD_LETTERS = 5;
    /** An instant in 8 bytes as of which every row is in front, and a minute in 4. */
    public static final byte MARK = 6;
    /** What a journalled user stage remembers since the last such frame, of all its key groups. */
    public static final byte JOURNAL = 7;

    /** Bytes before the payload. */
    public static final int HEAD = 2;
    /** Where the row begins in a frame of one, behind the length of its key. */
    public static final int ROW_AT = HEAD + Integer.BYTES;

    private Frame() {}

    /** What it is. */
    public static byte port(byte[] frame) {
        return frame[0];
    }

    /** Of a frame of a row: what tells rows apart, with which the row begins. */
    public static byte[] rowKey(byte[] frame) {
        int length = ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN).getInt(HEAD);
        return Arrays.copyOfRange(frame, ROW_AT, ROW_AT + length);
    }

    /** The key group that it is for, of the stage that reads it. */
    public static int group(byte[] frame) {
        return frame[1];
    }
}
