package org.clickledger.flink;

import java.util.Properties;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.Metric;
import org.apache.flink.metrics.MetricConfig;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.reporter.MetricReporter;
import org.apache.flink.metrics.reporter.MetricReporterFactory;

/** Flink's metrics {@code clickledger.gaps}, of all instances together. */
public final class Gaps implements MetricReporter {
    private static final Queue<Gauge<?>> GAUGES = new ConcurrentLinkedQueue<>();

    /** Makes it, by its name in Flink's settings. */
    public static final class Factory implements MetricReporterFactory {
        @Override
        public MetricReporter createMetricReporter(Properties properties) {
            return new Gaps();
        }
    }

    /** Before another job. */
    static void forget() {
        GAUGES.clear();
    }

    /** What the last job's gauges say, which it leaves behind. */
    static long sum() {
        return GAUGES.stream().mapToLong(gauge -> ((Number) gauge.getValue()).longValue()).sum();
    }

    @Override
    public void notifyOfAddedMetric(Metric metric, String name, MetricGroup group) {
        if (name.equals("gaps") && metric instanceof Gauge<?> gauge) {
            GAUGES.add(gauge);
        }
    }

    @Override
    public void notifyOfRemovedMetric(Metric metric, String name, MetricGroup group) {
        // Its value stays.
    }

    @Override
    public void open(MetricConfig config) {}

    @Override
    public void close() {}
}
