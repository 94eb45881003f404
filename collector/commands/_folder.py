"""Commands that are found by their file, so that starting one imports nothing of the others.

A command is `NAME.py` in the folder, or a folder for a group, and its click command is called
`command` there. Names that begin with an underscore are no commands.
"""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import click


class Folder(click.Group):
    """A group of the commands in one package."""

    package: ModuleType

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature.
        return sorted(
            module.name
            for module in iter_modules(self.package.__path__)
            if not module.name.startswith("_")
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"{self.package.__name__}.{cmd_name}")
        command: click.Command = module.command
        return command


def folder(package: ModuleType) -> type[Folder]:
    """Return the class of a group that finds its commands in this package."""
    return type("_Commands", (Folder,), {"package": package})
