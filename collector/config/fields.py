"""The types of the keys: text, numbers, durations, sizes, paths, addresses.

Each takes what the YAML reader gives, or the text that a variable gave, and raises ValueError with
words for the operator. Bounds are said as they are written in the file.
"""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationInfo

from collector.config.quantities import format_duration, format_size, parse_duration, parse_size

_SOCKET_MAX_BYTES: Final = 107
_TOPIC_MAX_BYTES: Final = 65_535
TABLE: Final = re.compile(r"[A-Za-z0-9_]{1,255}(\.[A-Za-z0-9_]{1,255}){2}", re.ASCII)


def text(value: Any) -> Any:
    """Text that is not empty; a number or a boolean must be quoted to be text."""
    if _is_number(value) or value is True or value is False:
        raise ValueError("must be text: put it in quotes")
    if value == "":
        raise ValueError("is empty")
    if isinstance(value, str) and "\0" in value:
        raise ValueError("holds a NUL character")
    return value


def whole(value: Any) -> Any:
    """A whole number, or the text of one."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value, re.ASCII):
        return int(value)
    if isinstance(value, float) or not _is_number(value):
        raise ValueError("must be a whole number")
    return value


def version(value: Any) -> Any:
    """`5` reads as a number and `3.1.1` as text; both name a protocol."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def duration(minimum: str, maximum: str) -> Any:
    """A key that holds a duration: seconds, within the bounds."""
    low, high = parse_duration(minimum), parse_duration(maximum)

    def check(value: Any) -> float:
        if not (isinstance(value, str) or _is_number(value)):
            raise ValueError("must be a duration such as 100ms, 1.5s or 7d")
        seconds = parse_duration(str(value))
        if not low <= seconds <= high:
            bounds = f"{format_duration(low)} and {format_duration(high)}"
            raise ValueError(f"must lie between {bounds}")
        return seconds

    return BeforeValidator(check)


def size(minimum: str, maximum: str) -> Any:
    """A key that holds a size: bytes, within the bounds."""
    low, high = parse_size(minimum), parse_size(maximum)

    def check(value: Any) -> int:
        if not (isinstance(value, str) or _is_number(value)):
            raise ValueError("must be a size such as 64KiB, 4MB or 2GiB")
        count = parse_size(str(value))
        if not low <= count <= high:
            raise ValueError(f"must lie between {format_size(low)} and {format_size(high)}")
        return count

    return BeforeValidator(check)


def duration_or_off(minimum: str, maximum: str) -> Any:
    """The same, or `off`, which is 0."""
    check = duration(minimum, maximum).func
    return BeforeValidator(lambda value: 0.0 if value == "off" else check(value))


def percent(minimum: int, maximum: int) -> Any:
    """A key that holds a percentage, such as `50 %`; a part of one, within the bounds."""

    def check(value: Any) -> float:
        match = re.fullmatch(r"\s*([0-9]{1,3})\s*%\s*", value) if isinstance(value, str) else None
        if match is None:
            raise ValueError("must be a percentage such as 50 %")
        if not minimum <= int(match[1]) <= maximum:
            raise ValueError(f"must lie between {minimum} % and {maximum} %")
        return int(match[1]) / 100

    return BeforeValidator(check)


def is_loopback(host: str) -> bool:
    """Whether what is sent to this host never leaves the box."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in {"localhost", "ip6-localhost"}


def is_every(host: str) -> bool:
    """Whether this is no address of its own but stands for all that this box has."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def split_url(url: str, schemes: tuple[str, ...]) -> SplitResult:
    """The parts of an address that names a host; raises ValueError without quoting the address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("is no valid address: see host and port") from error
    if parts.scheme not in schemes or not url.lower().startswith(f"{parts.scheme}://"):
        raise ValueError(f"must start with {', '.join(f'{name}://' for name in schemes)}")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password: they have keys of their own")
    if not parts.hostname or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise ValueError("names no host")
    if port == 0:
        raise ValueError("names port 0")
    return parts


def split_listen(text: str) -> tuple[str, int]:
    """The host and the port of `HOST:PORT`; an IPv6 address stands in brackets."""
    try:
        parts = split_url(f"tcp://{text}", ("tcp",))
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if not parts.hostname or not parts.port or parts.path or parts.query or parts.fragment:
        raise ValueError("must be HOST:PORT, unix:PATH or off")
    return parts.hostname, parts.port


def _is_number(value: Any) -> bool:
    """A boolean is an int to Python, but to nobody who writes a file."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _path(value: Path, info: ValidationInfo) -> Path:
    return _folder(info) / value.expanduser()


def _existing(value: Path, info: ValidationInfo) -> Path:
    path = _path(value, info)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _folder(info: ValidationInfo) -> Path:
    return Path((info.context or {}).get("folder", ""))


def _schema_folder(value: Any, info: ValidationInfo) -> Any:
    if not info.context:
        return value
    tables = _folder(info) / "tables"
    folder = tables / str(text(value))
    if not folder.resolve().is_relative_to(tables.resolve()):
        raise ValueError("must name a folder under tables/")
    return folder


def _listen(value: str, info: ValidationInfo) -> str:
    if value.startswith("unix:") and value != "unix:":
        path = _path(Path(value[5:]), info)
        if len(os.fsencode(path)) > _SOCKET_MAX_BYTES:
            raise ValueError(f"{path} is too long: a socket's path has at most 107 bytes")
        return f"unix:{path}"
    if value != "off":
        split_listen(value)
    return value


def _address(value: str) -> str:
    try:
        split_listen(value)
    except ValueError:
        raise ValueError("must be HOST:PORT") from None
    return value


def _bearer(value: SecretStr) -> SecretStr:
    """Refuse what could not stand in a header of HTTP as it is."""
    if not re.fullmatch(r"[!-~]+", value.get_secret_value()):
        raise ValueError("must be ASCII without spaces: it stands in a header of HTTP")
    return value


def _status_topic(value: str) -> str:
    if len(value.encode()) > _TOPIC_MAX_BYTES:
        raise ValueError("must have at most 65,535 bytes, as a topic of MQTT")
    if set(value) & set("+#{}") or value.startswith("$"):
        raise ValueError("must be a topic: of {gateway} and words, without + and #")
    return value


def _origin(value: str) -> str:
    url = value if "://" in value else f"https://{value}"
    parts = split_url(url, ("https", "http"))
    if parts.path.rstrip("/") or parts.query or parts.fragment:
        raise ValueError("must name a host only, without a path")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("must be https: http is allowed for this box itself only")
    return f"{parts.scheme}://{parts.netloc}"


def _table(value: str) -> str:
    if not TABLE.fullmatch(value):
        raise ValueError(
            "must be catalog.schema.table, each of ASCII letters, digits and underscores"
        )
    return value


def _topics(value: Any) -> Any:
    topics = [value] if isinstance(value, str) else value
    if not isinstance(topics, list | tuple) or not topics:
        raise ValueError("must be a topic filter or a list of them")
    if doubles := {topic for topic in topics if topics.count(topic) > 1}:
        raise ValueError(f"holds {min(map(str, doubles))!r} twice")
    return tuple(topics)


Text = Annotated[str, BeforeValidator(text)]
Secret = Annotated[SecretStr, BeforeValidator(text)]
Bearer = Annotated[SecretStr, BeforeValidator(text), AfterValidator(_bearer)]
Whole = Annotated[int, BeforeValidator(whole)]
FilePath = Annotated[Path, BeforeValidator(text), AfterValidator(_path)]
ExistingFile = Annotated[Path, BeforeValidator(text), AfterValidator(_existing)]
SchemaFolder = Annotated[Path, BeforeValidator(_schema_folder)]
Origin = Annotated[Text, AfterValidator(_origin)]
Address = Annotated[str, BeforeValidator(text), AfterValidator(_address)]
Listen = Annotated[str, BeforeValidator(text), AfterValidator(_listen)]
StatusTopic = Annotated[str, BeforeValidator(text), AfterValidator(_status_topic)]
TableName = Annotated[Text, AfterValidator(_table)]
Topics = Annotated[tuple[Text, ...], BeforeValidator(_topics)]
