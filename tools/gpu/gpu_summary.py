"""The tables at the end."""

from collections.abc import Sequence

from gpu_results import Goal
from gpu_stages import Done

MOST = 20  # lines per part
MET = {True: "yes", False: "NO", None: ""}


def summary(done: Sequence[Done]) -> str:
    """The results of the parts, figures compared with the goals, and failures."""
    parts = [
        [each.part.name, each.verdict.state, f"{each.seconds:.0f}", each.verdict.what]
        for each in done
    ]
    goals = [
        [each.part.name, goal.name, goal.required, goal.measured, MET[goal.met]]
        for each in done
        for goal in each.verdict.goals
    ]
    texts = [table(["part", "result", "seconds", "what"], parts)]
    if goals:
        texts.append(table(["part", "goal", "required", "measured", "met"], goals))
    failures = [line for each in done for line in told(each)]
    return "\n\n".join([*texts, *(["\n".join(failures)] if failures else [])])


def told(done: Done) -> list[str]:
    """What failed in a part, the first lines."""
    failures = done.verdict.failures
    lines = [f"- {done.part.name}: {failure}" for failure in failures[:MOST]]
    more = len(failures) - len(lines)
    return [*lines, f"- {done.part.name}: {more} more"] if more else lines


def is_success(done: Sequence[Done]) -> bool:
    """Whether every part has passed, and no goal was missed."""
    goals: list[Goal] = [goal for each in done for goal in each.verdict.goals]
    return all(each.passed for each in done) and not any(goal.met is False for goal in goals)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in lines
    )
