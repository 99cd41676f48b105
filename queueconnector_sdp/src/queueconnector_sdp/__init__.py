"""Configuration sources for Queue Connector: etcd and the SKA SDP configuration database."""
