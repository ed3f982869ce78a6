package org.clickledger.flink;

import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.streaming.api.functions.sink.legacy.RichSinkFunction;

/** Appends frames to a file of its own; what was handed out before a failure stays. */
@SuppressWarnings("deprecation")
final class FileSink extends RichSinkFunction<byte[]> {
    private static final long serialVersionUID = 1;

    private final String directory;
    private transient DataOutputStream file;

    FileSink(String directory) {
        this.directory = directory;
    }

    @Override
    public void open(OpenContext context) throws Exception {
        Files.createDirectories(Path.of(directory));
        Path path = Path.of(directory, UUID.randomUUID().toString());
        file = new DataOutputStream(Files.newOutputStream(path));
    }

    @Override
    public void invoke(byte[] frame, Context context) throws IOException {
        file.writeInt(Integer.reverseBytes(frame.length));
        file.write(frame);
    }

    @Override
    public void close() throws IOException {
        if (file != null) {
            file.close();
        }
    }
}
