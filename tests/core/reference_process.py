"""A program of somebody else: reads messages by the reference libraries and writes them again.

It takes (encoding, dtype, shape, message) tuples, pickled, on standard input, and gives back what
each library read (its `repr`) and wrote. It imports none of the product's code, and says so.
"""

from __future__ import annotations

import ast
import io
import json
import pickle
import sys
from collections.abc import Callable
from typing import Any

import msgpack
import msgpack_numpy
import numpy as np

Form = tuple[Callable[[bytes], Any], Callable[[Any], bytes]]


def saved(value: Any) -> bytes:
    """What `numpy.save` writes."""
    file = io.BytesIO()
    np.save(file, value, allow_pickle=False)
    return file.getvalue()


FORMS: dict[str, Form] = {
    "python": (lambda m: ast.literal_eval(m.decode()), lambda v: repr(v).encode()),
    "json": (json.loads, lambda v: json.dumps(v).encode()),
    "utf-8": (bytes.decode, str.encode),
    "ascii": (lambda m: m.decode("ascii"), lambda v: v.encode("ascii")),
    "npy": (lambda m: np.load(io.BytesIO(m), allow_pickle=False), saved),
    "msgpack_numpy": (
        lambda m: msgpack.unpackb(m, object_hook=msgpack_numpy.decode),
        lambda v: msgpack.packb(v, default=msgpack_numpy.encode),
    ),
}


def answer(encoding: str, dtype: Any, shape: tuple[int, ...], message: bytes) -> tuple[str, bytes]:
    """What the reference read, and wrote."""
    if encoding == "carray":
        array = np.frombuffer(message, dtype).reshape(shape)
        return repr(array), array.tobytes()
    read, write = FORMS[encoding]
    value = read(message)
    return repr(value), write(value)


def main() -> None:
    """Answer all requests at once."""
    requests = pickle.load(sys.stdin.buffer)  # noqa: S301 - of our own test
    answers = [answer(*request) for request in requests]
    ours = [name for name in sys.modules if name.startswith("queueconnector")]
    pickle.dump((ours, answers), sys.stdout.buffer)


if __name__ == "__main__":
    main()
