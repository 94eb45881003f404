"""The `mqtt` section of what is written: that of the configuration that was used, or an address.

A secret is never copied: a reference to a variable stays one, anything else is left out and said.
"""

import os
import re
from pathlib import Path
from typing import Any, Final

from collector.config.document import read
from collector.discover import yaml_text

_PATHS: Final = frozenset({"ca_file", "cert_file", "key_file", "password_file"})
_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}")
_CLIENT_ID: Final = (
    "# A second collector on this box needs a name of its own: the broker knows clients by it.",
    "# client_id: {name}",
)


def lines(config: Path | None, url: str, *, is_given: bool) -> list[str]:
    """The lines of the section; `is_given` says that the address is not that of the file."""
    said: dict[str, Any] = {}
    if config is not None:
        values = read(config, lambda text: text).values
        section = values.get("mqtt") if isinstance(values, dict) else None
        said = dict(section) if isinstance(section, dict) else {}
    raw = str(said.pop("url", ""))
    address = url if is_given or not raw or not _is_set(raw) else raw
    if config is None:
        address = f"${{MQTT_URL:-{url}}}"
    found = [f"url: {address if _REFERENCE.search(address) else yaml_text.literal(address)}"]
    own = said.pop("client_id", None)
    if config is not None:
        name = f"{own}-discovered" if own else "discovered"
        found += [line.format(name=name) for line in _CLIENT_ID]
    for key, value in said.items():
        found += _line(config, key, value)
    return found


def _line(config: Path | None, key: str, value: Any) -> list[str]:
    text = str(value)
    if key == "password" and not (_REFERENCE.fullmatch(text) and _is_set(text)):
        return [f"# password: that of {config} is not copied; docs/configuration.md says where"]
    if _REFERENCE.search(text):
        kept = f"{key}: {text}" if _is_set(text) else f"# {key}: {text} is not set here"
        return [kept]
    if key in _PATHS and config is not None:
        text = str(config.absolute().parent / Path(text).expanduser())
    return [f"{key}: {yaml_text.quoted(text)}" if isinstance(value, str) else f"{key}: {text}"]


def _is_set(text: str) -> bool:
    """Whether each variable in a text has a value or a default where `check` will be run."""
    return all(match[2] or os.environ.get(match[1]) for match in _REFERENCE.finditer(text))
