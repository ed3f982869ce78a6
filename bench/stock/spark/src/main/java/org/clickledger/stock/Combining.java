package org.clickledger.stock;

import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import org.apache.spark.api.java.function.MapPartitionsFunction;

/** Counts the clicks of a task by ad and by publisher, so that few bytes are shuffled again. */
final class Combining implements MapPartitionsFunction<byte[], byte[]> {
    private static final long serialVersionUID = 1;

    @Override
    public Iterator<byte[]> call(Iterator<byte[]> clicks) {
        Map<Bytes, Partial> rows = new HashMap<>();
        while (clicks.hasNext()) {
            Click click = Packed.unpack(clicks.next());
            add(rows, click, true);
            add(rows, click, false);
        }
        return rows.entrySet().stream()
                .map(row -> row.getValue().counts.row(row.getKey(), row.getValue().newest))
                .iterator();
    }

    private static void add(Map<Bytes, Partial> rows, Click click, boolean byAd) {
        Partial row = rows.computeIfAbsent(RowKey.of(click, byAd), key -> new Partial());
        row.counts.add(click, byAd);
        row.newest = Math.max(row.newest, click.foldTime);
    }

    /** Counts, and the fold time of the newest click in them. */
    private static final class Partial {
        private final Counts counts = new Counts();
        private long newest;
    }
}
