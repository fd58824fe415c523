"""The gallery: one HTML page that stands on its own, with claim, picture, number and control for each landmark."""

import math
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from karussell.landmarks.landmark import Row, Table
from karussell.landmarks.result import STATES, Result, count, figure, number
from karussell.landmarks.table import leading_number, sections
from karussell.report.blocks import figure as captioned
from karussell.report.page import Html, Page, join, text
from karussell.report.plots import Curve, Panel, learning_curves, responsive

LEAD = (
    "A recurrent net reads a sequence step by step. To learn what an early step has to do with a late one, the error "
    "must find its way back, and in a plain net it fades on the way. The LSTM of 1997 keeps it, by cells whose state "
    "stays unless a gate opens. Here is what that made possible, run again: what was claimed, what this machine "
    "measured, and a control that has to fail."
)
CLASSES = {"replicates": "good", "partly": "half", "not": "bad", "not run": "none"}


def gallery(found: Sequence[Result]) -> str:
    """The page of all landmarks."""
    page = Page("The landmarks of gated nets", kicker="Karussell", lead=LEAD, footer=_footer(found))
    tally = {state: sum(result.state == state for result in found) for state in STATES}
    rows = [Html(f'<div class="{CLASSES[s]}"><dt>{text(STATES[s])}</dt><dd>{n}</dd></div>') for s, n in tally.items()]
    page.open_with(Html(f'<dl class="facts tally">\n{join(rows)}\n</dl>'))
    page.open_with(_how_to_read())
    for result in found:
        page.add(result.head["title"], _landmark(result))
    return _styled(page)


def single(result: Result) -> str:
    """The page of one landmark, written beside its result."""
    page = Page(result.head["title"], kicker="Karussell landmarks", lead=result.head["claim"], footer=_footer([result]))
    page.add("Result", _landmark(result))
    return _styled(page)


def _styled(page: Page) -> str:
    css = files("karussell.landmarks").joinpath("gallery.css").read_text(encoding="utf-8")
    return page.html().replace("</style>", f"{css}</style>", 1)


def _how_to_read() -> Html:
    return Html(
        '<p class="lead reading">A dot is one run; runs differ in their seed alone; a hollow dot did not meet '
        "the criterion. A dash on the scale is the published figure. A cross at the end counts runs that have no "
        "figure, because they never met it. A control has to fail; a rival is another method, for comparison. "
        "<b>Literal</b> is the learning rule of the papers of 1997 to 2002, <b>Adam</b> the same nets as one trains "
        "them today.</p>"
    )


def _landmark(result: Result) -> Html:
    head, said = result.head, sections(result.name)
    parts = [
        Html(f'<p class="badge {CLASSES[result.state]}">{text(STATES[result.state])}</p>'),
        Html(f'<p class="claim">{text(head["claim"])}</p>'),
        Html(f'<p class="source">{text(head["year"])} · {text(head["paper"])}</p>'),
    ]
    if said.get("Task"):
        parts.append(Html(f"<p>{text(_plain(said['Task']))}</p>"))
    parts += _strips(result)
    for picture in result.pictures:
        curves = tuple(Curve(name, tuple(x), tuple(y)) for name, x, y in picture.curves)
        panel = Panel("", curves, picture.x_label, picture.percent, picture.log, tuple(picture.levels))
        plot = responsive(lambda width, panel=panel: learning_curves([panel], width), picture.title)  # type: ignore[misc]
        parts.append(captioned(plot, f"{picture.title}. {picture.caption}"))
    parts += [_further(table) for table in result.tables]
    parts.append(_claims(result))
    parts.append(_details(result, said))
    return join(parts)


def _strips(result: Result) -> list[Html]:
    """Runs as dots, a line an arm, the published figure as a dash; a scale for each kind of figure."""
    arms = [arm for arm in result.arms if result.rows[arm["name"]]]
    kinds = dict.fromkeys(arm["figure"] for arm in arms)
    last = next(reversed(kinds), None)
    return [_scaled(result, kind, [arm for arm in arms if arm["figure"] == kind], last=kind == last) for kind in kinds]


def _scaled(result: Result, kind: str, arms: Sequence[Mapping[str, Any]], *, last: bool) -> Html:
    values = [row.value for arm in arms for row in result.rows[arm["name"]] if row.value is not None]
    marks = [p for arm in arms if (p := leading_number(arm["published"])) is not None]
    low, high = min([*values, *marks], default=0.0), max([*values, *marks], default=1.0)
    log = low > 0 and high / low > 15

    def place(value: float) -> float:
        a, b, v = (math.log(low), math.log(high), math.log(value)) if log else (low, high, value)
        return 50.0 if b == a else 100 * (v - a) / (b - a)

    lines = [_strip(arm["name"], arm["role"], arm["published"], result.rows[arm["name"]], place) for arm in arms]
    scale = f"{number(low)} to {number(high)}{', logarithmic' if log else ''}" if values else "no run has a value"
    caption = f"{kind[:1].upper()}{kind[1:]}: {scale}."
    if last:
        caption += f" Criterion: {result.head['strict']}."
    return captioned(Html(f'<div class="strips">\n{join(lines)}\n</div>'), caption)


def _strip(name: str, role: str, published: str, rows: Sequence[Row], place: Callable[[float], float]) -> Html:
    dots = [
        Html(f'<i class="dot{"" if row.strict else " missed"}" style="left:{place(row.value):.2f}%"></i>')
        for row in rows
        if row.value is not None
    ]
    mark = leading_number(published)
    if mark is not None:
        dots.append(Html(f'<i class="dash" style="left:{place(mark):.2f}%"></i>'))
    without = sum(row.value is None for row in rows)
    lost = f'<b class="lost">× {without}</b>' if without else ""
    told = f"{name}: {figure(tuple(rows))}; {count(tuple(rows))} meet the criterion"
    told += f"; published {published}" if published else ""
    return Html(
        f'<div class="strip {role}" role="img" aria-label="{text(told)}"><span class="name">{text(name)}'
        f"{' <em>control</em>' if role == 'control' else ' <em>rival</em>' if role == 'rival' else ''}</span>"
        f'<span class="track">{join(dots, "")}</span>'
        f'<span class="tail">{lost}<span>{count(tuple(rows))}</span></span></div>'
    )


def _claims(result: Result) -> Html:
    names = {True: ("holds", "✓"), False: ("fails", "✗"), None: ("open", "–")}
    items = [
        Html(f'<li class="{word}"><span aria-label="{word}">{sign}</span> {text(said)}</li>')
        for said, (word, sign) in ((said, names[holds]) for said, holds, _ in result.claims)
    ]
    return Html(f'<ul class="claims">\n{join(items)}\n</ul>')


def _further(table: Table) -> Html:
    """Figures beside the runs, such as how the time to learn grows with the lag."""
    columns = "".join(f'<th scope="col">{text(h)}</th>' for h in table.head)
    rows = [
        Html(f'<tr><th scope="row">{text(first)}</th>' + "".join(f"<td>{text(c)}</td>" for c in rest) + "</tr>")
        for first, *rest in table.lines
    ]
    body = Html(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(table.title)}"><table class="arms">'
        f"<thead><tr>{columns}</tr></thead><tbody>\n{join(rows)}\n</tbody></table></div>"
    )
    return captioned(body, f"{table.title}. {table.caption}".strip())


def _details(result: Result, said: dict[str, str]) -> Html:
    head = ("", "published", "ours", "criterion", "looser")
    rows = []
    for arm in result.arms:
        mine = result.rows[arm["name"]]
        cells = (
            arm["published"] or "–",
            figure(mine),
            count(mine),
            count(mine, loosely=True) if result.head["reached"] else "–",
        )
        rows.append(
            Html(
                f'<tr><th scope="row">{text(arm["name"])}</th>'
                + "".join(f"<td>{text(c)}</td>" for c in cells)
                + "</tr>"
            )
        )
    columns = "".join(f'<th scope="col">{text(h)}</th>' for h in head)
    loose = f" Looser: {result.head['reached']}." if result.head["reached"] else ""
    notes = [
        Html(f"<p><b>{name}.</b> {text(_plain(said[name]))}</p>")
        for name in ("Control", "Deviations", "Open")
        if said.get(name)
    ]
    return Html(
        "<details><summary>All figures, control, deviations</summary>\n"
        f"<p>Published: {text(result.head['published'])}.</p>\n"
        f"<p>Criterion: {text(result.head['strict'])}.{text(loose)}</p>\n"
        '<div class="scroll" tabindex="0" role="region" aria-label="Figures"><table class="arms">'
        f"<thead><tr>{columns}</tr></thead><tbody>\n{join(rows)}\n</tbody></table></div>\n{join(notes)}\n"
        f"<p><code>karussell landmarks run {text(result.name)}</code></p></details>"
    )


def _plain(markdown: str) -> str:
    """Markdown's paragraphs as text: what a README says, without its marks."""
    return " ".join(markdown.replace("`", "").replace("**", "").replace("\n- ", " ").split()).removeprefix("- ")


def _footer(found: Sequence[Result]) -> str:
    machines = dict.fromkeys(
        f"{r.machine['cpu']}, torch {r.machine['torch']}" for r in found if r.minutes and r.machine
    )
    total = sum(r.minutes for r in found)
    return (
        f"{total:.0f} minutes of computing on one thread ({'; '.join(machines) or 'no run yet'}). Written by Karussell."
    )
