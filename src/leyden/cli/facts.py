"""What a command has to say, a fact to a line."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

__all__ = ["print_facts"]


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print topics and what is said of them, below each other; paths stay in one piece.

    Args:
        facts: Topic and text of each line.
    """
    lines, console = list(facts), Console(highlight=False)
    width = max((len(topic) for topic, _ in lines), default=0) + 2
    for topic, text in lines:
        console.print(Text.assemble((topic.ljust(width), "bold"), str(text)), soft_wrap=True)
