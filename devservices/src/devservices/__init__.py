"""Real services on loopback for tests, benches and the demo, each gone when its starter is.

Submodules: ``kafka`` (Apache Kafka), ``embedded`` (a broker that needs Python alone), ``etcd``,
``mosquitto`` (an MQTT broker), ``tango`` (database, device servers, TangoTest), ``kcat`` (the
foreign Kafka client), ``process``, ``provision`` and ``pytest_plugin``.
"""

from .errors import ServiceFailed, ServiceUnavailable

__all__ = ["ServiceFailed", "ServiceUnavailable"]
