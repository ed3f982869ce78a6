package org.clickledger.flink;

import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;
import org.clickledger.bridge.Frame;
import org.clickledger.bridge.RecordBlock;

/** Has Flink put a frame into the key group that the core chose. */
final class KeyGroups implements KeySelector<byte[], Integer> {
    private static final long serialVersionUID = 1;

    /** As many as the core has; never another maximum parallelism. */
    static final int COUNT = RecordBlock.GROUPS;

    /** Flink hashes keys: for each group the least number that falls into it. */
    private static final Integer[] KEYS = keys();

    private static Integer[] keys() {
        Integer[] keys = new Integer[COUNT];
        int found = 0;
        for (int key = 0; found < COUNT; key++) {
            int group = KeyGroupRangeAssignment.assignToKeyGroup(key, COUNT);
            if (keys[group] == null) {
                keys[group] = key;
                found++;
            }
        }
        return keys;
    }

    @Override
    public Integer getKey(byte[] frame) {
        return KEYS[Frame.group(frame)];
    }
}
