package org.clickledger.spark;

import java.nio.ByteBuffer;

/**
 * A record of the log.
 *
 * @param appendTime when the log took it, ms since 1970
 * @param payload read once
 */
record LogRecord(int partition, long offset, long appendTime, ByteBuffer payload) {}
