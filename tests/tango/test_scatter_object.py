"""What JMESPath makes of values that JSON does not have."""

import pytest

from queueconnector_core.errors import RecordError
from queueconnector_tango.descriptors import TangoAttributeDescriptor
from queueconnector_tango.scatter_object import _Target


@pytest.mark.parametrize("value", [1j, ("label", b"octets")], ids=str)
def test_a_value_that_a_function_cannot_take_is_a_record_error(value: object) -> None:
    target = _Target.of(TangoAttributeDescriptor("number", "float64", path="to_number(x)"))
    with pytest.raises(RecordError, match="number: "):
        target.pick({"x": value})
