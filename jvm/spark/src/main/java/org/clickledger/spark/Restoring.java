package org.clickledger.spark;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.util.List;
import org.apache.hadoop.fs.FSDataInputStream;
import org.clickledger.bridge.Frame;
import org.clickledger.bridge.Kind;
import org.clickledger.bridge.Stage;

/** Opens stages from files. */
final class Restoring {
    private final StateFiles files;
    private final byte[] header;

    Restoring(StateFiles files, byte[] header) {
        this.files = files;
        this.header = header;
    }

    /** A stage for a range as of the end of the batch that these are all pieces of. */
    Stage open(Kind kind, Range range, List<Piece> pieces) throws IOException {
        List<Piece> mine = pieces.stream()
                .filter(piece -> piece.first() < range.end() && range.first() < piece.end())
                .toList();
        // Journals say themselves which groups they are of, and snapshots beside them are of one
        // instant.
        boolean isMoved = mine.size() != 1 || !mine.get(0).range().equals(range);
        if (!isMoved || kind == Kind.JOURNALLED_USER) {
            return read(kind, range, mine);
        }
        Stage stage = new Stage(kind, range.first(), range.end(), header);
        try {
            for (Piece piece : mine) {
                move(piece, range, stage);
            }
            stage.start();
            return stage;
        } catch (IOException | RuntimeException e) {
            stage.close();
            throw e;
        }
    }

    /** Groups that another number of tasks had in pieces: all have to be as of one instant. */
    private void move(Piece piece, Range range, Stage into) throws IOException {
        Range part = range.and(piece.range());
        try (Stage from = read(piece.stage(), part, List.of(piece))) {
            for (int group = part.first(); group < part.end(); group++) {
                ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                from.snapshot(group, new DataOutputStream(bytes));
                byte[] state = bytes.toByteArray();
                into.restore(group, new DataInputStream(new ByteArrayInputStream(state)));
            }
        }
    }

    private Stage read(Kind kind, Range range, List<Piece> pieces) throws IOException {
        Stage stage = new Stage(kind, range.first(), range.end(), header);
        try {
            for (Piece piece : pieces) {
                restore(piece, range.and(piece.range()), stage);
            }
            stage.start();
            for (Piece piece : pieces) {
                for (Piece.Log log : piece.logs()) {
                    replay(log, range, stage);
                }
            }
            return stage;
        } catch (IOException | RuntimeException e) {
            stage.close();
            throw e;
        }
    }

    private void restore(Piece piece, Range part, Stage stage) throws IOException {
        try (FSDataInputStream in = files.open(piece.snapshot())) {
            for (int group = part.first(); group < part.end(); group++) {
                in.seek(piece.offsets().get(group - piece.first()));
                stage.restore(group, new DataInputStream(in));
            }
        }
    }

    /** What comes out is out already. */
    private void replay(Piece.Log log, Range part, Stage stage) throws IOException {
        try (DataInputStream in = new DataInputStream(files.openBuffered(log.file()))) {
            long left = log.bytes();
            while (left > 0) {
                byte[] frame = new byte[in.readInt()];
                in.readFully(frame);
                left -= Integer.BYTES + frame.length;
                boolean isJournal = Frame.port(frame) == Frame.JOURNAL;
                if (isJournal || part.contains(Frame.group(frame))) {
                    stage.add(frame, out -> {});
                }
            }
            if (left < 0) {
                throw new EOFException(log.file() + " is longer than its manifest says");
            }
        }
        stage.advance(log.watermark(), out -> {});
    }
}
