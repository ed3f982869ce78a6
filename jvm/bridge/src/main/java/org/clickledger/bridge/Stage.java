package org.clickledger.bridge;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.function.Consumer;

/**
 * A stage of the dataflow for some key groups. For one thread. Opened, restored group by group if
 * there is something to restore, started, and then fed with frames and watermarks. What comes of
 * them is handed to the consumer of the call, copied.
 */
public final class Stage implements AutoCloseable {
    /** That of the native library that this bridge speaks to. */
    private static final int VERSION = 4;
    private static final int BUFFER_BYTES = 1 << 20;
    private static final int LENGTH_BYTES = 4;
    /** State is read and written so much at a time: for more, Java asks the system for memory. */
    private static final int PIECE_BYTES = 64 << 10;

    private final long handle;
    /** Frames or pieces of state on their way in; what goes out has a buffer of its own. */
    private ByteBuffer in = buffer(BUFFER_BYTES);
    private ByteBuffer out = buffer(BUFFER_BYTES);
    private boolean closed;

    /** For the key groups from {@code first} to before {@code end} of the log of this header. */
    public Stage(Kind kind, int first, int end, byte[] header) {
        if (Native.version() != VERSION) {
            throw new IllegalStateException(
                    "the native library speaks version " + Native.version() + " of the border, this"
                            + " bridge " + VERSION + ": install both of one release");
        }
        ByteBuffer bytes = buffer(header.length).put(header);
        handle = Native.open(kind.ordinal(), first, end, bytes, header.length);
    }

    /** Reads what {@link #snapshot} wrote of a key group. */
    public void restore(int group, DataInputStream state) throws IOException {
        byte[] piece = new byte[PIECE_BYTES];
        for (long left = state.readLong(); left > 0; ) {
            int count = (int) Math.min(left, piece.length);
            state.readFully(piece, 0, count);
            in.clear().put(piece, 0, count);
            Native.restore(handle, group, in, count);
            left -= count;
        }
        in.clear();
    }

    /** Begins where the snapshots were taken, or at the beginning. */
    public void start() {
        Native.start(handle);
    }

    /** Takes a frame, now or with those that follow. */
    public void add(byte[] frame, Consumer<byte[]> output) {
        int needed = LENGTH_BYTES + frame.length;
        if (in.remaining() < needed) {
            flush(output);
            if (in.capacity() < needed) {
                in = buffer(needed);
            }
        }
        in.putInt(frame.length).put(frame);
    }

    /** Has the stage work on what it was given. */
    public void flush(Consumer<byte[]> output) {
        if (in.position() > 0) {
            int length = in.position();
            in.clear();
            if (Native.apply(handle, in, length) > 0) {
                drain(output);
            }
        }
    }

    /**
     * All frames with clicks below {@code watermark} have been added. A sequence stage goes no
     * further than its records allow.
     *
     * @return how far it went
     */
    public long advance(long watermark, Consumer<byte[]> output) {
        flush(output);
        long reached = Native.advance(handle, watermark);
        drain(output);
        return reached;
    }

    /**
     * Writes the state of a key group, its length first. Nothing may wait: flush before.
     *
     * @return how many bytes that were
     */
    public long snapshot(int group, DataOutputStream state) throws IOException {
        if (in.position() > 0) {
            throw new IllegalStateException("frames wait: flush before a snapshot");
        }
        long length = Native.snapshot(handle, group);
        state.writeLong(length);
        long left = length;
        byte[] piece = new byte[PIECE_BYTES];
        while (left > 0) {
            int count = Native.takeState(handle, out, piece.length);
            out.clear().get(piece, 0, count);
            state.write(piece, 0, count);
            left -= count;
        }
        return Long.BYTES + length;
    }

    /**
     * Hands out, as frames of a journal, what all journals so far have come to for a key group.
     * Given to a stage that was opened from its newest snapshots, journals take it where it was:
     * oldest first, of any key groups.
     */
    public void journal(int group, Consumer<byte[]> output) {
        if (Native.journal(handle, group) > 0) {
            drain(output);
        }
    }

    /** Records known to be missing; 0 but in sequence stages. */
    public long gaps() {
        return Native.gaps(handle);
    }

    /** Frees the stage, even one that failed. Never throws. */
    @Override
    public void close() {
        if (!closed) {
            closed = true;
            Native.close(handle);
        }
    }

    private void drain(Consumer<byte[]> output) {
        for (;;) {
            int count = Native.drain(handle, out, out.capacity());
            if (count < 0) {
                out = buffer(-count);
                count = Native.drain(handle, out, out.capacity());
            }
            if (count == 0) {
                return;
            }
            out.clear().limit(count);
            while (out.hasRemaining()) {
                byte[] frame = new byte[out.getInt()];
                out.get(frame);
                output.accept(frame);
            }
        }
    }

    private static ByteBuffer buffer(int capacity) {
        return ByteBuffer.allocateDirect(capacity).order(ByteOrder.LITTLE_ENDIAN);
    }
}
