package org.clickledger.bridge;

import java.nio.ByteBuffer;

/**
 * The calls of the native library; {@link Stage} is what to use. Each throws an {@link
 * IllegalStateException} that says what is wrong; buffers are direct, and not kept beyond a call.
 */
final class Native {
    static {
        Library.load();
    }

    private Native() {}

    static native int version();

    static native long open(int kind, int firstGroup, int endGroup, ByteBuffer header, int length);

    static native void restore(long handle, int group, ByteBuffer piece, int length);

    static native void start(long handle);

    static native long apply(long handle, ByteBuffer frames, int length);

    static native long advance(long handle, long watermark);

    static native long journal(long handle, int group);

    static native int drain(long handle, ByteBuffer buffer, int capacity);

    static native long snapshot(long handle, int group);

    static native int takeState(long handle, ByteBuffer buffer, int capacity);

    static native long gaps(long handle);

    static native void close(long handle);
}
