"""Pictures of learning: one curve an arm, of its first seed, as the rows keep it."""

from collections.abc import Callable, Mapping

from karussell.landmarks.landmark import Picture, Rows


def learning(
    title: str, x_label: str, arms: Mapping[str, str], *, log: bool = False, percent: bool = False
) -> Callable[[Rows, bool], list[Picture]]:
    """Draw the curves of some arms, named in the legend by what `arms` maps them to; nothing where none was run."""

    def draw(rows: Rows, smoke: bool) -> list[Picture]:  # noqa: ARG001 - there is nothing to run
        found = [(short, min(rows[arm], key=lambda row: row.seed)) for arm, short in arms.items() if rows.get(arm)]
        drawn = [
            (short, [x for x, _ in row.curve], [y for _, y in row.curve]) for short, row in found if len(row.curve) > 1
        ]
        if not drawn:
            return []
        seeds = sorted({row.seed for _, row in found})
        caption = f"One run an arm, of seed {' or '.join(map(str, seeds))}."
        return [Picture(title, x_label, drawn, caption, log=log, percent=percent)]

    return draw
