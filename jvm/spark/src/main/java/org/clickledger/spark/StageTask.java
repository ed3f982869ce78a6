package org.clickledger.spark;

import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.function.Consumer;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.Function2;
import org.apache.spark.executor.CommitDeniedException;
import org.apache.spark.util.LongAccumulator;
import org.clickledger.bridge.Frame;
import org.clickledger.bridge.Kind;
import org.clickledger.bridge.Stage;

/**
 * One stage of a batch, task by task: frames in, frames for the next stage out, with how far it
 * went and where its state is. Nothing of it depends on which attempt of a task it is.
 */
final class StageTask implements Function2<Integer, Iterator<byte[]>, Iterator<byte[]>> {
    private static final long serialVersionUID = 1;

    private final Batch batch;
    private final Kind kind;
    private final List<Piece> before;
    private final Input input;

    /**
     * @param before the stage's pieces after the batch before
     * @param input what it has to be told
     */
    StageTask(Batch batch, Kind kind, List<Piece> before, Input input) {
        this.batch = batch;
        this.kind = kind;
        this.before = before;
        this.input = input;
    }

    /**
     * How far a stage goes.
     *
     * @param watermark as far as this at most
     * @param told frames that come before all others
     * @param heard how many tasks before it say how far they went; the least counts
     */
    record Input(long watermark, List<byte[]> told, int heard) implements Serializable {
        /** As far as its records allow. */
        static Input ofRecords() {
            return new Input(Long.MAX_VALUE, List.of(), 0);
        }

        /** As far as so many tasks before it have gone. */
        static Input of(int tasks) {
            return new Input(Long.MAX_VALUE, List.of(), tasks);
        }
    }

    /** What is the same for all stages of a batch. */
    record Batch(
            long number,
            String run,
            int tasks,
            boolean keepsHandles,
            boolean undecided,
            byte[] header,
            StateFiles files,
            Outputs outputs,
            LongAccumulator rows)
            implements Serializable {}

    @Override
    public Iterator<byte[]> call(Integer task, Iterator<byte[]> frames) throws Exception {
        Range range = kind == Kind.LEAD ? Range.all() : Range.of(task, batch.tasks);
        Handles.Key key = new Handles.Key(batch.run, kind, range);
        Stage stage = batch.keepsHandles ? Handles.take(key, batch.number - 1) : null;
        if (stage == null) {
            stage = new Restoring(batch.files, batch.header).open(kind, range, before);
        }
        try {
            List<byte[]> out = work(stage, range, frames);
            if (batch.keepsHandles) {
                Handles.keep(key, batch.number, stage);
                stage = null;
            }
            return out.iterator();
        } finally {
            if (stage != null) {
                stage.close();
            }
        }
    }

    private List<byte[]> work(Stage stage, Range range, Iterator<byte[]> frames) throws Exception {
        Piece mine = before.stream()
                .filter(piece -> piece.range().equals(range)).findFirst().orElse(null);
        try (Saving saving = new Saving(batch.files, kind, range, batch.number, mine)) {
            Outgoing out = new Outgoing(batch.outputs.open(range), saving);
            long watermark = take(stage, saving, frames, out);
            if (kind == Kind.WINDOW) {
                askToWrite();
            }
            long reached = stage.advance(watermark, out);
            out.finish();
            Piece piece = saving.finish(stage, reached);
            out.next.add(Control.piece(Manifest.write(piece)));
            int followers = kind == Kind.WINDOW ? 1 : batch.tasks;
            for (int follower = 0; follower < followers; follower++) {
                int group = Range.of(follower, followers).first();
                out.next.add(Control.reached(group, reached));
            }
            return out.next;
        }
    }

    /** Hands the stage all that has come, and says how far it may go. */
    private long take(Stage stage, Saving saving, Iterator<byte[]> frames, Outgoing out)
            throws IOException {
        long watermark = input.watermark;
        int heard = 0;
        for (byte[] frame : input.told) {
            stage.add(frame, out);
        }
        while (frames.hasNext()) {
            byte[] frame = frames.next();
            if (Frame.port(frame) == Control.REACHED) {
                watermark = Math.min(watermark, Control.instant(frame));
                heard++;
            } else if (Frame.port(frame) == Control.PIECE) {
                out.next.add(frame);
            } else {
                saving.took(frame);
                stage.add(frame, out);
            }
        }
        if (heard != input.heard) {
            throw new IllegalStateException(
                    heard + " of " + input.heard + " tasks have said how far they went");
        }
        return watermark;
    }

    /**
     * Of two attempts that run at once only one writes rows: the other could write an older row
     * behind one of a later batch, and compaction would keep that.
     */
    private static void askToWrite() throws CommitDeniedException {
        TaskContext task = TaskContext.get();
        boolean may = SparkEnv.get().outputCommitCoordinator().canCommit(
                task.stageId(), task.stageAttemptNumber(), task.partitionId(),
                task.attemptNumber());
        if (!may) {
            throw new CommitDeniedException(
                    "another attempt writes these rows", task.stageId(), task.partitionId(),
                    task.attemptNumber());
        }
    }

    /** Sorts what comes out of a stage. */
    private final class Outgoing implements Consumer<byte[]> {
        private final List<byte[]> next = new ArrayList<>();
        private final Outputs.Sink sink;
        private final Saving saving;

        Outgoing(Outputs.Sink sink, Saving saving) {
            this.sink = sink;
            this.saving = saving;
        }

        @Override
        public void accept(byte[] frame) {
            switch (Frame.port(frame)) {
                case Frame.NEXT, Frame.POLICIES -> next.add(frame);
                case Frame.JOURNAL -> saving.remembers(frame);
                // A row ends with whether a verdict changed it: the others come again.
                case Frame.ROW -> {
                    if (batch.undecided || frame[frame.length - 1] != 0) {
                        batch.rows.add(1);
                        sink.take(frame);
                    }
                }
                default -> sink.take(frame);
            }
        }

        void finish() throws IOException {
            sink.finish();
        }
    }
}
