"""A cluster of Kafka for tests: librdkafka's own, which speaks the protocol to any client on this machine.

Prints, as JSON, where its brokers are, and then each message of the topic `decisions` as it comes. It ends
with its input.
"""

import json
import sys
import threading

from confluent_kafka import Consumer, Producer

TOPIC = "decisions"


def say(what):
    print(json.dumps(what), flush=True)


def main():
    # The cluster lives as long as this client of it.
    cluster = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 3})
    brokers = cluster.list_topics(TOPIC, timeout=30).brokers.values()
    addresses = [f"{broker.host}:{broker.port}" for broker in brokers]
    say({"brokers": addresses})
    consumer = Consumer(
        {"bootstrap.servers": ",".join(addresses), "group.id": "test", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([TOPIC])
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while not ended.is_set():
        message = consumer.poll(0.1)
        if message is not None and not message.error():
            say(
                {
                    "key": message.key().decode(),
                    "value": json.loads(message.value()),
                    "partition": message.partition(),
                    "time": message.timestamp()[1],
                }
            )
    consumer.close()


if __name__ == "__main__":
    main()
