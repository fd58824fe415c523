"""A forecaster as one C99 file: the last values of a series in, quantiles out; no dependency and no allocation."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from karussell.errors import InputError
from karussell.serve.c import check_name, header, literal, numbers_in_c
from karussell.tasks.forecast.heads import mean_weights
from karussell.tasks.forecaster import Forecaster

MOST_LAYERS = 16


def emit_forecaster(model: Forecaster, name: str = "karussell") -> str:
    """The source of a model whose outputs are quantiles; `name` begins the names of its public functions."""
    check_name(name)
    config = model.config
    if config.distribution != "quantiles":
        raise InputError(
            f"export: C needs a model of --distribution quantiles, and this one is of {config.distribution}"
        )
    if config.network.layers > MOST_LAYERS:
        raise InputError(f"export: C has room for {MOST_LAYERS} layers, and the model has {config.network.layers}")
    lines = [_head(model, name), header("cell.h"), header("forecast.h")]
    return "\n".join([*lines, *_constants(model), _api(model, name)])


def numbers(model: Forecaster) -> dict[str, int]:
    """The plain numbers of f_model."""
    config, network = model.config, model.network
    past, future, fixed = model.facts.widths
    return {
        "context": config.context,
        "horizon": config.horizon,
        "season": config.season_seen,
        "patch": network.patch,
        "past_patches": network.context_patches,
        "future_patches": network.future_patches,
        "past": past,
        "future": future,
        "fixed": fixed,
        "position": network.position.shape[1],
        "hidden": config.network.hidden,
        "layers": config.network.layers,
        "levels": len(config.levels),
        "middle": config.levels.index(0.5),
        "positive": int(model.facts.positive),
    }


def arrays(model: Forecaster) -> dict[str, np.ndarray]:
    """The constants by their names in f_model."""
    network, levels = model.network, model.config.levels
    found: dict[str, Tensor | np.ndarray] = {"place": network.position}
    maps = {
        "read_past": network.read_past,
        "read_future": network.read_future,
        "out": network.out,
        "skip": network.skip,
    }
    for name, part in maps.items():
        found |= {name: part.weight.T, f"{name}_b": part.bias}
    if network.read_static is not None:
        found["read_fixed"] = network.read_static.weight.T
    for name, lstm in (("read", network.past), ("write", network.future)):
        state = lstm.state_dict()
        for k in range(model.config.network.layers):
            both = state[f"bias_ih_l{k}"] + state[f"bias_hh_l{k}"]
            parts = {"w": state[f"weight_ih_l{k}"].T, "r": state[f"weight_hh_l{k}"].T, "b": both}
            found |= {f"{name}[{k}].{part}": value for part, value in parts.items()}
    found["stretch"] = np.asarray(model.facts.stretch or [1.0] * len(levels))
    found["weight"] = np.asarray(mean_weights(levels))
    plain = {n: v.detach().cpu().numpy() if isinstance(v, Tensor) else v for n, v in found.items()}
    return {name: np.ascontiguousarray(value, np.float32) for name, value in plain.items()}


def _head(model: Forecaster, name: str) -> str:
    config, (past, future, fixed) = model.config, model.facts.widths
    levels = ", ".join(f"{level:g}" for level in config.levels)
    beside = [f"past [{config.context}][{past}]"] if past else []
    beside += [f"future [{config.horizon}][{future}]"] if future else []
    beside += [f"fixed [{fixed}]"] if fixed else []
    needs = f"It also needs {', '.join(beside)}; what they hold stands in the model's config.json." if beside else (
        "The model knows nothing beside the values: past, future and fixed are not looked at."
    )  # fmt: skip
    return f"""/* A forecaster, written by karussell export. C99; link with -lm. {_floats(model):,} weights.

     int {name}_forecast({name}_state *s, const float *values, int count, const float *past, const float *future,
                         const float *fixed, float *quantiles, float *mean);

   The last `count` values of a series go in, a step of {model.facts.step.name} apart, NaN where one is missing; at most
   {config.context} are looked at. Out come quantiles [{config.horizon}][{len(config.levels)}] of the levels
   {levels}, and mean [{config.horizon}]. {needs}
   Gives 0, or -1 if there is no value at all. The state is the caller's, as static memory; it keeps nothing between
   calls, and threads need one each. */
"""


def _constants(model: Forecaster) -> Iterator[str]:
    kept = arrays(model)
    for name, value in kept.items():
        yield f"static const float {_identifier(name)}[{value.size}] = {{\n{numbers_in_c(value)}\n}};"
    yield "static void f_model_of(f_model *m) {\n    memset(m, 0, sizeof *m);"
    for name, number in numbers(model).items():
        yield f"    m->{name} = {literal(number)};"
    for name in ("read", "write"):
        for k in range(model.config.network.layers):
            yield f"    m->{name}[{k}].inputs = {model.config.network.hidden};"
    for name in kept:
        yield f"    m->{name} = {_identifier(name)};"
    yield "}"


def _api(model: Forecaster, name: str) -> str:
    n = numbers(model)
    row = max(n["patch"] * (2 + n["past"]), n["patch"] * n["future"] + n["position"])
    state, hidden = n["layers"] * n["hidden"], n["hidden"]
    sizes = {
        "raw": n["context"], "filled": n["context"], "row": row, "x": hidden, "h": state, "c": state, "z": 4 * hidden,
        "made": n["patch"] * n["levels"], "base": n["horizon"],
    }  # fmt: skip
    fields = "\n".join(f"    float {field}[{size}];" for field, size in sizes.items())
    memory = " ".join(f"memory.{field} = s->{field};" for field in sizes)
    return f"""typedef struct {{
    f_model model;
{fields}
}} {name}_state;

int {name}_forecast({name}_state *s, const float *values, int count, const float *past, const float *future,
                    const float *fixed, float *quantiles, float *mean);

int {name}_forecast({name}_state *s, const float *values, int count, const float *past, const float *future,
                    const float *fixed, float *quantiles, float *mean) {{
    f_memory memory;
    {memory}
    f_model_of(&s->model);
    return count < 1 ? -1 : f_forecast(&s->model, &memory, values, count, past, future, fixed, quantiles, mean);
}}
"""


def _floats(model: Forecaster) -> int:
    return sum(value.size for value in arrays(model).values())


def _identifier(name: str) -> str:
    return "w_" + name.replace("[", "_").replace("].", "_")
