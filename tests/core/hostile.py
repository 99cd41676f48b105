"""Messages that were made to hurt a decoder: bombs of depth and size, false shapes, pickles."""

from __future__ import annotations

from typing import Any

import msgpack

ROW = [["name", "U4"], ["at", "datetime64[ms]"], ["pos", "float64", [2]], ["gain", "complex64"]]
ROWS = [["ok", "bool"], ["inner", [["n", "int16"], ["text", "U2"]]]]


def map_of(**fields: Any) -> bytes:
    array = {"nd": True, "type": "<f8", "kind": b"", "shape": [1], "data": b"\0" * 8} | fields
    return bytes(msgpack.packb({key.encode(): value for key, value in array.items()}))


def nested_dtype(depth: int, *shape: list[int]) -> list[Any]:
    found: Any = "|b1"
    for _ in range(depth):
        found = [["a", found, *shape]]
    return list(found)


def npy_of(header: str, body: bytes = b"\0" * 8) -> bytes:
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + body


MIB = 2**20
HOSTILE: list[tuple[str, Any, list[int], bytes]] = [
    ("python", "object", [], b"[" * MIB),
    ("python", "object", [], b"[" * 1000 + b"]" * 1000),
    ("python", "float64", [-1], b"[" * MIB),
    ("python", "object", [], b"-" * MIB + b"1"),
    ("python", "object", [], b"-" * 60_000 + b"1"),
    ("python", "object", [], b"9**9**9"),
    ("python", "object", [], b"'" * MIB),
    ("python", "object", [], b"'a'" * 300_000),
    ("python", "object", [], b"1+" * 30_000 + b"1"),
    ("python", "object", [], b"9" * MIB),
    ("python", "object", [], b"__import__('os').system('true')"),
    ("python", "object", [], b"{[]: 1}"),
    ("python", "object", [], b"{1: 2, 3}"),
    ("python", "object", [], b"[1 2]"),
    ("python", "object", [], b"[1, , 2]"),
    ("python", "object", [], b"1, 2,, 3"),
    ("python", "object", [], b"(]"),
    ("python", "object", [], b"\xff"),
    ("python", "object", [], b"'\0"),
    ("python", "object", [], b""),
    (
        *("python", "object", []),
        b"{" + b",".join(b"%d:0" % (k * (2**61 - 1)) for k in range(50_000)) + b"}",
    ),
    ("json", "object", [], b"[" * MIB),
    ("json", "object", [], b'{"a":' * 100_000),
    ("json", "object", [], b'{"a":' * 500 + b"1" + b"}" * 500),
    ("json", "object", [], b"9" * MIB),
    ("json", "object", [], b"\xff"),
    ("json", "object", [], b""),
    ("json", "float64", [-1], b'["a", 1.5]'),
    ("msgpack_numpy", "object", [], (b"\xdd" + (MIB - 5).to_bytes(4, "big")) * (MIB // 5)),
    ("msgpack_numpy", "object", [], b"\x91" * MIB),
    ("msgpack_numpy", "object", [], b"\x81" * MIB),
    ("msgpack_numpy", "object", [], b"\x91" * 500 + b"\x90"),
    ("msgpack_numpy", "object", [], b"\xdf\xff\xff\xff\xff"),
    ("msgpack_numpy", "object", [], b"\x81\x90\x00"),
    ("msgpack_numpy", "object", [], b"\x81\x01\x00"),
    ("msgpack_numpy", "object", [], b"\xc1"),
    ("msgpack_numpy", "object", [], b"\xd4\x05\x00"),
    ("msgpack_numpy", "object", [], b""),
    ("msgpack_numpy", "object", [], msgpack.packb({b"complex": True, b"data": "x"})),
    ("msgpack_numpy", "float64", [-1], map_of(shape=[2**40])),
    ("msgpack_numpy", "float64", [-1], map_of(shape=[-1])),
    ("msgpack_numpy", "float64", [-1], map_of(shape="ab")),
    ("msgpack_numpy", "float64", [-1], map_of(shape=[1] * 65)),
    ("msgpack_numpy", "float64", [-1], map_of(data="text")),
    ("msgpack_numpy", "float64", [-1], map_of(data=b"\0" * 9)),
    ("msgpack_numpy", "float64", [-1], map_of(type="nope")),
    ("msgpack_numpy", "float64", [-1], map_of(type="a8")),
    ("msgpack_numpy", "float64", [-1], map_of(type={"names": ["a"], "formats": ["O"]})),
    ("msgpack_numpy", "float64", [-1], map_of(type=[["a"]])),
    ("msgpack_numpy", "float64", [-1], map_of(type=[["a", "<f8", [2**40, 2**40]]])),
    ("msgpack_numpy", "float64", [-1], map_of(type=None)),
    *(
        ("msgpack_numpy", "object", [], map_of(type=nested_dtype(depth), shape=[2], data=b"\2\2"))
        for depth in (1, 30, 200, 240, 300, 480)
    ),
    ("msgpack_numpy", "object", [], map_of(type=nested_dtype(3, [1] * 30), data=b"\1")),
    ("msgpack_numpy", "object", [], map_of(type="<M8")),
    ("msgpack_numpy", "object", [], map_of(type=[["a", [["b", "<f8"]], [2**27]]])),
    ("msgpack_numpy", "object", [], map_of(type=[["a", [["b", "|V0"]], [2**31 - 1]]])),
    ("msgpack_numpy", "object", [], map_of(type=[["a", [["b", "<m8"]]]])),
    ("msgpack_numpy", "object", [], map_of(type="<U0", shape=[2**40], data=b"")),
    ("msgpack_numpy", "object", [], map_of(shape=[2**40, 0], data=b"")),
    ("msgpack_numpy", "str", [-1], map_of(type="<U1", shape=[1], data=b"\xff" * 4)),
    ("msgpack_numpy", "bool", [-1], map_of(type="|b1", shape=[1], data=b"\2")),
    ("carray", "float64", [2], b"\0" * 17),
    ("carray", "float64", [-1, 2], b"\0" * 24),
    ("carray", "float64", [], b""),
    ("carray", "U2", [1], b"\xff" * 8),
    ("carray", "bool", [1], b"\7"),
    ("npy", "float64", [-1], b""),
    ("npy", "uint8", [], b"\0\5"),
    ("msgpack_numpy", ROW, [], b"\xc1\5"),
    ("npy", "float64", [-1], b"\x93NUMPY\1\0\xff\xff"),
    ("npy", "float64", [-1], b"\x93NUMPY\2\0\xff\xff\xff\xff{}"),
    ("npy", "float64", [-1], b"\x93NUMPY\x09\0\1\0 "),
    ("npy", "float64", [-1], npy_of("[" * 10_000)),
    ("npy", "float64", [-1], npy_of("{'descr': '<f8'}")),
    ("npy", "float64", [-1], npy_of("{'descr':'<f8','fortran_order':False,'shape':(2**9,)}")),
    ("npy", "float64", [-1], npy_of("{'descr':'<f8','fortran_order':False,'shape':(999999999,)}")),
    ("npy", "float64", [-1], npy_of("{'descr':'<f8','fortran_order':1,'shape':(1,)}")),
    ("npy", "float64", [-1], npy_of("{'descr':'<f8','fortran_order':False,'shape':(True,)}")),
    ("npy", "str", [-1], npy_of("{'descr':'<U0','fortran_order':False,'shape':(99999999,)}", b"")),
    ("npy", "str", [-1], npy_of("{'descr':'<U2','fortran_order':False,'shape':(1,)}", b"\xff" * 8)),
]
