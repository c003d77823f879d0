"""Results for the terminal."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

_STYLES = {"stretch": "green", "must": "yellow", "missed": "red"}
_MARKS = {"stretch": "++", "must": "+", "missed": "-"}


def tables_of(report: dict[str, Any]) -> Iterator[Table]:
    for shape in report["datasets"]:
        speeds = [one for one in report["speeds"] if one["data"] == shape["name"]]
        if speeds:
            yield _speeds(shape["name"], speeds)
    if report["figures"]:
        yield _figures(report["figures"])
    yield _targets(report)


def _speeds(name: str, speeds: list[dict[str, Any]]) -> Table:
    title = f"{name}: thousand rows per second, and how many times as fast leyden is"
    table = Table(title=title, caption="* measured by a part of an epoch", show_lines=True)
    table.add_column("")
    for one in speeds:
        facts = f"batch {one['batch_size']}\n{one['num_workers']} workers"
        table.add_column(f"{one['order']}\n{facts}", justify="right")
    for contestant in dict.fromkeys(name for one in speeds for name in one["rows_per_second"]):
        table.add_row(contestant, *(_speed(one, contestant) for one in speeds))
    return table


def _speed(one: dict[str, Any], name: str) -> Text:
    if name not in one["rows_per_second"]:
        return Text()
    speed = one["rows_per_second"][name] / 1e3
    star = "*" if name in one["parts_of_an_epoch"] else ""
    text = Text(f"{speed:,.0f}{star}" if speed >= 100 else f"{speed:.1f}{star}")
    ratio = one["ratios"]["leyden"].get(name)
    if ratio is not None:
        reached = one["targets"].get(name, {}).get("target", "")
        style, mark = _STYLES.get(reached, ""), _MARKS.get(reached, "")
        text.append(f"\nx {ratio:.2f} {mark}".rstrip(), style=style)
    return text


def _figures(figures: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="further figures")
    for column in ("figure", "data", "what", "measured"):
        table.add_column(column, justify="right" if column == "measured" else "left")
    for topic, by_data in figures.items():
        for data, found in by_data.items():
            for what, value in _flat(found):
                table.add_row(topic, data, what, str(value))
    return table


def _flat(found: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for what, value in found.items():
        if not isinstance(value, dict):
            yield what, value
        elif "target" in value:
            yield what, value["measured"]
        else:
            yield from ((f"{what}: {name}", each) for name, each in value.items())


def _targets(report: dict[str, Any]) -> Table:
    table = Table(title="targets: ++ stretch, + must, - missed")
    for column in ("figure", "measured", "bound", "must", "stretch", "reached"):
        table.add_column(column, justify="left" if column in {"figure", "bound"} else "right")
    for figure, judged in targets_of(report):
        reached = judged["target"]
        bounds = (judged["bound"], f"{judged['must']:g}", f"{judged['stretch']:g}")
        mark = Text(f"{reached} {_MARKS[reached]}", style=_STYLES[reached])
        table.add_row(figure, f"{judged['measured']:g}", *bounds, mark)
    return table


def targets_of(report: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """List all targets of a report: what is measured, and how it was judged."""
    for one in report["speeds"]:
        for peer, judged in one["targets"].items():
            yield f"{one['data']}, batch {one['batch_size']}, times {peer}", judged
    for topic, by_data in report["figures"].items():
        for data, found in by_data.items():
            for what, value in found.items():
                if isinstance(value, dict) and "target" in value:
                    yield f"{topic}, {data}, {what.replace('_', ' ')}", value
