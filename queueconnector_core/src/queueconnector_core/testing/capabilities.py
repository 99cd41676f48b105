"""What a component can do, as its author declares it: which tests apply follows from that."""

from __future__ import annotations

import attrs

from queueconnector_core.component import Guarantee

__all__ = ("Capabilities",)


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a component can do, and its harness can show.

    ```python
    capabilities = Capabilities(guarantee=Guarantee.AT_LEAST_ONCE, acknowledges=True)
    ```

    A test that needs what stands here as false does not exist for that component; the report tells
    it as not applicable. A suite fails when what is declared is not what it finds.
    """

    guarantee: Guarantee | None = None
    """What the `ComponentType` must promise; None: whatever it does."""
    stored: bool = True
    """Source: what its far end was given before `start` is read."""
    live: bool = True
    """Source: what its far end is given after `start` is read."""
    rewinds: bool = False
    """Source: each start gives everything from the beginning."""
    ordered: bool = True
    """Records come out in the order in which they went in."""
    acknowledges: bool = False
    """Source: its batches carry acknowledgements, and what was not acknowledged comes again."""
    ends: bool = False
    """Source: `read` ends by itself when the far end has no more."""
    refuses: bool = False
    """The harness can give the source (`put_unusable`) or the sink (`unusable`) what it refuses."""
    interruptible: bool = False
    """The harness can cut the connection (`interrupt`)."""
    holds: bool = False
    """Pipe: it holds records back for a time, and says for how long (`longest_hold_s`)."""
    proves_life: bool = False
    """Source: it has `silent_s`."""
    many_documents: bool = False
    """Config source: it follows more than one document."""
    writes_at_once: bool = True
    """Sink: the harness can see a record as soon as `write` has returned."""
    dtypes: tuple[str, ...] | None = None
    """The names of all dtypes that the descriptor accepts, of those in `STANDARD_DTYPES`;
    None: not declared."""
    max_dimensions: int = 32
    """The most dimensions of a value that the descriptor accepts, of numbers."""
    max_held: int | None = 1000
    """So many records at most are held back inside: by a source whose records nobody takes, by a
    pipe. None: it is bounded otherwise, such as in octets."""
