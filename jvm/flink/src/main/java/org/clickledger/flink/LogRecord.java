package org.clickledger.flink;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** A record of the log as bytes: its partition, then what a sequence stage reads. */
final class LogRecord {
    /** Bytes of the partition. */
    static final int PARTITION_BYTES = 4;
    private static final int HEAD_BYTES = PARTITION_BYTES + 8 + 8 + 8;

    private LogRecord() {}

    static byte[] of(int partition, long offset, long appendTime, byte[] payload) {
        ByteBuffer record = ByteBuffer.allocate(HEAD_BYTES + payload.length);
        record.order(ByteOrder.LITTLE_ENDIAN).putInt(partition).putLong(offset);
        return record.putLong(appendTime).putLong(payload.length).put(payload).array();
    }

    static int partition(byte[] record) {
        return ByteBuffer.wrap(record).order(ByteOrder.LITTLE_ENDIAN).getInt();
    }
}
