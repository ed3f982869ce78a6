package org.clickledger.spark;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.clickledger.bridge.Frame;

/** Frames between tasks that never meet the core. */
final class Control {
    /** How far the task before has gone: an instant in 8 bytes, for each task of the next stage. */
    static final byte REACHED = 64;
    /** Which files a task wrote, for the manifest. */
    static final byte PIECE = 65;

    private Control() {}

    static boolean is(byte[] frame) {
        return Frame.port(frame) >= REACHED;
    }

    static byte[] reached(int group, long instant) {
        ByteBuffer frame = ByteBuffer.allocate(Frame.HEAD + Long.BYTES);
        frame.order(ByteOrder.LITTLE_ENDIAN).put(REACHED).put((byte) group);
        return frame.putLong(instant).array();
    }

    static long instant(byte[] frame) {
        return ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN).getLong(Frame.HEAD);
    }

    static byte[] piece(String json) {
        byte[] text = json.getBytes(StandardCharsets.UTF_8);
        byte[] frame = new byte[Frame.HEAD + text.length];
        frame[0] = PIECE;
        System.arraycopy(text, 0, frame, Frame.HEAD, text.length);
        return frame;
    }

    static String json(byte[] frame) {
        byte[] text = Arrays.copyOfRange(frame, Frame.HEAD, frame.length);
        return new String(text, StandardCharsets.UTF_8);
    }
}
