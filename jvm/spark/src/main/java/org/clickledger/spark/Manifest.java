package org.clickledger.spark;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.List;

/**
 * The state after a batch: a function of the batch before and of the records in between.
 *
 * @param query whose batches these are: another query counts from 0 again
 * @param watermark everything before it is in the rows
 */
record Manifest(int format, String query, long batch, long watermark, List<Piece> pieces) {
    static final int FORMAT = 3;
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Before the first batch. */
    static Manifest none(String query) {
        return new Manifest(FORMAT, query, -1, 0, List.of());
    }

    static String write(Object value) {
        try {
            return JSON.writeValueAsString(value);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
    }

    static <T> T read(String json, Class<T> type) {
        try {
            return JSON.readValue(json, type);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("not what a manifest is made of: " + json, e);
        }
    }
}
