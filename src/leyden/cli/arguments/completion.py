"""What ``leyden completion`` takes."""

from leyden.cli.command import Commands, add_command

__all__ = ["SHELLS", "add_completion"]

SHELLS = ("bash", "zsh", "fish")
"""For which there are scripts."""

_DESCRIPTION = """Print a script that makes a shell complete commands, options, and for `leyden
train` the keys and options of the configuration. It is made once and needs no Python to be used."""

_EPILOG = """examples:
  leyden completion bash > ~/.local/share/bash-completion/completions/leyden
  leyden completion fish > ~/.config/fish/completions/leyden.fish
  leyden completion zsh > ~/.leyden-completion && echo 'source ~/.leyden-completion' >> ~/.zshrc

For `python train.py`, Hydra completes: eval "$(python train.py -sc install=bash)".
"""


def add_completion(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "completion",
        "leyden.cli.completion:run_completion",
        summary="print a script that completes what is typed in a shell",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
