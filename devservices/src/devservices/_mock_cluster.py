"""The program behind ``EmbeddedBroker``: librdkafka's mock cluster, and nothing else.

Run as ``python -m devservices._mock_cluster``. It prints ``bootstrap HOST:PORT`` and then reads
``TOPIC PARTITIONS`` lines from standard input, each of which creates a topic, until that ends.
"""

import ctypes
import sys

from confluent_kafka import cimpl

PRODUCER = 0
ERROR_SIZE = 512


def librdkafka() -> ctypes.CDLL:
    """Return the librdkafka that confluent-kafka itself uses, with the signatures needed here."""
    # Looking up through the extension module finds its library wherever the wheel keeps it.
    library = ctypes.CDLL(cimpl.__file__)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def main() -> None:
    """Serve until standard input ends."""
    library = librdkafka()
    error = ctypes.create_string_buffer(ERROR_SIZE)
    client = library.rd_kafka_new(PRODUCER, library.rd_kafka_conf_new(), error, ERROR_SIZE)
    if not client:
        sys.exit(f"librdkafka made no client: {error.value.decode()}")
    cluster = library.rd_kafka_mock_cluster_new(client, 1)
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
    print("bootstrap", library.rd_kafka_mock_cluster_bootstraps(cluster).decode(), flush=True)
    for line in sys.stdin:
        topic, partitions = line.split()
        code = library.rd_kafka_mock_topic_create(cluster, topic.encode(), int(partitions), 1)
        if code != 0:
            print(f"topic {topic} was not created: librdkafka error {code}", flush=True)


if __name__ == "__main__":
    main()
