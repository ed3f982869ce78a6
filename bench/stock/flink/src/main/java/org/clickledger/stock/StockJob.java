package org.clickledger.stock;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Properties;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.KafkaSourceBuilder;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.ParameterTool;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * An ordinary job of the same rules on keyed state: what the hosted core is compared with.
 *
 * <p>Arguments: {@code --bootstrap HOST:PORT --topic TOPIC --out TOPIC [--bounded true]
 * [--exactly-once true] [--backend rocksdb]}.
 */
public final class StockJob {
    private StockJob() {}

    /** Builds the job and hands it to the cluster. */
    public static void main(String[] arguments) throws Exception {
        ParameterTool given = ParameterTool.fromArgs(arguments);
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.getExecutionEnvironment();
        Configuration settings = new Configuration();
        settings.setString("state.backend.type", given.get("backend", "hashmap"));
        settings.setString("execution.checkpointing.incremental", "true");
        environment.configure(settings);
        environment.getConfig().enableObjectReuse();
        environment.getConfig().setAutoWatermarkInterval(50);
        environment.setBufferTimeout(5);
        WatermarkStrategy<Click> times = WatermarkStrategy.<Click>forMonotonousTimestamps()
                .withTimestampAssigner((click, ignored) -> click.foldTime);
        DataStream<Click> decided = environment.fromSource(source(given), times, "log")
                .filter(click -> click.ad.length() > 0)
                .keyBy(Click::userKey, BytesSerializer.TYPE)
                .process(new UserStage(), ClickReader.TYPE)
                .keyBy(click -> click.ip, BytesSerializer.TYPE)
                .process(new SourceStage(), ClickReader.TYPE);
        DataStream<byte[]> ads = rows(decided, true);
        ads.union(rows(decided, false)).sinkTo(sink(given));
        environment.execute("stock " + given.getRequired("topic"));
    }

    private static DataStream<byte[]> rows(DataStream<Click> decided, boolean byAd) {
        return decided.keyBy(click -> RowKey.of(click, byAd), BytesSerializer.TYPE).process(
                new RowStage(byAd), PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);
    }

    private static KafkaSource<Click> source(ParameterTool given) {
        KafkaSourceBuilder<Click> source = KafkaSource.<Click>builder()
                .setBootstrapServers(given.getRequired("bootstrap"))
                .setTopics(given.getRequired("topic"))
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setDeserializer(new ClickReader());
        if (given.getBoolean("bounded", false)) {
            source.setBounded(OffsetsInitializer.latest());
        }
        return source.build();
    }

    private static KafkaSink<byte[]> sink(ParameterTool given) {
        Properties tuned = new Properties();
        tuned.put("linger.ms", "5");
        tuned.put("batch.size", String.valueOf(256 * 1024));
        tuned.put("compression.type", "lz4");
        tuned.put("transaction.timeout.ms", "600000");
        boolean exactlyOnce = given.getBoolean("exactly-once", false);
        String topic = given.getRequired("out");
        return KafkaSink.<byte[]>builder()
                .setBootstrapServers(given.getRequired("bootstrap"))
                .setKafkaProducerConfig(tuned)
                .setTransactionalIdPrefix("stock-" + topic)
                .setDeliveryGuarantee(exactlyOnce
                        ? DeliveryGuarantee.EXACTLY_ONCE : DeliveryGuarantee.AT_LEAST_ONCE)
                .setRecordSerializer(new RowWriter(topic))
                .build();
    }

    /** Writes rows by their keys. */
    private static final class RowWriter implements KafkaRecordSerializationSchema<byte[]> {
        private static final long serialVersionUID = 1;

        private final String topic;

        RowWriter(String topic) {
            this.topic = topic;
        }

        @Override
        public ProducerRecord<byte[], byte[]> serialize(
                byte[] row, KafkaSinkContext context, Long at) {
            int length = ByteBuffer.wrap(row).getShort();
            return new ProducerRecord<>(topic, Arrays.copyOfRange(row, 2, 2 + length), row);
        }
    }
}
