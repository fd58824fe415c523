"""One HTML file that needs nothing but a browser: no script, no font, no picture from anywhere else."""

import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files

# the browser is told as well: whatever slips in, nothing is loaded and nothing runs
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"


class Html(str):
    """Markup. Every other string is text, and is escaped where it enters a page."""

    __slots__ = ()


def text(value: object) -> Html:
    """Return a value as text that is safe in an element and in a quoted attribute; markup passes unchanged."""
    return value if isinstance(value, Html) else Html(escape(str(value), quote=True))


def join(parts: Sequence[Html], between: str = "\n") -> Html:
    """Put pieces of markup one after the other."""
    return Html(between.join(parts))


class Page:
    """A page with a title, a lead and sections, which a line of links under the title leads to."""

    def __init__(self, title: str, *, kicker: str = "", lead: str = "", footer: str = "") -> None:
        """`kicker` is the small line above the title, `lead` the sentence below it, `footer` the last line."""
        self.title, self.kicker, self.lead, self.footer = title, kicker, lead, footer
        self.opening: list[Html] = []
        self.sections: list[tuple[str, str, Html]] = []

    def open_with(self, body: Html) -> None:
        """Put a block between the lead and the first section."""
        self.opening.append(body)

    def add(self, title: str, body: Html, *, lead: str = "") -> None:
        """Append a section: its heading, a sentence that says how to read it, its body."""
        intro = Html(f'<p class="lead">{text(lead)}</p>\n') if lead else Html("")
        anchor = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        taken = any(anchor == other for _, other, _ in self.sections)
        anchor = f"{anchor}-{len(self.sections)}" if taken else anchor
        self.sections.append((title, anchor, Html(intro + body)))

    def html(self) -> str:
        """Return the whole file."""
        style = files("karussell.report").joinpath("page.css").read_text(encoding="utf-8")
        links = join([Html(f'<a href="#{anchor}">{text(title)}</a>') for title, anchor, _ in self.sections])
        body = join(
            [
                Html(
                    f'<section id="{anchor}" aria-labelledby="{anchor}-h">\n'
                    f'<h2 id="{anchor}-h">{text(title)}</h2>\n{content}\n</section>'
                )
                for title, anchor, content in self.sections
            ]
        )
        kicker = f'<p class="kicker">{text(self.kicker)}</p>\n' if self.kicker else ""
        lead = f'<p class="summary">{text(self.lead)}</p>\n' if self.lead else ""
        footer = f"<footer><p>{text(self.footer)}</p></footer>\n" if self.footer else ""
        nav = f'<nav aria-label="Sections">{links}</nav>\n' if len(self.sections) > 2 else ""
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{text(self.title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
            f"<header>\n{kicker}<h1>{text(self.title)}</h1>\n{lead}</header>\n<main>\n{join(self.opening)}\n"
            f"{nav}{body}\n</main>\n{footer}</body>\n</html>\n"
        )
