"""Healthy is a device that answers; FAULT is a matter for people, and no restart mends it."""

import os
import sys

import tango

TIMEOUT_MS = 3000

try:
    device = tango.DeviceProxy(os.environ["QUEUECONNECTOR_DEVICE"])
    device.set_timeout_millis(TIMEOUT_MS)
    print(device.state())
except tango.DevFailed as error:
    sys.exit(f"no answer: {error.args[0].desc}")
