"""A least device server of our own: ``python echo_server.py INSTANCE``."""

import sys

from tango.server import Device, attribute, device_property, run


class Echo(Device):  # type: ignore[misc]  # pytango has no types
    greeting = device_property(dtype=str, default_value="not set")

    @attribute(dtype=str)  # type: ignore[untyped-decorator]
    def heard(self) -> str:
        return str(self.greeting)


if __name__ == "__main__":
    # args[0] is the name under which the server registers.
    run((Echo,), args=["Echo", *sys.argv[1:]])
