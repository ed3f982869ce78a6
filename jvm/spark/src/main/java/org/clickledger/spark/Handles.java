package org.clickledger.spark;

import java.util.HashMap;
import java.util.Map;
import org.clickledger.bridge.Kind;
import org.clickledger.bridge.Stage;

/**
 * Open stages of this process, so that a task need not read its state again. One is only of use
 * for the very batch that follows; it is taken out before it works, so that one that failed, or
 * that two attempts of a task want, is never seen again.
 */
final class Handles {
    private static final Map<Key, Held> HELD = new HashMap<>();

    private Handles() {}

    /** @param run of a query, since its start: another may do a batch again */
    record Key(String run, Kind stage, Range range) {}

    private record Held(long batch, Stage stage) {}

    /** The stage as of the end of this batch; null if it is not here. */
    static synchronized Stage take(Key key, long batch) {
        Held held = HELD.remove(key);
        if (held == null) {
            return null;
        }
        if (held.batch != batch) {
            held.stage.close();
            return null;
        }
        return held.stage;
    }

    /** Keeps a stage as of the end of a batch, and closes those that nobody will ask for. */
    static synchronized void keep(Key key, long batch, Stage stage) {
        Held before = HELD.put(key, new Held(batch, stage));
        if (before != null) {
            before.stage.close();
        }
        HELD.entrySet().removeIf(entry -> {
            Held held = entry.getValue();
            boolean old = held.batch < batch - 1 || !entry.getKey().run().equals(key.run());
            if (old) {
                held.stage.close();
            }
            return old;
        });
    }
}
