package org.clickledger.spark;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.clickledger.bridge.Frame;

/** Verdicts that were computed again, beside those that an archive holds. */
final class Verdicts {
    private static final StructType COLUMNS = new StructType()
            .add("partition", DataTypes.LongType)
            .add("offset", DataTypes.LongType)
            .add("fold_time", DataTypes.LongType)
            .add("reasons", DataTypes.StringType)
            .add("policy_index", DataTypes.LongType);
    /** All that a verdict says. */
    private static final String SAME = "m.fold_time = a.fold_time AND m.reasons = a.reasons"
            + " AND m.policy_index = a.policy_index";

    private final SparkSession session;

    Verdicts(SparkSession session) {
        this.session = session;
    }

    /** Says how many there are and how many differ; whether none does. */
    boolean compare(JavaRDD<byte[]> frames, List<String> files) {
        JavaRDD<Row> computed = frames
                .filter(frame -> Frame.port(frame) == Frame.VERDICTS)
                .flatMap(frame -> rows(frame).iterator());
        session.createDataFrame(computed, COLUMNS).distinct().createOrReplaceTempView("mine");
        Dataset<Row> archived = files.isEmpty()
                ? session.createDataFrame(List.of(), COLUMNS)
                : session.read().parquet(files.toArray(String[]::new));
        archived.createOrReplaceTempView("archived");
        Row counts = session.sql(
                "SELECT count(a.offset) AS archived,"
                        + " count_if(a.offset IS NOT NULL AND m.offset IS NULL) AS open,"
                        + " count_if(m.offset IS NOT NULL AND a.offset IS NOT NULL AND NOT (" + SAME
                        + ")) AS other"
                        + " FROM archived a FULL OUTER JOIN mine m"
                        + " ON a.partition = m.partition AND a.offset = m.offset").first();
        System.out.printf(
                "verdicts: %d archived, %d of them not decided by the archive alone yet,"
                        + " %d differ%n",
                counts.getLong(0), counts.getLong(1), counts.getLong(2));
        return counts.getLong(2) == 0;
    }

    private static List<Row> rows(byte[] frame) {
        List<Row> rows = new ArrayList<>();
        ByteBuffer bytes = ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN);
        bytes.position(Frame.HEAD);
        while (bytes.hasRemaining()) {
            long partition = bytes.getInt();
            long offset = bytes.getLong();
            long foldTime = bytes.getLong();
            String reasons = LedgerRows.classes(bytes.getShort());
            long policy = bytes.getInt();
            rows.add(RowFactory.create(partition, offset, foldTime, reasons, policy));
        }
        return rows;
    }
}
