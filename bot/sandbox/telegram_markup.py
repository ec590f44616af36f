"""Message text as Telegram reads it: HTML tags, detected entities, trimming, lengths in UTF-16 units.

The rules are those of https://core.telegram.org/bots/api#formatting-options. An entity's offset and length
count UTF-16 code units, so an emoji outside the basic plane counts as two.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bot.sandbox.telegram_errors import ApiError, bad_request

Entity = dict[str, Any]

_SIMPLE_TAGS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "code": "code",
    "pre": "pre",
}
_TAGS = {*_SIMPLE_TAGS, "a", "blockquote", "tg-emoji", "tg-time"}
_ATTRIBUTE = r"""[^\s=>"']+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>"']+))?"""
_START_TAG = re.compile(rf"<([^\s>]*)((?:\s+{_ATTRIBUTE})*)\s*>")
_ATTRIBUTE_PARTS = re.compile(r"""([^\s=>"']+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+)))?""")
_TAG_NAME = re.compile(r"<([^\s>]*)(?=[\s>])")
_END_TAG = re.compile(r"</([^\s>]*)\s*>")
_REFERENCE = re.compile(r"&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(lt|gt|amp|quot));?")
_PLAIN = re.compile(r"[^&<]+")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_TIME_FORMAT = re.compile(r"r|w?[dD]?[tT]?")
_USER_LINK = re.compile(r"tg://user\?id=(\d{1,15})")

_DETECTED = (
    ("url", re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)]")),
    ("email", re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")),
    ("mention", re.compile(r"(?<![\w/])@[A-Za-z]\w{3,31}\b")),
    ("bot_command", re.compile(r"(?<![\w/<>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z]\w{3,31})?(?![\w/])")),
    ("hashtag", re.compile(r"(?<!\w)#(?=\w*[^\W\d])\w{1,256}")),
    ("phone_number", re.compile(r"(?<![\w+])\+\d{7,15}\b")),
)
_CLOSED_TO_DETECTION = {"code", "pre", "text_link", "text_mention", "date_time", "custom_emoji"}


def utf16_length(text: str) -> int:
    """How long Telegram counts a text."""
    return len(text.encode("utf-16-le")) // 2


def _parse_error(reason: str) -> ApiError:
    return bad_request(f"can't parse entities: {reason}")


@dataclass(slots=True)
class _OpenTag:
    name: str
    attributes: dict[str, str]
    at: int
    text_index: int
    language: str | None = None


@dataclass(slots=True)
class _HtmlReader:
    """One pass over the source, building the plain text and the entities."""

    source: str
    position: int = 0
    text: list[str] = field(default_factory=list)
    length: int = 0
    open: list[_OpenTag] = field(default_factory=list)
    entities: list[Entity] = field(default_factory=list)

    def read(self) -> tuple[str, list[Entity]]:
        while self.position < len(self.source):
            if self.source[self.position] == "&":
                self._take_reference()
            elif self.source.startswith("</", self.position):
                self._take_end_tag()
            elif self.source[self.position] == "<":
                self._take_start_tag()
            else:
                self._take_plain()
        if self.open:
            raise _parse_error(f'Can\'t find end tag corresponding to start tag "{self.open[-1].name}"')
        return "".join(self.text), self.entities

    def _byte_offset(self) -> int:
        return len(self.source[: self.position].encode())

    def _emit(self, piece: str) -> None:
        self.text.append(piece)
        self.length += utf16_length(piece)

    def _take_plain(self) -> None:
        plain = _PLAIN.match(self.source, self.position)
        assert plain is not None  # noqa: S101 (whatever is neither a reference nor a tag)
        self._emit(plain[0])
        self.position = plain.end()

    def _take_reference(self) -> None:
        match = _REFERENCE.match(self.source, self.position)
        character = _referenced(match) if match else None
        if match is None or character is None:
            self._emit("&")
            self.position += 1
            return
        self._emit(character)
        self.position = match.end()

    def _take_start_tag(self) -> None:
        name_match = _TAG_NAME.match(self.source, self.position)
        if name_match is None:
            raise _parse_error(f"Unclosed start tag at byte offset {self._byte_offset()}")
        name = name_match[1].lower()
        if name not in _TAGS:
            raise _parse_error(f'Unsupported start tag "{name}" at byte offset {self._byte_offset()}')
        match = _START_TAG.match(self.source, self.position)
        if match is None:
            raise _parse_error(f"Unclosed start tag at byte offset {self._byte_offset()}")
        attributes = _attributes(match[2])
        self._check_attributes(name, attributes)
        self.open.append(_OpenTag(name, attributes, self.length, len(self.text)))
        self.position = match.end()

    def _check_attributes(self, name: str, attributes: dict[str, str]) -> None:
        where = f"at byte offset {self._byte_offset()}"
        if name == "span" and attributes.get("class") != "tg-spoiler":
            raise _parse_error(f'Tag "span" must have class "tg-spoiler" {where}')
        if name == "tg-emoji" and not attributes.get("emoji-id", "").isdigit():
            raise _parse_error(f"Invalid custom emoji identifier specified {where}")
        if name == "tg-time":
            if not attributes.get("unix", "").isdigit():
                raise _parse_error(f"Invalid Unix time specified {where}")
            if _TIME_FORMAT.fullmatch(attributes.get("format", "")) is None:
                raise _parse_error(f"Invalid date-time format specified {where}")

    def _take_end_tag(self) -> None:
        if not self.open:
            raise _parse_error(f"Unexpected end tag at byte offset {self._byte_offset()}")
        match = _END_TAG.match(self.source, self.position)
        if match is None:
            raise _parse_error(f"Unclosed end tag at byte offset {self._byte_offset()}")
        tag = self.open[-1]
        if match[1] and match[1].lower() != tag.name:
            raise _parse_error(
                f"Unmatched end tag at byte offset {self._byte_offset()}, "
                f'expected "</{tag.name}>", found "</{match[1].lower()}>"'
            )
        self.open.pop()
        self.position = match.end()
        if self.length > tag.at:
            self._close(tag)

    def _close(self, tag: _OpenTag) -> None:
        parent = self.open[-1] if self.open else None
        language = tag.attributes.get("class", "")
        if tag.name == "code" and parent is not None and parent.name == "pre" and parent.at == tag.at:
            parent.language = language.removeprefix("language-") if language.startswith("language-") else None
            return
        entity = _entity(tag, "".join(self.text[tag.text_index :]))
        if entity is not None:
            self.entities.append({**entity, "offset": tag.at, "length": self.length - tag.at})


def _referenced(match: re.Match[str]) -> str | None:
    decimal, hexadecimal, name = match.groups()
    if name is not None:
        return _NAMED[name]
    code = int(decimal) if decimal is not None else int(hexadecimal, 16)
    return chr(code) if 0 < code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else None


def _attributes(source: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ATTRIBUTE_PARTS.finditer(source):
        raw = next((value for value in match.groups()[1:] if value is not None), "")
        found[match[1].lower()] = _REFERENCE.sub(lambda reference: _referenced(reference) or "", raw)
    return found


def _entity(tag: _OpenTag, text: str) -> Entity | None:
    if tag.name == "a":
        return _link(tag.attributes.get("href") or text)
    if tag.name == "blockquote":
        return {"type": "expandable_blockquote" if "expandable" in tag.attributes else "blockquote"}
    if tag.name == "tg-emoji":
        return {"type": "custom_emoji", "custom_emoji_id": tag.attributes["emoji-id"]}
    if tag.name == "tg-time":
        entity: Entity = {"type": "date_time", "unix_time": int(tag.attributes["unix"])}
        if tag.attributes.get("format"):
            entity["date_time_format"] = tag.attributes["format"]
        return entity
    if tag.name == "pre" and tag.language is not None:
        return {"type": "pre", "language": tag.language}
    return {"type": _SIMPLE_TAGS[tag.name]}


def _link(href: str) -> Entity | None:
    mention = _USER_LINK.fullmatch(href)
    if mention is not None:
        return {"type": "text_mention", "user_id": int(mention[1])}
    address = href if "://" in href else f"http://{href}"
    parts = urlsplit(address)
    # A link Telegram cannot open loses its formatting and keeps its text; that is not an error there either.
    if parts.scheme not in {"http", "https", "tg", "ton"} or not parts.netloc:
        return None
    return {"type": "text_link", "url": address}


def parse_html(source: str) -> tuple[str, list[Entity]]:
    """The plain text and the entities of a text in the `HTML` parse mode, untrimmed.

    Raises:
        ApiError: 400, "can't parse entities: …", with the byte offset of what is wrong.
    """
    return _HtmlReader(source).read()


def detect(text: str, known: list[Entity]) -> list[Entity]:
    """The commands, mentions, links, addresses, hashtags and phone numbers Telegram finds by itself."""
    taken = [
        (entity["offset"], entity["offset"] + entity["length"])
        for entity in known
        if entity["type"] in _CLOSED_TO_DETECTION
    ]
    found: list[Entity] = []
    for kind, pattern in _DETECTED:
        for match in pattern.finditer(text):
            start = utf16_length(text[: match.start()])
            end = start + utf16_length(match[0])
            if any(start < other_end and other_start < end for other_start, other_end in taken):
                continue
            taken.append((start, end))
            found.append({"type": kind, "offset": start, "length": end - start})
    return sorted(found, key=lambda entity: entity["offset"])


def trim(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """Text without the white space around it, and the entities moved to fit."""
    start = utf16_length(text[: len(text) - len(text.lstrip())])
    trimmed = text.strip()
    end = start + utf16_length(trimmed)
    kept: list[Entity] = []
    for entity in entities:
        first = max(entity["offset"], start)
        last = min(entity["offset"] + entity["length"], end)
        if last > first:
            kept.append({**entity, "offset": first - start, "length": last - first})
    return trimmed, kept


def in_order(entities: list[Entity]) -> list[Entity]:
    """Entities as Telegram lists them: by offset, the outer before the inner; none inside code."""
    code = [entity for entity in entities if entity["type"] in {"code", "pre"}]

    def inside_code(entity: Entity) -> bool:
        return any(
            outer is not entity
            and outer["offset"] <= entity["offset"]
            and entity["offset"] + entity["length"] <= outer["offset"] + outer["length"]
            for outer in code
        )

    kept = [entity for entity in entities if not inside_code(entity)]
    return sorted(kept, key=lambda entity: (entity["offset"], -entity["length"]))
