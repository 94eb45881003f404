"""Which broker a command that listens connects to."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collector.config import Config, Mqtt

DEFAULT_URL: Final = "mqtt://localhost:1883"


def broker_of(config: "Config | None", url: str | None) -> "Mqtt":
    """The `mqtt` section that is used: that of the file, with the given address if there is one.

    Raises:
        click.UsageError: the address is none, or there is none at all.
    """
    from pydantic import ValidationError

    from collector.config import Mqtt

    if config is not None and url is None:
        if not config.mqtt.url:
            raise click.UsageError(f"{config.path} names no broker: give one with --url.")
        return config.mqtt
    try:
        fresh = Mqtt.model_validate({"url": url or DEFAULT_URL, "client_id": "unused"})
    except ValidationError as error:
        raise click.UsageError(f"--url {error.errors()[0]['ctx']['error']}") from error
    return fresh if config is None else config.mqtt.model_copy(update={"url": fresh.url})


def is_given(ctx: click.Context, name: str) -> bool:
    """Whether an option was given by a person, or by the environment."""
    source = ctx.get_parameter_source(name)
    return source not in (None, click.core.ParameterSource.DEFAULT)


def read_if_there(ctx: click.Context, file: Path) -> "Config | None":
    """The configuration; None when it is the usual one, and is not there."""
    from collector.config import load

    return load(file) if file.exists() or is_given(ctx, "config") else None
