"""The pieces pages are made of: facts, tables, figures, players, aligned label sequences. Plain text in, markup out."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from karussell.errors import InputError
from karussell.report.page import Html, join, text


@dataclass(frozen=True)
class Clip:
    """Sound in a file format that browsers play: `Clip(wav_bytes, "audio/wav")`, "audio/flac" or "audio/ogg"."""

    data: bytes
    mime: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"audio/[a-zA-Z0-9.+-]+", self.mime):
            raise InputError(f"Clip: mime is {self.mime!r}; it must be an audio type such as 'audio/wav'.")


def facts(rows: Sequence[tuple[str, str]]) -> Html:
    """Set short facts side by side, each under its name."""
    cells = [Html(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>") for name, value in rows]
    return Html(f'<dl class="facts">\n{join(cells)}\n</dl>')


def figure(body: Html, caption: str) -> Html:
    """Give a picture, a table or a player its caption."""
    return Html(f"<figure>\n{body}\n<figcaption>{text(caption)}</figcaption>\n</figure>")


def player(clip: Clip, label: str) -> Html:
    """Embed a sound with the browser's own controls."""
    data = base64.b64encode(clip.data).decode("ascii")
    source = f"data:{clip.mime};base64,{data}"
    return Html(f'<audio controls preload="metadata" aria-label="{text(label)}" src="{source}"></audio>')


def pairs(alignment: Sequence[tuple[str | None, str | None]], above: str, below: str) -> Html:
    """Set two aligned label sequences one over the other, with what differs marked by shape as well as colour."""
    cells = []
    for top, bottom in alignment:
        kind = "same" if top == bottom else "gone" if bottom is None else "new" if top is None else "other"
        cells.append(Html(f'<span class="pair {kind}"><span>{_label(top)}</span><span>{_label(bottom)}</span></span>'))
    spoken = "".join(
        f"{text(name)}: {text(' '.join(labels)) or 'nothing'}. "
        for name, labels in (
            (above, [top for top, _ in alignment if top is not None]),
            (below, [bottom for _, bottom in alignment if bottom is not None]),
        )
    )
    size = " tight" if len(alignment) > 16 else ""
    names = f'<span class="pair names"><span>{text(above)}</span><span>{text(below)}</span></span>'
    seen = f'<div class="pairs{size}" aria-hidden="true">{names}{join(cells, "")}</div>'
    return Html(f'<p class="hidden">{spoken.strip()}</p>\n{seen}')


def heat(
    columns: Sequence[str], rows: Sequence[tuple[str, Sequence[int | None]]], *, rows_are: str, columns_are: str
) -> Html:
    """Set counts as a table, each cell off the diagonal tinted by its share of the greatest; None leaves one empty."""
    most = max((n or 0 for r, (_, counts) in enumerate(rows) for c, n in enumerate(counts) if r != c), default=0)
    head = join([Html(f'<th scope="col">{text(name)}</th>') for name in columns], "")
    body = []
    for r, (name, counts) in enumerate(rows):
        cells = []
        for c, n in enumerate(counts):
            if n is None:
                cells.append(Html('<td class="corner"></td>'))
            elif r == c:
                cells.append(Html(f'<td class="right">{n}</td>'))
            elif n:
                # the square root keeps single errors visible beside a frequent one
                cells.append(Html(f'<td style="--h:{(n / most) ** 0.5:.2f}">{n}</td>'))
            else:
                cells.append(Html('<td class="none">·</td>'))
        body.append(Html(f'<tr><th scope="row">{text(name)}</th>{join(cells, "")}</tr>'))
    return Html(
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of confusions"><table class="heat">\n<thead>'
        f'<tr><td class="corner"></td><th class="axis" scope="colgroup" colspan="{len(columns)}">{text(columns_are)}'
        f'</th></tr>\n<tr><th class="axis" scope="col">{text(rows_are)}</th>{head}</tr></thead>\n'
        f"<tbody>\n{join(body)}\n</tbody></table></div>"
    )


def settings(config: Mapping[str, object]) -> Html:
    """Set a configuration, nested as it may be, as tables of names and values, one for each of its parts."""
    groups: dict[str, list[tuple[str, object]]] = {"": []}
    for name, value in config.items():
        if isinstance(value, Mapping):
            groups.setdefault(name, []).extend(_flat(value))
        else:
            groups.setdefault("", []).append((name, value))
    tables = []
    for name, rows in groups.items():
        if not rows:
            continue
        caption = f"<caption>{text(name or 'general')}</caption>"
        body = join([Html(f'<tr><th scope="row">{text(k)}</th><td>{text(_value(v))}</td></tr>') for k, v in rows])
        tables.append(Html(f"<table>{caption}<tbody>\n{body}\n</tbody></table>"))
    return Html(f'<div class="settings">\n{join(tables)}\n</div>')


def _label(label: str | None) -> Html:
    if label is None:
        return Html("–")
    return text("␣" if label == " " else label)


def _flat(config: Mapping[str, object], prefix: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", value))
    return rows


def _value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(v) for v in value) or "none"
    return str(value) or "–"
