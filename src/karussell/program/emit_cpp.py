"""Print a program as the C++ struct that the loop is compiled with."""

from collections.abc import Sequence

from karussell.program.graph import MASKS, Node
from karussell.program.program import Instructions, Program, StageProgram

_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==",
    "ne": "!=", "and": "&", "or": "|",
}  # fmt: skip
_VECTOR = {"exp", "sigmoid", "tanh", "maximum", "minimum", "sign", "remainder"}
# round half to even, as torch does
_LANE = {
    "log": "std::log", "log1p": "std::log1p", "expm1": "std::expm1", "sqrt": "std::sqrt", "sin": "std::sin",
    "cos": "std::cos", "erf": "std::erf", "floor": "std::floor", "ceil": "std::ceil", "trunc": "std::trunc",
    "round": "std::nearbyint", "atan": "std::atan", "asin": "std::asin", "acos": "std::acos", "sinh": "std::sinh",
    "cosh": "std::cosh",
}  # fmt: skip
_LANE2 = {"pow": "std::pow", "fmod": "std::fmod"}


NUMBERS = {"f32": "float", "f64": "double"}


def emit(program: Program, kinds: Sequence[str] = tuple(NUMBERS)) -> str:
    """The source of one compiled engine, forward and backward, for numbers of the given kinds."""
    return "\n".join(
        [
            f"// {program.name}, printed from its program {program.digest}",
            '#include "loop.h"',
            # without linkage: two cells in one process must never share a symbol
            "namespace karussell { namespace {",
            "struct Cell {",
            *(f"    {line}" for line in _layout(program)),
            "    template <int k> struct Stage;",
            "};",
            *(line for k, stage in enumerate(program.stages) for line in _stage(program, k, stage)),
            "} }  // namespace karussell",
            *(f"KARUSSELL_EXPORT(karussell::Cell, {kind}, {NUMBERS[kind]})" for kind in kinds),
            "",
        ]
    )


def _layout(p: Program) -> list[str]:
    count, stages = len(p.states), p.stages
    starts = _starts(p)
    seen = {v for s in stages for v in s.sees}
    taken = {v for s in stages for v in s.d_takes}
    edges = [(_after(p, v), k, i, int(v < count)) for k, s in enumerate(stages) for i, v in enumerate(s.sees)]
    rows = [
        [s_gates.index(gate(p, a)) for a in s.arrivals[s.alone :]] if s.sees else []
        for s, s_gates in ((s, stage_gates(p, s)) for s in stages)
    ]
    most = max(1, *(len(r) for r in rows))
    products = [len(s.arrivals) - s.alone for s in stages]
    fed = [starts[k] + s.arrivals.index(a) for k, s in enumerate(stages) if s.fed for a in fed_arrivals(p, s)]
    return [
        _number("states", count),
        _number("between", len(p.between)),
        _number("fixed", len(p.fixed)),
        _number("stages", len(stages)),
        _number("arrivals", len(p.arrivals)),
        _number("width", p.width),
        _number("fed", len(p.fed)),
        _number("edges", len(edges)),
        _array("is_unit", [int(n not in p.inputs) for n in p.fixed], "bool"),
        _array("fed_arrival", fed),
        _array("products", products),
        _array("first_product", [sum(products[:k]) for k in range(len(stages))]),
        _number("all_products", sum(products)),
        _number("most_products", max(products)),
        _array("first_edge", [sum(len(s.sees) for s in stages[:k]) for k in range(len(stages))]),
        _array("sees", [len(s.sees) for s in stages]),
        _array("column", [start + s.alone for start, s in zip(p.columns, stages, strict=True)]),
        _array("twice", [int(k in seen) for k in range(count)], "bool"),
        _array("carried", [int(k in taken) for k in range(count)], "bool"),
        _array("between_taken", [int(2 * count + k in taken) for k in range(len(p.between))], "bool"),
        _array("edge_value", [e[0] for e in edges]),
        _array("edge_stage", [e[1] for e in edges]),
        _array("edge_seen", [e[2] for e in edges]),
        _array("edge_later", [e[3] for e in edges], "bool"),
        f"static constexpr int gate_row[{len(stages)}][{most}] = "
        + "{" + ", ".join("{" + ", ".join(map(str, r or [0])) + "}" for r in rows) + "};",
    ]  # fmt: skip


def _after(p: Program, value: int) -> int:
    """A state before the step is the state after the step before."""
    return value + len(p.states) if value < len(p.states) else value


def _starts(p: Program) -> list[int]:
    starts, at = [], 0
    for s in p.stages:
        starts.append(at)
        at += len(s.arrivals)
    return starts


def gate(p: Program, arrival: str) -> str:
    """The gate that an arrival belongs to."""
    return arrival if arrival in p.gates else arrival[:-2]


def stage_gates(p: Program, s: StageProgram) -> list[str]:
    """The gates of a stage, in the order of its matrix's rows."""
    mine = {gate(p, a) for a in s.arrivals}
    return [q for q in p.gates if q in mine]


def fed_arrivals(p: Program, s: StageProgram) -> list[str]:
    """The arrivals that input weights feed, in the order of the weights' rows."""
    with_input = s.arrivals[: s.alone + s.joined]
    return sorted(with_input, key=lambda a: p.gates.index(gate(p, a)))


def _stage(p: Program, k: int, s: StageProgram) -> list[str]:
    start, count = _starts(p)[k], len(p.states)
    fed_index = [p.fed.index(gate(p, a)) if n < s.alone + s.joined else -1 for n, a in enumerate(s.arrivals)]
    with_input = [int(s.alone + n < s.alone + s.joined) for n in range(len(s.arrivals) - s.alone)]
    later = {v for t in p.stages[k + 1 :] for v in t.d_takes}
    assign = [int(v not in later) for v in s.d_takes]
    return [
        f"template <> struct Cell::Stage<{k}> {{",
        *(
            f"    {line}"
            for line in (
                _number("arrival", start),
                _number("arrivals", len(s.arrivals)),
                _number("alone", s.alone),
                _number("takes_count", len(s.takes)),
                _number("writes_count", len(s.writes)),
                _number("saved_count", s.saved),
                _number("needs_count", len(s.needs)),
                _number("d_takes_count", len(s.d_takes)),
                _number("d_units_count", len(s.d_units)),
                _array("fed_index", fed_index),
                _array("with_input", with_input, "bool"),
                _array("takes", list(s.takes)),
                _array("sees", list(s.sees)),
                _array("writes", list(s.writes)),
                _number("column", p.columns[k]),
                _array("needs", list(s.needs)),
                _array("d_takes", list(s.d_takes)),
                _array("d_assign", assign, "bool"),
                _array("d_unit_index", [v - 2 * count - len(p.between) for v in s.d_units]),
            )
        ),
        "    template <class T>",
        "    static INLINE void forward(const Vec<T>* z, const Vec<T>* v, Vec<T>* out, Vec<T>* save) {",
        *_body(
            s.forward,
            {f"v{n}": f"v[{i}]" for i, n in enumerate(s.takes)},
            ("out", len(s.writes)),
            ("save", s.saved),
        ),
        "    }",
        "    template <class T>",
        "    static INLINE void backward(const Vec<T>* s, const Vec<T>* v, const Vec<T>* d, Vec<T>* dz, Vec<T>* dv,",
        "                                Vec<T>* du) {",
        *_body(
            s.backward,
            {f"v{n}": f"v[{i}]" for i, n in enumerate(s.needs)},
            ("dz", len(s.arrivals)),
            ("dv", len(s.d_takes)),
            ("du", len(s.d_units)),
        ),
        "    }",
        "};",
    ]


def _body(code: Instructions, values: dict[str, str], *results: tuple[str, int]) -> list[str]:
    lines = [f"        const {_type(n)} a{k} = {_expression(n, values)};" for k, n in enumerate(code.nodes)]
    names = [f"{name}[{i}]" for name, count in results for i in range(count)]
    lines += [f"        {name} = a{o};" for name, o in zip(names, code.outputs, strict=True)]
    return lines


def _type(node: Node) -> str:
    return "Mask<T>" if node.op in MASKS else "Vec<T>"


def _expression(node: Node, values: dict[str, str]) -> str:
    a = [f"a{k}" for k in node.args]
    if node.op == "input":
        return values.get(node.name) or f"{node.name[0]}[{node.name[1:]}]"
    if node.op == "constant":
        return f"all<T>({_literal(node.value)})"
    if node.op in _INFIX:
        return f"{a[0]} {_INFIX[node.op]} {a[1]}"
    if node.op == "where":
        return f"{a[0]} ? {a[1]} : {a[2]}"
    if node.op in _VECTOR:
        return f"{node.op}_<T>({', '.join(a)})"
    if node.op == "neg":
        return f"-{a[0]}"
    if node.op == "not":
        return f"~{a[0]}"
    if node.op == "abs":
        return f"absolute<T>({a[0]})"
    if node.op == "reciprocal":
        return f"1 / {a[0]}"
    if node.op == "rsqrt":
        return f"1 / each<T>({a[0]}, [](T q) {{ return std::sqrt(q); }})"
    if node.op in _LANE:
        return f"each<T>({a[0]}, [](T q) {{ return {_LANE[node.op]}(q); }})"
    return f"each<T>({a[0]}, {a[1]}, [](T q, T w) {{ return {_LANE2[node.op]}(q, w); }})"


def _literal(value: float) -> str:
    if value != value:
        return "T(NAN)"
    if value in (float("inf"), float("-inf")):
        return "T(INFINITY)" if value > 0 else "T(-INFINITY)"
    return f"T({value.hex()})"


def _number(name: str, value: int) -> str:
    return f"static constexpr int {name} = {value};"


def _array(name: str, values: list[int], kind: str = "int") -> str:
    # c++ has no array of length zero
    filled = values or [0]
    return f"static constexpr {kind} {name}[{len(filled)}] = {{{', '.join(map(str, filled))}}};"
