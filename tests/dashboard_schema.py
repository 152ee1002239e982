"""Holds dashboards against Grafana's own schema, from which its SDK (grafana-foundation-sdk) is generated.

    dashboard_schema.py FILE…    one line for each problem, on standard output; exit code 1 if there was one

Each file is decoded and encoded again: a key that is lost on the way is one that Grafana does not know. The SDK itself
does not look at what values are, so each is held against the type that its field is declared with, enums among them.
"""

import enum
import json
import sys
import types
import typing
import warnings

# The SDK says at import that there is a second format, which provisioned files need not have.
warnings.simplefilter("ignore", DeprecationWarning)

from grafana_foundation_sdk.cog import runtime  # noqa: E402
from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: E402
from grafana_foundation_sdk.cog.plugins import register_default_plugins  # noqa: E402
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel, RowPanel  # noqa: E402

register_default_plugins()


def encoded(value):
    return json.loads(json.dumps(value, cls=JSONEncoder))


def lost(before, after, path):
    """What is in `before` and not in `after`. Fields that have a default and were not given are no matter."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key not in after and value is None:
                continue
            if key not in after:
                yield f"{path}.{key}: Grafana's schema has no such key"
            else:
                yield from lost(value, after[key], f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for at, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{path}[{at}]")
    elif before != after:
        yield f"{path}: {json.dumps(before)} is read as {json.dumps(after)}"


def misfits(value, hint, path):
    """Why `value` is not of the type `hint`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (object, typing.Any):
        # Options of a panel and the like: by now objects that know their own types, or what nobody knows.
        if hasattr(value, "to_json"):
            yield from wrong_fields(value, path)
    elif origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return
        possible = [argument for argument in arguments if argument is not type(None)]
        # Of several it is the one that it was decoded to.
        decoded = [argument for argument in possible if isinstance(argument, type) and isinstance(value, argument)]
        attempts = [list(misfits(value, argument, path)) for argument in decoded[:1] or possible]
        if all(attempts):
            yield from min(attempts, key=len)
    elif hint is type(None):
        if value is not None:
            yield f"{path}: {shown(value)} is not null"
    elif origin is typing.Literal:
        if value not in arguments:
            yield f"{path}: {shown(value)} is none of {', '.join(map(str, arguments))}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: {shown(value)} is not a list"
            return
        for at, item in enumerate(value):
            yield from misfits(item, arguments[0], f"{path}[{at}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path}: {shown(value)} is not an object"
            return
        for key, item in value.items():
            yield from misfits(item, arguments[1], f"{path}.{key}")
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        if isinstance(value, bool) or value not in [member.value for member in hint]:
            yield f"{path}: {shown(value)} is none of {', '.join(str(member.value) for member in hint)}"
    elif hint in (int, float, str, bool):
        fits = {int: (int,), float: (int, float), str: (str,), bool: (bool,)}[hint]
        if not isinstance(value, fits) or isinstance(value, bool) != (hint is bool):
            yield f"{path}: {shown(value)} is not of type {hint.__name__}"
    elif isinstance(value, (dict, list, str, int, float, bool, type(None))):
        # The SDK leaves what is in some lists undecoded.
        if not isinstance(value, dict):
            yield f"{path}: {shown(value)} is not an object"
        elif hasattr(hint, "from_json"):
            decoded = hint.from_json(value)
            yield from lost(value, encoded(decoded), path)
            yield from wrong_fields(decoded, path)
    elif isinstance(value, hint):
        yield from wrong_fields(value, path)
    else:
        yield f"{path}: {type(value).__name__} is not {hint.__name__}"


def shown(value):
    return json.dumps(value, cls=JSONEncoder)[:80]


def wrong_fields(value, path):
    if isinstance(value, runtime.UnknownDataquery):
        yield f"{path}: a query of a data source that Grafana does not know"
        return
    hints = {}
    for kind in reversed(type(value).__mro__):
        hints.update(getattr(kind, "__annotations__", {}))
    hints = {name: resolved(hint, type(value)) for name, hint in hints.items()}
    # What is not given is None, and the schema says elsewhere whether it may be.
    for name, field in vars(value).items():
        if field is not None and name in hints:
            yield from misfits(field, hints[name], f"{path}.{name.removesuffix('_val')}")


def resolved(hint, owner):
    return typing.get_type_hints(types.SimpleNamespace(__annotations__={"it": hint}), vars(sys.modules[owner.__module__]))["it"]


def panels_of(panels, path):
    for at, panel in enumerate(panels):
        here = f"{path}[{at}]"
        if isinstance(panel, RowPanel):
            yield from panels_of(panel.panels or [], f"{here}.panels")
        elif isinstance(panel, Panel):
            yield panel, here


def problems(file):
    with open(file, encoding="utf-8") as opened:
        content = json.load(opened)
    if "dashboard" in content:
        yield "$: the dashboard is wrapped as the API wants it; a provisioned file is the dashboard itself"
        return
    dashboard = Dashboard.from_json(content)
    yield from lost(content, encoded(dashboard), "$")
    yield from wrong_fields(dashboard, "$")
    for panel, path in panels_of(dashboard.panels or [], "$.panels"):
        if runtime.panelcfg_config(panel.type_val) is None:
            yield f"{path}: Grafana has no panel of type {panel.type_val}"


def main():
    found = False
    for file in sys.argv[1:]:
        try:
            said = list(problems(file))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # An object where a list belongs, and so on: the SDK goes on as if it were one.
            said = [f"$: cannot be decoded: {type(error).__name__}: {error}"]
        for problem in said:
            found = True
            print(f"{file}: {problem}")
    sys.exit(found)


main()
