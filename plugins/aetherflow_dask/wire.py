"""What passes between the engine and a worker of Dask: numbered frames, sent again if one is missing.

A message of an attempt is one frame, or several if it is large. The frames of a start are numbered in each
direction, from 1. The worker keeps what the engine has not acknowledged; the engine repeats a batch until the
worker has confirmed it. So a connection that breaks for a moment loses and doubles nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

PIECE_BYTES = 1 << 20
"""The largest frame: a large message must not keep the beats of a worker waiting."""


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """A message of a start of an attempt, or a part of one.

    Attributes:
        is_last: whether the message ends with it.
    """

    key: str
    start: str
    number: int
    is_last: bool
    data: bytes


class Said(msgspec.Struct, frozen=True, array_like=True):
    """What a worker sends at once to one engine.

    Attributes:
        worker: the address of the worker.
        frames: in their order.
        is_beat: whether `last` is given.
        last: the number of the last frame of each start that the worker has.
    """

    worker: str
    frames: list[Frame] = []
    is_beat: bool = False
    last: dict[str, int] = {}


class Acknowledge(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """All frames of a start up to this number have arrived."""

    start: str
    number: int


class SendAgain(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The frames of a start from this number on have not arrived."""

    start: str
    number: int


class Attach(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A start belongs from now on to the engine of another topic."""

    start: str
    topic: str
    lost_after: float


class Forget(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A start is to end, and nothing of it is read any more."""

    start: str
    why: str


class Deliver(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """A frame for a start."""

    frame: Frame


ToWorker = Acknowledge | SendAgain | Attach | Forget | Deliver


def start_of(message: ToWorker) -> str:
    """Return the start that a message is for."""
    return message.frame.start if isinstance(message, Deliver) else message.start


said_of = msgspec.msgpack.Decoder(Said).decode
batch_of = msgspec.msgpack.Decoder(list[ToWorker]).decode
encoded = msgspec.msgpack.Encoder().encode


def frames_of(key: str, start: str, number: int, message: bytes) -> Iterator[Frame]:
    """Yield a message as frames, the first of which has this number."""
    for at in range(0, max(len(message), 1), PIECE_BYTES):
        end = at + PIECE_BYTES
        yield Frame(key, start, number, end >= len(message), message[at:end])
        number += 1


class Assembly:
    """Puts messages together from the frames of one start, in their order.

    Attributes:
        next: the number of the frame that comes next; 0: that of the first one that comes.
    """

    def __init__(self, next_number: int = 1) -> None:
        self.next = next_number
        self._parts: list[bytes] = []

    def add(self, frame: Frame) -> bytes | None:
        """Return the message that is complete with this frame; one that came already is ignored.

        Raises:
            LookupError: frames before it have not come.
        """
        if not self.next:
            self.next = frame.number
        if frame.number > self.next:
            raise LookupError(self.next)
        if frame.number < self.next:
            return None
        self.next += 1
        self._parts.append(frame.data)
        if not frame.is_last:
            return None
        message = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        return message
