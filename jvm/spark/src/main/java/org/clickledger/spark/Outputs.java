package org.clickledger.spark;

import java.io.IOException;
import java.io.Serializable;

/** Where rows, verdicts and dead letters go. All may come again, the same. */
interface Outputs extends Serializable {
    /** For one attempt of a task. */
    Sink open() throws IOException;

    /** By the driver: all rows that changed before this instant have been taken. */
    void mark(long instant) throws IOException;

    /** Takes what leaves the stages. */
    interface Sink {
        /** A frame of a row, of verdicts or of dead letters. */
        void take(byte[] frame);

        /** Returns once all that was taken is safe. */
        void finish() throws IOException;
    }
}
