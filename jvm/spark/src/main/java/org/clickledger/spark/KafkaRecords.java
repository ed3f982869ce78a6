package org.clickledger.spark;

import java.io.Serializable;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Properties;
import java.util.stream.IntStream;
import org.apache.kafka.common.TopicPartition;
import org.apache.spark.Partition;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.datasources.v2.DataSourceRDDPartition;
import org.apache.spark.sql.kafka010.KafkaBatchInputPartition;
import org.apache.spark.sql.kafka010.KafkaOffsetRange;
import org.apache.spark.util.TaskCompletionListener;
import scala.Tuple2;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;

/**
 * The records of a batch: Spark's source says from where to where, and which executor best reads
 * what; the tasks read the topic themselves, since a row of Spark's for each record costs as much
 * as the core's work on it.
 */
final class KafkaRecords {
    private KafkaRecords() {}

    /** Offsets of a partition that a task reads, from {@code from} to before {@code until}. */
    record Span(TopicPartition partition, long from, long until) implements Serializable {}

    /** Those of a batch, which is read from one topic and nothing else. */
    static BatchRecords of(Dataset<Row> batch, Properties client) {
        RDD<InternalRow> rows =
                ((org.apache.spark.sql.classic.Dataset<Row>) batch).queryExecution().toRdd();
        Partition[] parts = rows.partitions();
        List<Span> spans = Arrays.stream(parts).map(KafkaRecords::span).toList();
        List<Tuple2<Integer, Seq<String>>> places = IntStream.range(0, parts.length)
                .mapToObj(at -> new Tuple2<>(at, rows.preferredLocations(parts[at]).toSeq()))
                .toList();
        JavaRDD<LogRecord> records = rows.sparkContext()
                .makeRDD(
                        CollectionConverters.asScala(places).toSeq(),
                        ClassTag$.MODULE$.<Integer>apply(Integer.class))
                .toJavaRDD()
                .mapPartitions(new Reading(client, spans));
        List<InPlace.Slice> slices = spans.stream()
                .map(span -> new InPlace.Slice(span.partition.partition(), span.from))
                .toList();
        return new InPlace(records, slices);
    }

    private static Span span(Partition part) {
        if (part instanceof DataSourceRDDPartition source
                && source.inputPartition().getOrElse(() -> null)
                        instanceof KafkaBatchInputPartition read) {
            KafkaOffsetRange range = read.offsetRange();
            return new Span(range.topicPartition(), range.fromOffset(), range.untilOffset());
        }
        throw new IllegalStateException(
                "this Spark does not read a topic partition by partition, but by " + part
                        + ": take the version that docs/spark.md names");
    }

    /** Reads spans, by their numbers, where tasks run. */
    private record Reading(Properties client, List<Span> spans)
            implements FlatMapFunction<Iterator<Integer>, LogRecord> {
        @Override
        public Iterator<LogRecord> call(Iterator<Integer> numbers) {
            PartitionReader reader = PartitionReader.take(client, spans.get(numbers.next()));
            TaskCompletionListener end = context -> reader.giveBack();
            TaskContext.get().addTaskCompletionListener(end);
            return reader;
        }
    }
}
