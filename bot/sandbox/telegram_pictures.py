"""What kind of picture some bytes are, and how large it is; told from the bytes, whatever the sender calls them."""

import struct
from dataclasses import dataclass
from typing import Final

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers of frames, which begin with the size."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The kind and the size in pixels."""

    media_type: str
    width: int
    height: int


def picture_of(content: bytes) -> Picture | None:
    """What picture this is, or None where it is no PNG and no JPEG that could be shown."""
    found = None
    if content.startswith(_PNG) and len(content) >= 24:
        found = Picture("image/png", *struct.unpack(">II", content[16:24]))
    elif content.startswith(_JPEG):
        found = _jpeg(content)
    return found if found is not None and found.width and found.height else None


def _jpeg(content: bytes) -> Picture | None:
    """Walk from one segment to the next; each names its length behind its marker."""
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return Picture("image/jpeg", width, height)
        at += 2 + length
    return None
