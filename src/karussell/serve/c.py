"""A transcriber as one C99 file: float32, no dependency but the C library, no allocation, weights as constants.

The arithmetic is that of the torch-free runtime, header for header. The filter bank is in it: samples go in, text comes
out. What the file offers stands in the comment at its head.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from karussell.errors import InputError
from karussell.runtime.library import NET, arrays, numbers
from karussell.runtime.plan import Plan

_PARTS = ("cell.h", "model.h", "bank.h", "stream.h", "transcribe.h")
_ON_LINE = 8


def emit_c(plan: Plan, name: str = "karussell", *, seconds: float | None = None) -> str:
    """The source of a model.

    `name` begins the names of its public functions. `seconds` is the longest recording for a model that needs the whole
    (both directions, or normalisation by the utterance); it decides how much memory a stream has, and is the model's
    own `longest` if not given. A model that streams needs none of it.
    """
    check_name(name)
    seconds = plan.longest if seconds is None else seconds
    if not 0 < seconds <= 3600:
        raise InputError(f"export: seconds is {seconds:g}; it must lie between 0 and 3600")
    frames = 1 if plan.streams else int(seconds * plan.bank.rate) // plan.bank.hop + 2
    lines = [_head(plan, name, seconds), *(header(part) for part in _PARTS), *_constants(plan)]
    return "\n".join([*lines, _api(plan, name, frames)])


def check_name(name: str) -> None:
    """InputError where names of C functions cannot begin so."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name):
        raise InputError(f"export: {name!r} is no name for C functions; use lower-case letters, digits and _")


def memory(plan: Plan, frames: int) -> int:
    """The floats of a stream's memory, as k_divide counts them."""
    hidden, lstm = plan.hidden, len(plan.lstm)
    sizes, bands, channels = [plan.bank.window, plan.bank.fft, 2 * plan.bank.bands], plan.bank.bands, 1
    whole = plan.norm.level is None and (plan.norm.prior_frames is not None or plan.norm.floor_db is not None)
    sizes.append(frames * plan.bank.bands if whole else 0)
    steps = frames
    for c in plan.convolutions:
        sizes.append(3 * (bands + 2) * channels)
        bands, channels = -(-bands // c.band_stride), len(c.b)
        sizes.append(bands * channels)
        steps = (steps - 1) // c.time_stride + 1
    taps = 0 if plan.around is None else len(plan.around.w)
    sizes += [hidden, taps * hidden, hidden, 2 * lstm * hidden, 4 * hidden]
    sizes.append(4 * steps * hidden if plan.directions == 2 else 0)
    return sum(sizes)


def _head(plan: Plan, name: str, seconds: float) -> str:
    push = "gives back the labels that are certain now" if plan.streams else "keeps them"
    limit = "" if plan.streams else f"\n   At most {seconds:g} seconds; more is refused."
    return f"""/* A speech recogniser, written by karussell export. C99; link with -lm. {_floats(plan):,} weights.

     void {name}_start({name}_stream *s);
     int {name}_push({name}_stream *s, const float *samples, long count, char *text, int size);
     int {name}_finish({name}_stream *s, char *text, int size);

   Samples are mono, {plan.bank.rate} a second, from -1 to 1. A stream is the caller's, as static memory, and begun by
   {name}_start. {name}_push takes samples and {push}; {name}_finish takes the end of the recording.
   Both write UTF-8 with a 0 at its end and give back the number of bytes without it: -1 if `size` bytes or the stream
   have no room.{limit} Several streams may run at once, one after the other or in threads. */
"""


def header(part: str) -> str:
    """A header without what only separate files need."""
    return re.sub(r'#include "[a-z_]+\.h"\n', "", (Path(NET) / part).read_text(encoding="utf-8"))


def _constants(plan: Plan) -> Iterator[str]:
    kept, plain = arrays(plan), numbers(plan)
    for name, value in kept.items():
        kind = "int" if value.dtype.kind == "i" else "float"
        yield f"static const {kind} {_identifier(name)}[{value.size}] = {{\n{numbers_in_c(value)}\n}};"
    # a struct is filled at the start: C99 would allow it in its definition, but then in one order only
    yield "static void k_fill(k_model *m) {\n    memset(m, 0, sizeof *m);"
    for name, number in plain.items():
        yield f"    m->{_member(name)} = {literal(number)};"
    for name in kept:
        yield f"    m->{_member(name)} = {_identifier(name)};"
    yield "}"


def _api(plan: Plan, name: str, frames: int) -> str:
    texts = (*plan.symbols[: plan.blank], "", *plan.symbols[plan.blank :])
    rows = _rows(plan, frames)
    separator = " " if plan.unit == "word" else ""
    symbols = ",\n    ".join(_text(text) for text in texts)
    return f"""static const char *const k_texts[{len(texts)}] = {{
    {symbols}
}};

typedef struct {{
    k_model model;
    k_stream stream;
    float memory[{memory(plan, frames)}];
    float rows[{rows * plan.labels}];
    int label, written;
}} {name}_stream;

void {name}_start({name}_stream *s);
int {name}_push({name}_stream *s, const float *samples, long count, char *text, int size);
int {name}_finish({name}_stream *s, char *text, int size);

/* labels of `rows` rows, appended to the text */
static int k_append({name}_stream *s, int rows, char *text, int used, int size) {{
    int t;
    for (t = 0; t < rows; t++) {{
        int label = k_best(s->rows + t * {plan.labels}, {plan.labels});
        if (label != s->label && label != {plan.blank}) {{
            const char *gap = s->written ? {_text(separator)} : "", *word = k_texts[label];
            size_t room = strlen(gap) + strlen(word);
            if (room + 1 > (size_t)(size - used)) return -1;
            memcpy(text + used, gap, strlen(gap));
            memcpy(text + used + strlen(gap), word, strlen(word) + 1);
            used += (int)room, s->written = 1;
        }}
        s->label = label;
    }}
    return used;
}}

void {name}_start({name}_stream *s) {{
    k_fill(&s->model);
    k_start(&s->stream, &s->model, s->memory, {frames});
    s->label = {plan.blank}, s->written = 0;
}}

int {name}_push({name}_stream *s, const float *samples, long count, char *text, int size) {{
    int used = 0;
    if (size < 1) return -1;
    text[0] = 0;
    while (count > 0 && used >= 0) {{
        long take = count < {plan.bank.hop} ? count : {plan.bank.hop};
        int rows = k_push(&s->stream, samples, take, s->rows, {rows});
        used = rows < 0 ? -1 : k_append(s, rows, text, used, size);
        samples += take, count -= take;
    }}
    return used;
}}

int {name}_finish({name}_stream *s, char *text, int size) {{
    int rows = k_finish(&s->stream, s->rows, {rows});
    if (size < 1) return -1;
    text[0] = 0;
    return rows < 0 ? -1 : k_append(s, rows, text, 0, size);
}}
"""


def _rows(plan: Plan, frames: int) -> int:
    """Rows that one call can give: those that the look-ahead held back, or all."""
    if plan.streams:
        return int(plan.lookahead / plan.step_seconds) + 4
    return -(-frames // plan.subsampling) + 4


def _floats(plan: Plan) -> int:
    return sum(v.size for v in arrays(plan).values())


def _identifier(name: str) -> str:
    return "w_" + name.replace(".", "_")


def _member(name: str) -> str:
    first, *rest = name.split(".")
    return f"{first}[{rest[0]}].{rest[1]}" if rest else first


def literal(value: int | float) -> str:
    """One number."""
    if isinstance(value, int):
        return str(value)
    text = repr(float(np.float32(value)))
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def numbers_in_c(value: np.ndarray) -> str:
    """An array's numbers, row after row."""
    # nine digits tell every float32 from its neighbours
    flat = value.ravel().tolist()
    words = [str(v) for v in flat] if value.dtype.kind == "i" else [_short(v) for v in flat]
    lines = (words[k : k + _ON_LINE] for k in range(0, len(words), _ON_LINE))
    return "\n".join(f"    {', '.join(line)}," for line in lines)


def _short(value: float) -> str:
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _text(text: str) -> str:
    """A C string: printable ASCII as it is, everything else as octal bytes."""
    plain = (chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in text.encode())
    return '"' + "".join(plain) + '"'
