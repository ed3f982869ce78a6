package org.clickledger.spark;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.clickledger.bridge.Frame;

/** Frames in files of their own, for those who read them all in the end. */
final class FrameFiles implements Outputs {
    private static final long serialVersionUID = 1;

    private final StateFiles files;

    FrameFiles(StateFiles files) {
        this.files = files;
    }

    @Override
    public Sink open(Range range) {
        return new Writing();
    }

    /** The frames of a file. */
    Iterator<byte[]> read(String name) throws IOException {
        List<byte[]> frames = new ArrayList<>();
        try (DataInputStream in = new DataInputStream(files.openBuffered(name))) {
            for (;;) {
                byte[] frame = new byte[in.readInt()];
                in.readFully(frame);
                frames.add(frame);
            }
        } catch (EOFException e) {
            return frames.iterator();
        }
    }

    /** A file for what one attempt of a task hands out, if that is anything. */
    private final class Writing implements Sink {
        private DataOutputStream out;

        @Override
        public void take(byte[] frame) {
            if (Frame.port(frame) == Frame.MARK) {
                // Whoever reads begins at the end.
                return;
            }
            try {
                if (out == null) {
                    out = new DataOutputStream(files.createBuffered(StateFiles.name(0, "out")));
                }
                out.writeInt(frame.length);
                out.write(frame);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        @Override
        public void finish() throws IOException {
            if (out != null) {
                out.close();
            }
        }
    }
}
