package org.clickledger.spark;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import org.clickledger.bridge.Frame;

/** Frames in files; what was handed out by a batch that is done again stays. */
final class FileOutputs implements Outputs {
    private static final long serialVersionUID = 1;

    private final String directory;

    FileOutputs(String directory) {
        this.directory = directory;
    }

    @Override
    public Sink open(Range range) {
        return new Buffers();
    }

    /** One file of each kind. */
    private final class Buffers implements Sink {
        private final ByteArrayOutputStream[] kinds = {
            new ByteArrayOutputStream(), new ByteArrayOutputStream(), new ByteArrayOutputStream(),
        };

        @Override
        public void take(byte[] frame) {
            if (Frame.port(frame) == Frame.MARK) {
                // Nobody waits for these.
                return;
            }
            ByteBuffer length = ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
            ByteArrayOutputStream to = kinds[Frame.port(frame) - Frame.ROW];
            to.writeBytes(length.putInt(frame.length).array());
            to.writeBytes(frame);
        }

        @Override
        public void finish() {
            String[] names = {"rows", "verdicts", "dead-letters"};
            for (int kind = 0; kind < names.length; kind++) {
                try {
                    Path folder = Files.createDirectories(Path.of(directory, names[kind]));
                    Path file = folder.resolve(UUID.randomUUID().toString());
                    Files.write(file, kinds[kind].toByteArray());
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
        }
    }
}
