"""``leyden completion``: a script with which a shell completes what is typed."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from leyden.cli.command import Commands
from leyden.cli.main import make_parser
from leyden.cli.options import TRAIN_OPTIONS
from leyden.config import conf_dir, group_options, known_keys

__all__ = ["Shell", "completion_script", "run_completion"]

Shell: TypeAlias = Literal["bash", "zsh", "fish"]
"""Shells for which there are scripts."""

_BASH = """# Completion of leyden; made by `leyden completion`.
_leyden() {
    local line="${COMP_LINE:0:$COMP_POINT}" words="" kept=""
    local current="${line##* }" command="${COMP_WORDS[1]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
    if [ "$COMP_CWORD" -le 1 ]; then
        words="@COMMANDS@"
    else
        case "$command $previous" in
@VALUES@
            *) case "$command $current" in
@WORDS@
            esac ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    case "$COMP_WORDBREAKS" in *=*)  # what is behind the last of these signs is replaced
        kept="${current%"${current##*=}"}"
        COMPREPLY=("${COMPREPLY[@]#"$kept"}") ;;
    esac
    case "${COMPREPLY[*]}" in *=) compopt -o nospace 2>/dev/null ;; esac
}
complete -o bashdefault -o default -F _leyden leyden
"""
_ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


@dataclass(frozen=True, slots=True)
class _Command:
    """What can be typed after a command.

    Args:
        summary: A few words about it.
        options: With two dashes, and what they are for.
        values: What an option may be followed by, ``()`` for anything; flags are not among them.
        words: What else can be typed, besides files and folders.
    """

    summary: str
    options: Mapping[str, str]
    values: Mapping[str, Sequence[str]]
    words: Sequence[str]


def run_completion(arguments: argparse.Namespace) -> int:
    """Print the script for the shell that the command line names.

    Args:
        arguments: What ``add_completion`` made of it.

    Returns:
        The exit code: 0.
    """
    print(completion_script(make_parser()[1], arguments.shell), end="")
    return 0


def completion_script(commands: Commands, shell: Shell) -> str:
    """Write what a shell is to know.

    Args:
        commands: Those of ``leyden``.
        shell: Which shell.
    """
    described = {name: _describe(parser) for name, parser in commands.choices.items()}
    known = described | {"train": _describe_training(described["train"].summary)}
    if shell == "fish":
        return "".join(_fish_lines(known))
    return (_ZSH if shell == "zsh" else "") + _bash(known)


def _describe(parser: argparse.ArgumentParser) -> _Command:
    options, values, words = {}, {}, []
    for action in parser._actions:  # noqa: SLF001 - there is no other way to list them
        choices = [] if action.choices is None else [str(one) for one in action.choices]
        for name in (one for one in action.option_strings if one.startswith("--")):
            options[name] = action.help or ""
            if action.nargs != 0:
                values[name] = choices
        if not action.option_strings:
            words += choices
    return _Command(str(parser.get_default("summary")), options, values, words)


def _describe_training(summary: str) -> _Command:
    choices = [f"{group}={one}" for group, names in group_options().items() for one in names]
    keys = [f"{key}=" for key in known_keys(conf_dir(), "train") if not key.startswith("hydra")]
    options = dict.fromkeys(TRAIN_OPTIONS, "")
    values = {name: taken for name, taken in TRAIN_OPTIONS.items() if taken is not None}
    return _Command(summary, options, values, [*choices, *keys])


def _bash(known: Mapping[str, _Command]) -> str:
    values, words = [], []
    for name, command in known.items():
        for option, choices in command.values.items():
            values.append(f'            "{name} {option}") words="{" ".join(choices)}" ;;')
        words.append(f'                "{name} -"*) words="{" ".join(command.options)}" ;;')
        if command.words:
            words.append(f'                "{name} "*) words="{" ".join(command.words)}" ;;')
    script = _BASH.replace("@COMMANDS@", " ".join([*known, "--help", "--version"]))
    return script.replace("@VALUES@", "\n".join(values)).replace("@WORDS@", "\n".join(words))


def _fish_lines(known: Mapping[str, _Command]) -> Iterator[str]:
    yield "# Completion of leyden; made by `leyden completion`.\n"
    for name, command in known.items():
        start = f"complete -c leyden -f -n __fish_use_subcommand -a {name}"
        yield f"{start} -d {_quoted(command.summary)}\n"
    for name, command in known.items():
        start = f"complete -c leyden -n '__fish_seen_subcommand_from {name}'"
        for option, help_text in command.options.items():
            choices = command.values.get(option)
            takes = "" if choices is None else " -r"
            offered = f" -f -a {_quoted(' '.join(choices))}" if choices else ""
            yield f"{start} -l {option[2:]}{takes}{offered} -d {_quoted(help_text)}\n"
        if command.words:
            yield f"{start} -f -a {_quoted(' '.join(command.words))}\n"


def _quoted(text: str) -> str:
    escaped = " ".join(text.replace("%%", "%").split()).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
