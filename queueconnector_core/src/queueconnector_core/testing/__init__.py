"""The conformance kit: proves that a component keeps to `docs/spec/component.md`.

It is for tests only, and comes with the extra `testing`. A plugin's tests load it in their
top-level `conftest.py`:

```python
pytest_plugins = ["queueconnector_core.testing.plugin"]
```

and subclass one suite for each component; the how-to guide is `docs/how-to/test-a-plugin.md`.
"""

import pytest

_SUITES = (
    "codec",
    "config_source",
    "descriptor",
    "delivery",
    "lifecycle",
    "pipe",
    "sink",
    "source",
)
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _SUITES))

from queueconnector_core.testing.capabilities import Capabilities  # noqa: E402 - after that
from queueconnector_core.testing.codec import CodecSuite  # noqa: E402
from queueconnector_core.testing.config_source import (  # noqa: E402
    ConfigHarness,
    ConfigSourceSuite,
    Following,
)
from queueconnector_core.testing.descriptor import DescriptorSuite  # noqa: E402
from queueconnector_core.testing.doubles import (  # noqa: E402
    END,
    PAUSE,
    RecordingSink,
    ScriptedSource,
    turns,
    until,
)
from queueconnector_core.testing.pipe import PipeSuite  # noqa: E402
from queueconnector_core.testing.rules import rule  # noqa: E402
from queueconnector_core.testing.sink import SinkHarness, SinkSuite  # noqa: E402
from queueconnector_core.testing.source import SourceHarness, SourceSuite  # noqa: E402
from queueconnector_core.testing.suite import Suite  # noqa: E402

__all__ = (
    "Capabilities",
    "SourceSuite",
    "SourceHarness",
    "SinkSuite",
    "SinkHarness",
    "PipeSuite",
    "CodecSuite",
    "ConfigSourceSuite",
    "ConfigHarness",
    "DescriptorSuite",
    "Suite",
    "rule",
    "ScriptedSource",
    "RecordingSink",
    "PAUSE",
    "END",
    "Following",
    "until",
    "turns",
)
