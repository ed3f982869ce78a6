package org.clickledger.flink;

import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.KafkaSourceBuilder;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.split.KafkaPartitionSplit;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.ParameterTool;
import org.apache.kafka.clients.consumer.OffsetResetStrategy;
import org.apache.kafka.common.TopicPartition;
import org.clickledger.kafka.Cluster;

/**
 * The job: a topic of clicks in; {@code TOPIC.rows}, {@code TOPIC.verdicts} and {@code
 * TOPIC.dead} out. At least once is enough: a row is absolute and has a version, of two the
 * higher wins and equal ones are equal; a verdict is final and names its click's place.
 *
 * <p>Arguments: {@code --bootstrap HOST:PORT,... --topic TOPIC}; {@code --kafka.NAME VALUE} for
 * each further property of Kafka's clients, such as those of TLS; {@code --bounded true} to end
 * where the topic ended at the start; {@code --sums true} to hand out rows, too, in which only
 * undecided clicks are new, which sums by advertiser are made of.
 */
public final class ClickJob {
    /** How often the sequence stages tell how far they are. */
    private static final long EVERY_MS = 50;
    private static final long BUFFER_TIMEOUT_MS = 5;
    private static final String KAFKA = "kafka.";

    private final Properties client = new Properties();
    private final String topic;
    private final boolean bounded;
    private final boolean sums;

    private ClickJob(ParameterTool given) {
        bounded = given.getBoolean("bounded", false);
        sums = given.getBoolean("sums", false);
        topic = given.getRequired("topic");
        for (Map.Entry<String, String> entry : given.toMap().entrySet()) {
            if (entry.getKey().startsWith(KAFKA)) {
                client.put(entry.getKey().substring(KAFKA.length()), entry.getValue());
            }
        }
        client.put("bootstrap.servers", given.getRequired("bootstrap"));
    }

    /** Builds the job and hands it to the cluster. */
    public static void main(String[] arguments) throws Exception {
        new ClickJob(ParameterTool.fromArgs(arguments)).run();
    }

    private void run() throws Exception {
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.getExecutionEnvironment();
        Dataflow.prepare(environment);
        environment.setBufferTimeout(BUFFER_TIMEOUT_MS);
        Cluster cluster = new Cluster(client);
        // A reader without a partition has nothing to do.
        int partitions = cluster.partitions(topic);
        int readers = Math.min(environment.getParallelism(), partitions);
        SingleOutputStreamOperator<byte[]> records = environment
                .fromSource(source(partitions), WatermarkStrategy.noWatermarks(), "log")
                .uid("clickledger-log")
                .setParallelism(readers);
        String rows = topic + ".rows";
        byte[] header = cluster.header(topic);
        RowStage last = new RowStage(header, cluster.partitions(rows), sums);
        Dataflow flow = new Dataflow(records, header, new Pace(EVERY_MS), last);
        String verdicts = topic + ".verdicts";
        String dead = topic + ".dead";
        write(flow.rows, rows, new FrameWriter(rows));
        write(flow.verdicts, verdicts, new FrameWriter(verdicts));
        write(flow.deadLetters.flatMap(new DeadLetters()), dead, new DeadLetters.Writer(dead));
        environment.execute("clickledger " + topic);
    }

    private KafkaSource<byte[]> source(int partitions) {
        Map<TopicPartition, Long> beginning = new HashMap<>();
        for (int partition = 0; partition < partitions; partition++) {
            beginning.put(
                    new TopicPartition(topic, partition), KafkaPartitionSplit.EARLIEST_OFFSET);
        }
        KafkaSourceBuilder<byte[]> source = KafkaSource.<byte[]>builder();
        if (bounded) {
            source.setBounded(OffsetsInitializer.latest());
        }
        return source
                .setProperties(client)
                .setTopics(topic)
                // Without a way out where records are gone that were not read.
                .setStartingOffsets(
                        OffsetsInitializer.offsets(beginning, OffsetResetStrategy.NONE))
                .setDeserializer(new RecordReader())
                // The number of partitions is fixed for ever.
                .setProperty("partition.discovery.interval.ms", "-1")
                .build();
    }

    private void write(
            DataStream<byte[]> frames, String to, KafkaRecordSerializationSchema<byte[]> writer) {
        KafkaSink<byte[]> sink = KafkaSink.<byte[]>builder()
                .setKafkaProducerConfig(client)
                .setBootstrapServers(client.getProperty("bootstrap.servers"))
                .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
                .setProperty("enable.idempotence", "true")
                .setProperty("acks", "all")
                // Nothing overtakes a record that is given up, for none is: marks rest on that.
                .setProperty("delivery.timeout.ms", String.valueOf(Integer.MAX_VALUE))
                .setProperty("linger.ms", "5")
                .setProperty("batch.size", String.valueOf(256 * 1024))
                .setProperty("compression.type", "lz4")
                .setRecordSerializer(writer)
                .build();
        frames.sinkTo(sink).name(to).uid("clickledger-" + to.substring(topic.length() + 1));
    }
}
