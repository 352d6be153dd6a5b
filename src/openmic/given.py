"""What is given in Python for a run, made into its configuration and the objects beside it.

Inputs and demonstrations become files in the run's home, objects their import path, overrides lines as `--set` has.
"""

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from .core.config import RunConfig
from .core.config_file import config_from, load_config, override_config
from .core.errors import ConfigError, StoreError
from .core.files.private import private_file, private_folder
from .core.ids import content_hash
from .core.plugs import Plug, describe_object
from .core.records import Input
from .core.row_files import KINDS, rows_given, unstorable
from .core.section import from_home

if TYPE_CHECKING:
    from .graph.context.plugs import Plugs

ConfigLike = str | Path | Mapping[str, Any] | RunConfig
Overrides = Mapping[str, Any] | Sequence[str] | None
_AN_INPUT = "a text, or a mapping of field names to texts"
_WITH_KWARGS = ("training.objective", "student.engine")
_KEYS = {
    "teacher": "cast.teacher",
    "references": "cast.references",
    "critic": "cast.critic",
    "judge": "cast.judge",
    "objective": "training.objective",
    "engine": "student.engine",
}


def named(key: str, value: Any, home: Path = Path("openmic-data")) -> tuple[Any, dict[str, Any]]:
    """Translate what was given for a key into its configuration, and the object, if it is one, by key.

    Args:
        key: The configuration's key, such as `cast.critic`.
        value: What was given: settings, a name, a path, rows, or an object.
        home: Where rows that were given are kept.

    Raises:
        ConfigError: it could mean two things.
    """
    if isinstance(value, Plug):
        return value.model_dump(), {}
    if inspect.isclass(value) and key.startswith(("cast.", "evaluation.scorers.")):
        raise ConfigError(f"{key}: {value.__qualname__} is a class; give an object of it, {value.__name__}(…)")
    if isinstance(value, Path) and key == "task":
        return str(value), {}
    if key.startswith("cast."):
        return _named_member(key, value, home)
    if isinstance(value, str | Mapping):
        return value, {}
    use = describe_object(value)["use"]
    if key.startswith("evaluation.scorers."):
        label = getattr(value, "name", None) or getattr(value, "__name__", type(value).__name__)
        return {"use": use, "name": str(label)}, {key: value}
    return use, {key: value}


def _named_member(key: str, value: Any, home: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """`named` for a member of the cast."""
    demonstrates = key in {"cast.teacher", "cast.references"}
    if isinstance(value, str) and not (demonstrates and Path(value).suffix.lower() in KINDS):
        raise ConfigError(
            f"{key}: {value!r} could be a model or an object of yours; say {{'model': {value!r}}} or "
            f"{{'use': {value!r}}}"
        )
    if isinstance(value, Mapping):
        return dict(value), {}
    if isinstance(value, str | Path):
        return {"demonstrations": str(Path(from_home(value)).absolute())}, {}
    if demonstrates and (isinstance(value, Sequence) or hasattr(value, "columns") or hasattr(value, "column_names")):
        return {"demonstrations": str(_kept(home, _demonstrated(key, value)))}, {}
    return {"use": describe_object(value)["use"]}, {key: value}


def _demonstrated(key: str, given: Any) -> list[dict[str, Any]]:
    wanted = '{"input": …, "output": …}'
    rows = rows_given(given, key, wanted)
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise ConfigError(f"{key}: row {place} is {row!r:.80}; make it {wanted}")
    return [dict(row) for row in rows]


def laid_over(overrides: Overrides) -> list[str]:
    """Overrides as `a.b=value` each.

    Raises:
        ConfigError: they are neither a mapping nor such lines.
    """
    if isinstance(overrides, Mapping):
        return [f"{key}={json.dumps(value, default=str)}" for key, value in overrides.items()]
    lines = [overrides] if isinstance(overrides, str) else overrides
    if not isinstance(lines, Sequence | None) or not all(isinstance(line, str) for line in lines or ()):
        raise ConfigError(
            f'overrides: {overrides!r:.80} is neither {{"rounds": 2}} nor ["rounds=2"]; make it one of them'
        )
    return list(lines or ())


def given_plugs(objects: Mapping[str, Any]) -> "Plugs":
    """Collect Python objects that are given by their configuration key, or by the name of `run`'s argument.

    Raises:
        ConfigError: there is no such argument.
    """
    from .graph.context.plugs import Plugs

    found: dict[str, Any] = {}
    for name, given in objects.items():
        if name == "scorers":
            found |= {f"evaluation.scorers.{place}": scorer for place, scorer in enumerate(_scorers(given))}
        elif name in _KEYS or "." in name or name == "task":
            found[_KEYS.get(name, name)] = given
        else:
            raise ConfigError(
                f"there is no object {name!r} to be given; there are {', '.join([*_KEYS, 'scorers', 'task'])}"
            )
    return Plugs(found)


def resolve(config: ConfigLike, overrides: Overrides, given: Mapping[str, Any]) -> tuple[RunConfig, "Plugs"]:
    """The configuration with everything laid over it, and the Python objects that it was given.

    Raises:
        ConfigError: as `load_config`; or an override names something else where an object was given.
    """
    if isinstance(config, RunConfig):
        resolved = config
    elif isinstance(config, Mapping):
        resolved = config_from(config)
    elif isinstance(config, str | Path):
        resolved = load_config(Path(config))
    else:
        raise ConfigError(f"config: {config!r:.80} is neither a configuration file, a mapping, nor a Config")
    last = laid_over(overrides)
    home = override_config(resolved, [line for line in last if line.partition("=")[0].strip() == "home"]).home
    objects: dict[str, Any] = {}
    laid: list[str] = []
    for name, value in given.items():
        if value is None or name == "scorers":
            continue
        key = _KEYS.get(name, name)
        section, seen = named(key, value, home)
        objects |= seen
        laid += laid_in_place(key, section, resolved)
    scorers = _scorers(given.get("scorers", ()))
    found = [named(f"evaluation.scorers.{place}", scorer) for place, scorer in enumerate(scorers)]
    if found:
        _refuse_alike([section for section, _ in found])
        laid += laid_over({"evaluation.scorers": [section for section, _ in found]})
    for _, seen in found:
        objects |= seen
    final = override_config(resolved, [*laid, *last])
    _refuse_overridden(final, objects)
    return final, given_plugs(objects)


def laid_in_place(key: str, section: Any, config: RunConfig) -> list[str]:
    """What was given for a key, as `named` has it, as overrides; arguments that were another's go.

    Raises:
        ConfigError: it is a mapping that names nothing.
    """
    if key not in _WITH_KWARGS:
        return laid_over({key: section})
    if isinstance(section, Mapping):
        unknown = [name for name in section if name not in {"use", "kwargs", "name"}]
        if unknown or "use" not in section:
            raise ConfigError(f"{key}: {dict(section)!r:.80} is no plug; give its name, or {{'use': …, 'kwargs': …}}")
        return laid_over({key: section["use"], f"{key}_kwargs": section.get("kwargs") or {}})
    before = config.training.objective if key == "training.objective" else config.student.engine
    return laid_over({key: section} | ({} if section == before else {f"{key}_kwargs": {}}))


def _scorers(given: Any) -> list[Any]:
    """The scorers that were given, of which several make a list."""
    if isinstance(given, str | bytes | Mapping | Plug) or not isinstance(given, Iterable):
        raise ConfigError(f"scorers: {given!r:.80} is no list; give a list of scorers, also of one alone")
    return list(given)


def _refuse_alike(sections: Sequence[Any]) -> None:
    """Refuse scorers that the report could not tell apart."""
    labels = [plug_of(section, f"scorers, item {place}").label for place, section in enumerate(sections)]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(
                f"scorers: two are called {label!r}; give one another name: a function's or an object's own attribute "
                f"`name` is taken, {{'use': …, 'name': …}} names one that ships"
            )


def _refuse_overridden(config: RunConfig, objects: Mapping[str, Any]) -> None:
    """Refuse overrides that put something else in an object's place, or nothing."""
    from .graph.context.keys import plug_keys

    keys = plug_keys(config)
    for key, given in objects.items():
        if keys.get(key) != describe_object(given)["use"]:
            raise ConfigError(
                f"{key}: an object was given in Python, and an override sets {keys.get(key) or 'something else'} in "
                "its place; leave out one of the two"
            )


def with_place_for(config: ConfigLike | None, inputs: Any) -> ConfigLike:
    """The configuration, with a path for the inputs where they are given in Python and it needs none."""
    if config is None and inputs is None:
        raise ConfigError("there is nothing to run on; give a configuration (`openmic init` makes one) or inputs")
    values = {} if config is None else config
    if inputs is None or not isinstance(values, Mapping):
        return values
    section = values.get("inputs") or {}
    return {**values, "inputs": {"path": "none.txt", **section} if isinstance(section, Mapping) else section}


def single(config: ConfigLike | None, **given: Any) -> tuple[RunConfig, "Plugs"]:
    """As `resolve` for what needs no inputs; None is the default configuration."""
    return resolve(with_place_for({} if config is None else config, ()), None, given)


def with_inputs(config: RunConfig, inputs: Sequence[str | Mapping[str, str]]) -> RunConfig:
    """The configuration with inputs that were given in Python, kept as a file in its home."""
    rows = [_input_row(row, place) for place, row in enumerate(rows_given(inputs, "inputs", _AN_INPUT))]
    fields = list(rows[0]) if rows else ["input"]
    of_files: dict[str, Any] = dict.fromkeys(("delimiter", "encoding", "split", "subset", "id_field"))
    of_files["metadata"] = []
    settings = {"path": str(_kept(config.home, rows)), "fields": fields, **of_files}
    return override_config(config, [f"inputs={json.dumps(settings)}"])


def _input_row(given: Any, place: int) -> dict[str, str]:
    value = checked_input(given, f"inputs, item {place}")
    return {"input": value} if isinstance(value, str) else dict(value)


def checked_input(given: Any, what: str) -> Input:
    """An input that was given in Python: a text, or texts by the names of its fields.

    Raises:
        ConfigError: it is neither, or holds what no database can hold.
    """
    if isinstance(given, Mapping):
        if not given or not all(isinstance(name, str) and isinstance(text, str) for name, text in given.items()):
            raise ConfigError(f"{what}: {dict(given)!r:.80} is no input; give {_AN_INPUT}")
    elif not isinstance(given, str):
        raise ConfigError(f"{what}: {given!r:.80} is a {type(given).__name__}; give {_AN_INPUT}")
    found: Input = given if isinstance(given, str) else dict(given)
    if spoilt := unstorable(found if isinstance(found, str) else "\n".join(found.values())):
        raise ConfigError(f"{what}: {spoilt}")
    return found


def plug_of(given: Any, where: str) -> Plug:
    """A plug that was given by its name or as the configuration has it.

    Raises:
        ConfigError: it is none.
    """
    try:
        return Plug.model_validate(given)
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(map(str, wrong["loc"]))
        raise ConfigError(
            f"{where}: {given!r:.80} is no plug ({key}: {wrong['msg']}); give a name, or {{'use': …, 'kwargs': …}}"
        ) from None


def checked_text(given: Any, what: str) -> str:
    """An output that was given in Python.

    Raises:
        ConfigError: it is no text, or holds what no database can hold.
    """
    if not isinstance(given, str):
        raise ConfigError(f"{what}: {given!r:.80} is a {type(given).__name__}; give a text")
    if spoilt := unstorable(given):
        raise ConfigError(f"{what}: {spoilt}")
    return given


def _kept(home: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Rows as a .jsonl file in the home, named after what it holds."""
    text = "".join(f"{json.dumps(row, default=_plain)}\n" for row in rows)
    path = home.absolute() / "given" / f"{content_hash(text)[:16]}.jsonl"
    try:
        private_folder(path.parent)
        private_file(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"home {str(home)!r} cannot be written ({error.strerror}); set home") from None
    return path


def _plain(value: Any) -> Any:
    """An array of numpy's as a list; anything else in words, for the reader of the rows to complain about."""
    tolist = getattr(value, "tolist", None)
    return tolist() if callable(tolist) else repr(value)
