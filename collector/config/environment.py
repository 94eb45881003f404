"""Where values come from that are not in the file: variables, `.env`, secrets, this box.

The environment outranks `.env`. No error quotes a value: any of them may be a secret.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from collector.errors import Problem

SECRET_MAX_BYTES: Final = 64 * 1024
INSTALLED: Final = Path("/etc/collector")
"""Where the files of `systemd/collector.service` and of its instances are."""

_REFERENCE = re.compile(r"(\$?)\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}|)")
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_SINGLE_QUOTED = re.compile(r"'([^']*)'\s*(?:#.*)?")
_DOUBLE_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `${NAME}` and `${NAME:-default}`; `$${` stands for the text `${`.

    An empty variable takes the default, as in a shell. Raises ValueError when a variable is
    neither set nor has a default.
    """

    def replace(match: re.Match[str]) -> str:
        escape, name, has_default, default = match.groups()
        if escape:
            return match[0][1:]
        if name is None:
            raise ValueError("`${` must be followed by NAME} or NAME:-default} (write $${ for ${)")
        if value := variables.get(name):
            return value
        if has_default:
            return str(default)
        if name in variables:
            return ""
        raise ValueError(f"the variable {name} is not set in the environment nor in .env")

    return _REFERENCE.sub(replace, text)


def read_dotenv(file: Path) -> tuple[dict[str, str], list[Problem]]:
    """The variables of a `.env` file, which need not exist, and the lines that are none."""
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError):
        return {}, [Problem(file, 1, "can't be read as UTF-8 text")]
    variables: dict[str, str] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line.strip())
        value = _unquote(match[2]) if match else None
        if match is None:
            problems.append(Problem(file, number, "is not of the form NAME=VALUE"))
        elif value is None:
            problems.append(Problem(file, number, "has a quote that is not closed", match[1]))
        else:
            variables[match[1]] = value
    return variables, problems


def read_secret(file: Path) -> str:
    """The content of a secret's file without its last line end; raises ValueError."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(SECRET_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{file} can't be read: {error.strerror or error}") from error
    if len(raw) > SECRET_MAX_BYTES:
        raise ValueError(f"{file} is larger than 64 KiB: that is no secret")
    try:
        text = raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        # The exception holds the bytes: it must not travel along as the cause.
        raise ValueError(f"{file} is not UTF-8 text") from None
    if not text:
        raise ValueError(f"{file} is empty")
    return text


def find_credential(name: str, variables: Mapping[str, str], folder: Path) -> Path | None:
    """The file that is a credential: handed on by systemd, or in `credentials/` of a folder.

    The second is for commands by hand: those files are root's, whom systemd's daemon is not. The
    unit sets a line end where there is no file, so that it starts without; that is none.
    """
    handed_on = variables.get("CREDENTIALS_DIRECTORY")
    place = Path(handed_on) if handed_on else folder / "credentials"
    return place / name if _has_content(place / name) else None


def instance_of(folder: Path) -> str:
    """The instance of `collector@.service` whose files are in this folder, or nothing."""
    place = Path(os.path.normpath(folder))
    return place.name if place.parent == INSTALLED else ""


def spool_file(variables: Mapping[str, str], folder: Path) -> str:
    """Where the spool is when the file of a folder does not say it."""
    unit = _unit_of(folder)
    state = _first(variables, "STATE_DIRECTORY") or (f"/var/lib/{unit}" if unit else "state")
    return f"{state}/spool.db"


def runtime_folder(variables: Mapping[str, str], folder: Path) -> str:
    """Where the status file is, or nothing: then it is beside the spool."""
    unit = _unit_of(folder)
    return _first(variables, "RUNTIME_DIRECTORY") or (f"/run/{unit}" if unit else "")


def box_name(host: str, machine_id: Path) -> str | None:
    """Host name and six hex digits of the machine id; None when the box has no machine id.

    Every Raspberry Pi is called `raspberrypi`. The id is hashed because it is confidential.
    """
    try:
        identity = machine_id.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    if not re.fullmatch(r"[0-9a-fA-F]{32}", identity):
        return None
    return f"{host}-{hashlib.sha256(identity.encode()).hexdigest()[:6]}"


def _first(variables: Mapping[str, str], name: str) -> str:
    """The first folder that systemd made for the service, by the variable it set."""
    return variables.get(name, "").split(":")[0]


def _unit_of(folder: Path) -> str:
    """What systemd names the folders of a unit by: a command has no variable that says it."""
    if Path(os.path.normpath(folder)) == INSTALLED:
        return INSTALLED.name
    instance = instance_of(folder)
    return f"{INSTALLED.name}-{instance}" if instance else ""


def _has_content(file: Path) -> bool:
    """Whether there is more in a file than a line end; one that can't be read is taken for one."""
    try:
        with file.open("rb") as stream:
            return bool(stream.read(3).strip(b"\r\n"))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _unquote(text: str) -> str | None:
    if text.startswith("'"):
        match = _SINGLE_QUOTED.fullmatch(text)
        return match[1] if match else None
    if text.startswith('"'):
        match = _DOUBLE_QUOTED.fullmatch(text)
        unescape = lambda found: _ESCAPES.get(found[1], found[1])  # noqa: E731
        return re.sub(r"\\(.)", unescape, match[1]) if match else None
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].rstrip()
