"""The configuration, the tables, who may read the secrets, and whether the daemon runs."""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from collector import status
from collector.config import Config
from collector.config.environment import find_credential
from collector.config.loading import SECRETS
from collector.doctor.facts import Facts
from collector.doctor.findings import Check, Finding, error, ok, warning
from collector.errors import CollectorError, ConfigError, Problem
from collector.plan import load_with_schemas, plan
from collector.samples import Samples


def checks(facts: Facts) -> Iterator[Check]:
    """The checks of what stands in files."""
    yield Check("configuration", lambda: _configuration(facts))
    yield Check("tables and stations", lambda: _stations(facts), ("configuration",))
    yield Check("secrets", lambda: _secrets(facts.config), ("configuration",))
    yield Check("daemon", lambda: _daemon(facts.config), ("configuration",))


def _configuration(facts: Facts) -> Iterator[Finding]:
    try:
        facts.config = config = load_with_schemas(facts.file)
    except ConfigError as wrong:
        yield from _problems(wrong.problems)
        return
    yield ok(f"{facts.file}: {len(config.stations)} stations, gateway {config.gateway}")
    for text in config.warnings:
        what, _, fix = text.partition("; ")
        yield warning(what, fix or f"Change it in {facts.file}.")


def _stations(facts: Facts) -> Iterator[Finding]:
    try:
        facts.plan = compiled = plan(facts.config)
    except ConfigError as wrong:
        yield from _problems(wrong.problems)
        return
    except CollectorError as why:
        yield error(str(why.args[0]), why.hint or "Look at what `collector check` says.")
        return
    samples = Samples(compiled)
    samples.run()
    yield from _problems(samples.problems)
    if not samples.problems:
        yield ok(f"{len(facts.tables)} tables, {samples.checked} samples as expected")


def _problems(problems: Iterable[Problem]) -> Iterator[Finding]:
    for one in problems:
        key = f"{one.key}: " if one.key else ""
        fix = f"{one.hint[:1].upper()}{one.hint[1:]}" if one.hint else "Correct this line"
        end = "" if fix.endswith((".", "?")) else "."
        yield error(f"{one.file}:{one.line}: {key}{one.text}", fix + end)


def _secrets(config: Config) -> Iterator[Finding]:
    found = [path for path in _secret_files(config) if path.is_file()]
    open_ones = [path for path in found if path.stat().st_mode & stat.S_IRWXO]
    for path in open_ones:
        yield warning(
            f"{path} holds a secret and every user of this box may read it",
            "Take the others' rights away.",
            (f"chmod o-rwx {path}",),
        )
    if not open_ones:
        yield ok(f"{len(found)} files, none of them open to every user")


def _secret_files(config: Config) -> Iterator[Path]:
    folder = config.path.absolute().parent
    yield folder / ".env"
    named = (
        config.mqtt.password_file,
        config.mqtt.key_file,
        config.zerobus.client_secret_file,
        config.metrics.token_file,
        *((config.http.token_file, config.http.key_file) if config.http else ()),
    )
    yield from (path for path in named if path is not None)
    found = (find_credential(name, os.environ, folder) for _, _, name in SECRETS)
    yield from (path for path in found if path is not None)
    if _is_written_in(config):
        yield config.path


def _is_written_in(config: Config) -> bool:
    """Whether a secret stands in the configuration itself; the emulator's is none."""
    secrets = [config.mqtt.password, config.metrics.token]
    secrets += [config.http.token] if config.http else []
    if config.zerobus.workspace_url.startswith("https://"):
        secrets.append(config.zerobus.client_secret)
    text = config.path.read_text(errors="replace")
    return any(one is not None and one.get_secret_value() in text for one in secrets)


def _daemon(config: Config) -> Iterator[Finding]:
    try:
        snapshot = status.read(config.runtime_dir)
    except status.NotRunningError:
        yield ok("not running")
    except CollectorError as unreadable:
        yield warning(str(unreadable.args[0]), unreadable.hint)
    else:
        health, _ = status.health(snapshot)
        yield ok(f"process {snapshot['pid']} runs and is {health}: it is not disturbed")
