package org.clickledger.flink;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.ParameterTool;

/**
 * The job: a topic of clicks in; {@code TOPIC.rows}, {@code TOPIC.verdicts} and {@code
 * TOPIC.dead-letters} out. At least once is enough: a row is absolute and has a version, of two the
 * higher wins and equal ones are equal; a verdict is final and names its click's place.
 *
 * <p>Arguments: {@code --bootstrap HOST:PORT,... --topic TOPIC --partitions P}.
 */
public final class ClickJob {
    /** How often the sequence stages tell how far they are. */
    private static final long EVERY_MS = 50;
    private static final long BUFFER_TIMEOUT_MS = 5;

    private ClickJob() {}

    /** Builds the job and hands it to the cluster. */
    public static void main(String[] arguments) throws Exception {
        ParameterTool given = ParameterTool.fromArgs(arguments);
        String bootstrap = given.getRequired("bootstrap");
        String topic = given.getRequired("topic");
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.getExecutionEnvironment();
        Dataflow.prepare(environment);
        environment.setBufferTimeout(BUFFER_TIMEOUT_MS);
        // A reader without a partition has nothing to do.
        int readers = Math.min(environment.getParallelism(), given.getInt("partitions"));
        SingleOutputStreamOperator<byte[]> records = environment
                .fromSource(source(bootstrap, topic), WatermarkStrategy.noWatermarks(), "log")
                .uid("clickledger-log")
                .setParallelism(readers);
        byte[] header = HeaderTopic.read(bootstrap, topic);
        Dataflow flow = new Dataflow(records, header, EVERY_MS);
        write(flow.rows, bootstrap, topic + ".rows");
        write(flow.verdicts, bootstrap, topic + ".verdicts");
        write(flow.deadLetters, bootstrap, topic + ".dead-letters");
        environment.execute("clickledger " + topic);
    }

    private static KafkaSource<byte[]> source(String bootstrap, String topic) {
        return KafkaSource.<byte[]>builder()
                .setBootstrapServers(bootstrap)
                .setTopics(topic)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setDeserializer(new RecordReader())
                // The number of partitions is fixed for ever.
                .setProperty("partition.discovery.interval.ms", "-1")
                .setProperty("auto.offset.reset", "none")
                .build();
    }

    private static void write(DataStream<byte[]> frames, String bootstrap, String topic) {
        KafkaSink<byte[]> sink = KafkaSink.<byte[]>builder()
                .setBootstrapServers(bootstrap)
                .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
                .setRecordSerializer(new FrameWriter(topic))
                .build();
        frames.sinkTo(sink).name(topic).uid("clickledger-" + topic);
    }
}
