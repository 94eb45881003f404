"""`collector completion`: what a shell needs to complete commands, tables and stations."""

import click
from click.shell_completion import get_completion_class

from collector.commands import COMPLETE_VARIABLE


@click.command(
    short_help="Complete commands and names in a shell.", epilog="Exit codes: 0 done, 2 usage."
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script by which a shell completes commands, options, tables and stations.

    \b
    Where each shell looks for it:
      bash  ~/.local/share/bash-completion/completions/collector
            or, for everyone, /etc/bash_completion.d/collector
      zsh   a file _collector in a folder of $fpath, before compinit runs
      fish  ~/.config/fish/completions/collector.fish

    Names of tables and stations come from stations.yaml (-c or COLLECTOR_CONFIG) and its spool, or
    from that of --file.

    Example: collector completion bash > /etc/bash_completion.d/collector
    """  # noqa: D301 - click wants the control character before what it is not to wrap.
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - click knows these three.
    script = found(ctx.find_root().command, {}, "collector", COMPLETE_VARIABLE)
    click.echo(script.source())
