package org.clickledger.spark;

import java.io.IOException;
import java.io.Serializable;

/** Where rows, marks, verdicts and dead letters go. All may come again, the same. */
interface Outputs extends Serializable {
    /** For one attempt of a task, whose stage has these key groups. */
    Sink open(Range range);

    /** Takes what leaves the stages. */
    interface Sink {
        /** A frame of a row, of a mark, of verdicts or of dead letters. */
        void take(byte[] frame);

        /** Returns once all that was taken is safe. */
        void finish() throws IOException;
    }
}
