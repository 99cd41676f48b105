"""A simulated telescope that points better and better, because Queue Connector closes the loop.

Run it with ``python -m pointing_loop``. ``track``, ``pointing_model`` and ``mount`` are the
physics, ``dish`` (Tango) and ``processor`` (Kafka) the programs at both ends of the connector,
``configuration`` what the connector is told, ``loop`` the orchestration.
"""
