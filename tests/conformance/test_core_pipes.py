"""The pipe library of core, and its descriptors, pass the kit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from queueconnector_core.component import ComponentKind
from queueconnector_core.record import Batch, Metadata, Value
from queueconnector_core.testing import Capabilities, DescriptorSuite, PipeSuite

SOURCES = {"az": "*/azimuth", "el": "*/elevation"}


class TestMapPipe(PipeSuite):
    component = "MapPipe"
    dtype = "object"
    descriptor: ClassVar = {"expression": "number", "dtype": "int32"}
    capabilities = Capabilities(max_held=1, refuses=True)

    def unusable(self) -> Value:
        return {"number": "none"}


class TestFilterPipe(PipeSuite):
    component = "FilterPipe"
    dtype = "object"
    descriptor: ClassVar = {"when": "abs(number) > `3`"}
    capabilities = Capabilities(max_held=1, refuses=True)

    def unusable(self) -> Value:
        return {"number": "none"}


class TestSelectFieldPipe(PipeSuite):
    component = "SelectFieldPipe"
    dtype: ClassVar[Any] = [["a", "int32"], ["b", "float32", [2]]]
    shape = (3,)
    descriptor: ClassVar = {"field": "b"}
    capabilities = Capabilities(max_held=1)


class TestCastPipe(PipeSuite):
    component = "CastPipe"
    descriptor: ClassVar = {"dtype": "int8", "casting": "unsafe"}
    capabilities = Capabilities(max_held=1, refuses=True)

    def unusable(self) -> Value:
        return 1e3


class TestScaleOffsetPipe(PipeSuite):
    component = "ScaleOffsetPipe"
    dtype = "float32"
    shape = (-1, 2)
    descriptor: ClassVar = {"scale": 1e10, "offset": 1}
    capabilities = Capabilities(max_held=1, refuses=True)

    def unusable(self) -> Value:
        (value,) = self.values(1, 1)
        return value * 1e30  # type: ignore[operator]


class TestSplitPipe(PipeSuite):
    component = "SplitPipe"
    shape = (-1,)
    capabilities = Capabilities(max_held=1)


class TestDeadbandPipe(PipeSuite):
    component = "DeadbandPipe"
    descriptor: ClassVar = {"absolute": 1.5}
    capabilities = Capabilities(max_held=1)


class TestDeduplicatePipe(PipeSuite):
    component = "DeduplicatePipe"
    capabilities = Capabilities(max_held=1)


class TestRateLimitPipe(PipeSuite):
    component = "RateLimitPipe"
    descriptor: ClassVar = {"max_per_s": 100, "mode": "drop"}
    capabilities = Capabilities(max_held=1)


class TestRateLimitPipeKeepsTheLatest(PipeSuite):
    component = "RateLimitPipe"
    descriptor: ClassVar = {"max_per_s": 100, "mode": "latest"}
    capabilities = Capabilities(max_held=1, holds=True)


class TestRateLimitPipeDelays(PipeSuite):
    component = "RateLimitPipe"
    descriptor: ClassVar = {"max_per_s": 1000, "mode": "delay"}
    capabilities = Capabilities(max_held=1)


class TestLatestOnlyPipe(PipeSuite):
    component = "LatestOnlyPipe"
    descriptor: ClassVar = {"max_records": 5}
    capabilities = Capabilities(max_held=10)


class TestTumblingWindowPipe(PipeSuite):
    component = "TumblingWindowPipe"
    descriptor: ClassVar = {"reduce": "mean", "span_s": 0.05, "max_records": 12}
    capabilities = Capabilities(max_held=12, holds=True)


class TestTumblingWindowPipeOfCounts(PipeSuite):
    component = "TumblingWindowPipe"
    shape = (2,)
    descriptor: ClassVar = {"reduce": "median", "count": 3}
    capabilities = Capabilities(max_held=3)


class TestSlidingWindowPipe(PipeSuite):
    component = "SlidingWindowPipe"
    descriptor: ClassVar = {"reduce": "std", "count": 4, "step_count": 2}
    capabilities = Capabilities(max_held=4)


class TestJoinPipe(PipeSuite):
    component = "JoinPipe"
    descriptor: ClassVar = {"sources": SOURCES, "tolerance_s": 0, "timeout_s": 0.05}
    capabilities = Capabilities(max_held=1, holds=True)

    def batches(self) -> list[Batch]:
        return [
            Batch(batch.values, [self._known(place) for place in range(len(batch))])
            for batch in super().batches()
        ]

    def _known(self, place: int) -> Metadata:
        name = ("azimuth", "elevation")[place % 2]
        return Metadata(timestamp_ns=place // 2, source=f"tango://db:10000/a/b/c/{name}")


class TestJoinPipeByKey(TestJoinPipe):
    component = "JoinPipe"
    dtype = "object"
    descriptor: ClassVar = {"sources": SOURCES, "key_path": "'one'", "timeout_s": 0.05}


class PipeDescriptorSuite(DescriptorSuite):
    kind = ComponentKind.PIPE
    may_import = ("jmespath",)


EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "MapPipe": {"expression": "a.b", "dtype": "float64", "shape": [2]},
    "FilterPipe": {"when": {"ge": 1, "of": "any"}},
    "SelectFieldPipe": {"field": "a"},
    "CastPipe": {"dtype": "float32", "casting": "safe"},
    "ScaleOffsetPipe": {"scale": 0.1, "offset": -5},
    "SplitPipe": {},
    "DeadbandPipe": {"absolute": 0.5, "key": "record"},
    "DeduplicatePipe": {"by": "header", "header": "id", "within_s": 5},
    "RateLimitPipe": {"max_per_s": 10, "burst": 5},
    "LatestOnlyPipe": {"key_path": "id"},
    "TumblingWindowPipe": {"reduce": "mean", "span_s": 60, "event_time": True, "lateness_s": 5},
    "SlidingWindowPipe": {"reduce": "max", "count": 10, "step_count": 5},
    "JoinPipe": {"sources": SOURCES, "tolerance_s": 0.1, "form": "array"},
}
for name, example in EXAMPLES.items():
    members = {"component": name, "example": example, "__module__": __name__}
    globals()[f"Test{name}Descriptor"] = type(
        f"Test{name}Descriptor", (PipeDescriptorSuite,), members
    )
