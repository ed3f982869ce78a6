package org.clickledger.stock;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.expr;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.window;

import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.Map;
import java.util.stream.StreamSupport;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.OutputMode;
import scala.Tuple2;
import scala.Tuple4;

/**
 * What most would write: Spark's own operators. Duplicates of a link within an hour are dropped,
 * and valid clicks and their price are added up by ad and minute. No double clicks, no view by
 * publisher, no reasons, no late adjustments: so other rows, and fewer, than the hosted core's.
 *
 * <p>Arguments as those of {@link SparkJob}.
 */
public final class OperatorsJob {
    private static final String LATE = "1 hour";

    private OperatorsJob() {}

    /** Builds the query and waits for its end. */
    public static void main(String[] arguments) throws Exception {
        Map<String, String> given = SparkJob.given(arguments);
        SparkSession session = SparkJob.session(given);
        Dataset<Row> rows = clicks(SparkJob.records(session, given))
                .withWatermark("time", LATE)
                .dropDuplicatesWithinWatermark(new String[] {"id", "user"})
                .groupBy(window(col("time"), "1 minute"), col("ad"))
                .agg(count(lit(1)).as("clicks"), sum("price").as("spend"))
                .select(
                        expr("ad || '/' || unix_millis(window.start)").as("key"),
                        expr("clicks || '/' || spend").as("value"));
        SparkJob.sink(rows, given).outputMode(OutputMode.Update()).start().awaitTermination();
        session.stop();
    }

    private static Dataset<Row> clicks(Dataset<Row> records) {
        return SparkJob.typed(records)
                .mapPartitions(
                        new Reading(),
                        Encoders.tuple(
                                Encoders.STRING(),
                                Encoders.STRING(),
                                Encoders.STRING(),
                                Encoders.tuple(Encoders.LONG(), Encoders.LONG())))
                .selectExpr(
                        "_1 AS id", "_2 AS user", "_3 AS ad",
                        "timestamp_millis(_4._1) AS time", "_4._2 AS price");
    }

    /** Clicks that no rule of a single record finds fault with. */
    private static final class Reading
            implements MapPartitionsFunction<
                    Tuple4<Integer, Long, Long, byte[]>,
                    Tuple4<String, String, String, Tuple2<Long, Long>>> {
        private static final long serialVersionUID = 1;

        @Override
        public Iterator<Tuple4<String, String, String, Tuple2<Long, Long>>> call(
                Iterator<Tuple4<Integer, Long, Long, byte[]>> records) {
            Decoder decoder = new Decoder();
            Iterable<Tuple4<Integer, Long, Long, byte[]>> all = () -> records;
            return StreamSupport.stream(all.spliterator(), false)
                    .map(record -> decoder.decode(
                            record._1(), record._2(), record._3(), record._4()))
                    .filter(click -> click.ad.length() > 0 && click.verdict == Click.VALID)
                    .map(click -> new Tuple4<>(
                            text(click.clickId), text(click.userId), text(click.ad),
                            new Tuple2<>(click.clickTime(), click.price)))
                    .iterator();
        }

        private static String text(Bytes bytes) {
            return new String(bytes.get(), StandardCharsets.UTF_8);
        }
    }
}
