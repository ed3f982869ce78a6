#!/usr/bin/env python3
"""Reads a clickledger topic with Kafka's own Python client and the published schema.

    pip install confluent-kafka protobuf
    protoc --python_out=. --proto_path=crates/click-core/proto click.proto
    python3 docs/read_topic.py BROKERS TOPIC

Prints a line per click: partition,offset,append_time,key,click_id,ad_id,price_micros. Everything
that is in the topic when it starts is read; nothing is committed.
"""

import csv
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

import click_pb2


def partitions(consumer, topic):
    return sorted(consumer.list_topics(topic).topics[topic].partitions)


def clicks(brokers, topic):
    """Yields (partition, offset, append_time, key, click), partition by partition."""
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": "read-topic",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    })
    for partition in partitions(consumer, topic):
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition))
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        while True:
            message = consumer.poll(10)
            if message is None or message.error():
                break  # The end of the partition.
            record = click_pb2.Record()
            try:
                record.ParseFromString(message.value())
            except Exception:  # A dead letter: not of this schema.
                continue
            if record.WhichOneof("kind") == "click":
                key = message.key().decode() if message.key() else ""
                yield partition, message.offset(), message.timestamp()[1], key, record.click
            if message.offset() + 1 >= end:
                break
    consumer.close()


def main():
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow("partition,offset,append_time,key,click_id,ad_id,price_micros".split(","))
    for partition, offset, append_time, key, click in clicks(sys.argv[1], sys.argv[2]):
        row = (click.click_id, click.ad_id, click.price_micros)
        out.writerow((partition, offset, append_time, key, *row))


if __name__ == "__main__":
    main()
