package org.clickledger.spark;

/**
 * A record of the log.
 *
 * @param appendTime when the log took it, ms since 1970
 */
record LogRecord(int partition, long offset, long appendTime, byte[] payload) {}
