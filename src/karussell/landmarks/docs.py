"""docs/landmarks.md and the result parts of the READMEs, made from the committed result files and nothing else."""

import re
from collections.abc import Sequence

from karussell.landmarks.fresh import stored
from karussell.landmarks.result import STATES, Result, count, figure, number
from karussell.landmarks.statistics import mean
from karussell.landmarks.table import COLUMNS, lines, sections, seeds

INTRO = """# Landmarks

Published results of gated recurrent nets, run again on this machine. This page is made from the files
`src/karussell/landmarks/*/result.json` by `python -m karussell.landmarks docs`;
[the gallery](landmarks_gallery.html) shows the same with pictures.

```sh
karussell landmarks                       # the table
karussell landmarks --json                # the same as data
karussell landmarks run temporal_order    # one of them again, seed by seed; a run that was stopped goes on
karussell landmarks run adding --seeds 2 --budget 10
karussell landmarks run adding --smoke    # only that it runs
```

- Tasks, sizes and criteria are the published ones. Where a criterion is too strict for the time at hand, a looser one
  stands beside it, and both are printed.
- Every figure is over all seeds that were run: mean, spread, range, successes; never the best alone.
- Every landmark has a control that must fail.
- "literal" is the learning rule of the papers of 1997 to 2002, in C++: real-time recurrent learning inside the cell,
  error truncated at the gates, online updates. "Adam" is the library's layer with exact gradients.
- A claim is checked once its arms have five seeds. replicates: all claims hold; partly: some do, those on controls not
  counted; does not: none does; not run: the program is complete, but too few runs were made to check a claim.
- A run writes `runs/landmarks/NAME/`: `rows.jsonl`, `result.json`, `page.html`, and prints whether it agrees with the
  committed result: Welch's test on means and Fisher's on successes, p > 0.01.
- Seconds and minutes are one core's processor time; some earlier rows have the clock's, beside other work, which is
  longer.
"""
BEGIN, END = "<!-- made from result.json -->", "<!-- end -->"


def page(found: Sequence[Result]) -> str:
    """The whole page."""
    parts = [INTRO, *_table(COLUMNS, [tuple(map(_cell, row)) for row in lines(found)]), "", *_fresh()]
    for result in found:
        said = sections(result.name)
        parts += [f"## {result.head['title']}", "", result.head["claim"], "", *result_part(result), ""]
        for head in ("Deviations", "Open"):
            if said.get(head):
                parts += [f"**{head}.** {said[head]}", ""]
    return "\n".join(parts).rstrip() + "\n"


def result_part(result: Result) -> list[str]:
    """Published and own figures of every arm, and the claims."""
    head = result.head
    lines = [
        f"{head['paper']}.",
        "",
        f"Published: {head['published']}.",
        "",
        f"Strict criterion: {head['strict']}." + (f" Looser criterion: {head['reached']}." if head["reached"] else ""),
        "",
        f"State: **{STATES[result.state]}**. Figure: {head['figure']}, mean ± standard deviation (range) over the "
        "seeds that have one.",
        "",
    ]
    rows = []
    for arm in result.arms:
        mine = result.rows[arm["name"]]
        ran = [row.seconds for row in mine]
        rows.append(
            (
                arm["name"], arm["role"], arm["published"] or "–", figure(mine), count(mine),
                count(mine, loosely=True), seeds(mine), f"{mean(ran):.0f}" if ran else "–",
            )
        )  # fmt: skip
    lines += _table(("arm", "role", "published", "ours", "strict", "looser", "seeds", "s a run"),
                    [tuple(map(_cell, row)) for row in rows])  # fmt: skip
    extra = _measures(result)
    if extra:
        lines += ["", *_table(("arm", "measure", "mean over seeds"), extra)]
    for table in result.tables:
        lines += ["", f"{table.title}. {table.caption}".strip(), ""]
        lines += _table(tuple(table.head), [tuple(map(_cell, row)) for row in table.lines])
    lines += ["", *(f"- {_mark(holds)} {text}" for text, holds, _ in result.claims)]
    return lines


def readme(text: str, result: Result) -> str:
    """A README with its result part made anew."""
    made = "\n".join([BEGIN, *result_part(result), "", _time(result), END])
    if BEGIN not in text:
        raise ValueError(f"{result.name}: its README has no part between {BEGIN} and {END}")
    return re.sub(re.escape(BEGIN) + r".*?" + re.escape(END), lambda _: made, text, flags=re.DOTALL)


def _fresh() -> list[str]:
    found = stored()
    if not found:
        return []
    agree = sum(entry["agrees"] for entry in found)
    said = [
        "## Fresh seeds",
        "",
        f"{agree} of {len(found)} arms, run again with other seeds, agree with the committed result "
        "(Welch's test on means, Fisher's on successes, p > 0.01):",
        "",
        "```sh",
        "karussell landmarks run NAME --arms ARM ... --first 100 --out runs/fresh/NAME",
        "python -m karussell.landmarks fresh runs/fresh",
        "```",
        "",
    ]
    keys = ("landmark", "arm", "committed", "fresh", "seeds", "welch", "fisher")
    head = (*keys[:5], "Welch p", "Fisher p", "agrees")
    rows = [(*(_cell(str(entry[k])) for k in keys), "yes" if entry["agrees"] else "**no**") for entry in found]
    return [*said, *_table(head, rows), ""]


def _time(result: Result) -> str:
    if not result.minutes:
        return "No run has been made."
    machine = result.machine
    return (
        f"{result.minutes:.1f} minutes for all runs, one after the other, on one thread of {machine['cpu']} that "
        f"others used as well (torch {machine['torch']})."
    )


def _measures(result: Result) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for arm in result.arms:
        mine = result.rows[arm["name"]]
        for name in dict.fromkeys(key for row in mine for key in row.measures):
            values = [row.measures[name] for row in mine if row.measures.get(name) is not None]
            if values:
                some = "" if len(values) == len(mine) else f" ({len(values)} of {len(mine)} seeds)"
                found.append(
                    (_cell(arm["name"]), _cell(name), number(mean([float(v) for v in values if v is not None])) + some)
                )
    return found


def _mark(holds: bool | None) -> str:
    return "not checked:" if holds is None else "holds:" if holds else "**does not hold:**"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("^", "\\^").replace("\n", " ")
