"""What kind of picture some bytes are, and how large, read off the beginning of the file."""

import struct

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = 24
_JPEG = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The JPEG markers that carry a picture's size."""


def media_type(content: bytes) -> str:
    """The media type by which a browser may show it; what is no picture is only ever a download."""
    if content.startswith(_PNG):
        return "image/png"
    return "image/jpeg" if content.startswith(_JPEG) else "application/octet-stream"


def picture_size(content: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG or a JPEG, or None for what is neither."""
    size = None
    if content.startswith(_PNG) and content[12:16] == b"IHDR" and len(content) >= _PNG_HEADER:
        size = struct.unpack(">II", content[16:_PNG_HEADER])
    elif content.startswith(_JPEG):
        size = _jpeg_size(content)
    return (size[0], size[1]) if size and all(size) else None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4])
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", content[place + 5 : place + 9])
            return width, height
        place += 2 + length
    return None
