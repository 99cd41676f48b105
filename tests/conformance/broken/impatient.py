"""A descriptor that comes with a transport library."""

from __future__ import annotations

import aiokafka
import attrs

from tests.conformance.broken.descriptors import Right


@attrs.frozen
class ImportsItsTransport(Right):
    """imports a transport library with its descriptor"""

    caught_by = "test_importing_it_imports_no_transport"
    default_port = aiokafka.__name__
