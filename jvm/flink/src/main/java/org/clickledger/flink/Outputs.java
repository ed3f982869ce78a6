package org.clickledger.flink;

import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.util.OutputTag;

/** Where frames go that are not for the stage that follows. */
final class Outputs {
    /** All that travels is bytes. */
    static final TypeInformation<byte[]> BYTES =
            PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;

    /** Blocks of records of partitions other than 0. */
    static final OutputTag<byte[]> OTHERS = tag("others");
    /** Policies, from partition 0 to the sequence stages of the others. */
    static final OutputTag<byte[]> POLICIES = tag("policies");
    static final OutputTag<byte[]> VERDICTS = tag("verdicts");
    static final OutputTag<byte[]> DEAD_LETTERS = tag("dead-letters");

    private Outputs() {}

    private static OutputTag<byte[]> tag(String id) {
        return new OutputTag<>(id, BYTES);
    }
}
