"""Reading the configuration: file, environment and `--set`, in rising precedence, into one validated `RunConfig`.

Whatever is wrong is reported at once, each with the place it came from and, for an unknown key, the nearest valid one.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from .config import SIMULATED, PlugOrEndpoint, RunConfig
from .errors import ConfigError
from .files.yaml_text import BadYAMLError, parse_yaml
from .nearest_key import Key, nearest_key, nearest_variable, section_at
from .plugs import look_in
from .row_files import hub_id
from .section import from_home

ENV_PREFIX = "OPENMIC_"
_INSTANCE = re.compile(r"valid dictionary(?: or instance of \w+)?")
"""What pydantic calls a section."""
_ENV_NESTED = re.compile(r"[A-Z0-9]+(?:_[A-Z0-9]+)*(?:__[A-Z0-9]+(?:_[A-Z0-9]+)*)+")
"""What follows the prefix in a variable that names a key within a section."""
_ENV_OF_A_SERVICE = re.compile(r"\w*[^_]_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_\w+)?)")
"""What follows it where a cluster tells of a service whose name begins with `openmic-`."""


def load_config(path: Path, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> RunConfig:
    """The configuration in `path` with the environment's and the overrides' values laid over it.

    Args:
        path: A YAML file. Relative paths inside it (inputs, task files) are resolved against its folder, where modules
            of its plugs are looked for, too.
        overrides: `a.b=value` each, the value in YAML; relative paths in them are from the working directory.
        environment: Defaults to the process's own; OPENMIC_A__B sets a.b; `stray_variables` names what does not.

    Raises:
        ConfigError: names every key that is unknown or has a wrong value, and where it came from.
    """
    path = Path(from_home(path))
    values = _read_yaml(path)
    if {"arms", "config"} <= values.keys():
        raise ConfigError(f"{path} has arms: it is an experiment, for `openmic experiment`")
    return layered_config([Layer(values, str(path))], path.parent, overrides, environment)


class Layer(NamedTuple):
    """Values that are laid over others, and what to call the place they come from."""

    values: Mapping[str, Any]
    """By key; sections are mappings, or keys are dotted: `{"training": {"beta": 0.2}}`, `{"training.beta": 0.2}`."""
    source: str


def layered_config(
    layers: Sequence[Layer],
    folder: Path,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> RunConfig:
    """The configuration that layers make, each laid over those before it; environment and overrides over all.

    Args:
        layers: Whose relative paths are from `folder`.
        folder: Such as a file's own.
        overrides: As for `load_config`.
        environment: Likewise.

    Raises:
        ConfigError: as `load_config`, with the layer that a wrong value comes from; or a layer sets a key twice.
    """
    look_in(folder)
    values: dict[str, Any] = {}
    within: dict[Key, str] = {}
    for layer in layers:
        within |= dict.fromkeys(keys_of(layer), layer.source)
        for dotted, value in layer.values.items():
            _lay(values, _parts(dotted), _copied(value), layer.source)
    sources: dict[Key, str] = {}
    overridden = _copied(values)
    _lay_overrides(overridden, overrides, {})
    _lay_environment(values, environment, sources, _names_of_keys(overridden))
    _lay_overrides(values, overrides, sources)
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, layers[-1].source, within | sources)) from None
    return _resolve_paths(config, folder, sources)


def _parts(dotted: Any) -> Key:
    return tuple(part.strip() for part in str(dotted).split("."))


def keys_of(layer: Layer) -> set[Key]:
    """The keys that a layer sets.

    Raises:
        ConfigError: it sets one twice, dotted and nested.
    """
    found: set[Key] = set()
    above: set[Key] = set()
    for key in _keys_beneath((), layer.values):
        over = {key[:depth] for depth in range(1, len(key))}
        if key in found | above or over & found:
            raise ConfigError(
                f"{layer.source}: the key {'.'.join(key)!r} stands there twice, dotted and within its section; leave "
                "out one of the two"
            )
        found.add(key)
        above |= over
    return found


def _keys_beneath(key: Key, value: Any) -> Iterator[Key]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _keys_beneath((*key, *_parts(name)), inner)
    elif key:
        yield key


def read_mapping(path: Path) -> dict[str, Any]:
    """What a YAML file holds.

    Raises:
        ConfigError: there is no such file, or it holds no mapping.
    """
    return _read_yaml(Path(from_home(path)))


def flat_file(path: Path) -> dict[str, str]:
    """What a configuration file says, by dotted key, each value as JSON.

    Raises:
        ConfigError: there is no such file, or it holds no configuration.
    """
    return dict(_flat(_read_yaml(Path(from_home(path)))))


def flat_values(values: Mapping[str, Any]) -> dict[str, str]:
    """Nested values by dotted key, each as JSON."""
    return dict(_flat(values))


def _flat(values: Any, above: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(values, Mapping) and values:
        for name, value in values.items():
            yield from _flat(value, f"{above}.{name}" if above else str(name))
    else:
        yield above, json.dumps(values, ensure_ascii=False, default=str)


def config_from(values: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> RunConfig:
    """The configuration that nested values make, the environment's laid over them as over a file's.

    Relative paths are from the working directory.

    Raises:
        ConfigError: as `load_config`.
    """
    laid: dict[str, Any] = _copied(values)
    sources: dict[Key, str] = {}
    _lay_environment(laid, environment, sources, _names_of_keys(laid))
    try:
        return RunConfig.model_validate(laid)
    except ValidationError as error:
        raise ConfigError(_explain(error, "the configuration", sources)) from None


def override_config(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """A configuration with overrides, `a.b=value` each, laid over it.

    Raises:
        ConfigError: as `load_config`.
    """
    values = config.model_dump(mode="json")
    sources: dict[Key, str] = {}
    _lay_overrides(values, overrides, sources)
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, "the run's configuration", sources)) from None


def _copied(value: Any) -> Any:
    """Mappings copied, at every depth: what is laid over them must not reach what was given."""
    return {str(key): _copied(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value


def _lay_environment(
    values: dict[str, Any], environment: Mapping[str, str] | None, sources: dict[Key, str], secrets: set[str]
) -> None:
    """`secrets` are the variables that hold endpoints' keys, whatever they are called."""
    for name, text in sorted((os.environ if environment is None else environment).items()):
        if _is_configuration(name) and name not in secrets:
            key = tuple(name.removeprefix(ENV_PREFIX).lower().split("__"))
            _lay(values, key, _parse_value(text, name), name)
            sources[key] = f"environment variable {name}"


def _is_configuration(name: str) -> bool:
    """Whether a variable sets a key: OPENMIC_A__B always, OPENMIC_A where `a` is one.

    What else begins so belongs to somebody: keys of endpoints, and what a cluster sets for services named `openmic`.
    """
    if not name.startswith(ENV_PREFIX):
        return False
    rest = name.removeprefix(ENV_PREFIX)
    if rest.lower() in RunConfig.model_fields:
        return True
    return _ENV_NESTED.fullmatch(rest) is not None and _ENV_OF_A_SERVICE.fullmatch(rest) is None


def _names_of_keys(values: Any) -> set[str]:
    """The variables that hold endpoints' keys, by every `api_key_env` in nested values."""
    if isinstance(values, Mapping):
        own = {str(values["api_key_env"])} if "api_key_env" in values else set()
        return own.union(*map(_names_of_keys, values.values()))
    return set().union(*map(_names_of_keys, values)) if isinstance(values, (list, tuple)) else set()


def stray_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """A line for each variable that sets nothing, and looks as if it was meant to.

    Args:
        environment: Defaults to the process's own.
    """
    names = sorted(os.environ if environment is None else environment)
    prefixed = [name.removeprefix(ENV_PREFIX) for name in names if name.startswith(ENV_PREFIX)]
    meant = {name: nearest_variable(RunConfig, name) for name in prefixed if not _is_configuration(ENV_PREFIX + name)}
    return [
        f"the environment variable {ENV_PREFIX}{name} sets nothing; did you mean {ENV_PREFIX}{near}?"
        for name, near in meant.items()
        if near is not None
    ]


def _lay_overrides(values: dict[str, Any], overrides: Sequence[str], sources: dict[Key, str]) -> None:
    for override in overrides:
        dotted, separator, text = override.partition("=")
        if not separator or not dotted.strip():
            raise ConfigError(f"--set {override!r} is not of the form key=value, such as --set rounds=2")
        key = _parts(dotted)
        _lay(values, key, _parse_value(text, f"--set {override}"), f"--set {override}")
        sources[key] = f"--set {override}"


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"there is no configuration file {str(path.absolute())!r}; name one; "
            "`openmic init` makes one, and `openmic run --example humor` needs none"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    try:
        values = parse_yaml(text)
    except BadYAMLError as fault:
        raise ConfigError(f"{path}, {fault}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no configuration: it should be a mapping such as `inputs: {{path: …}}`")
    return values


def _parse_value(text: str, source: str) -> Any:
    try:
        return parse_yaml(text)
    except BadYAMLError as fault:
        raise ConfigError(f"{source}: {fault}; quote it if it is a text") from None


def _lay(values: dict[str, Any], key: Key, value: Any, source: str) -> None:
    """Put the value at the dotted key, making the sections on the way.

    A mapping for a section is laid over it key by key, so that the section's other values stay.
    """
    model = section_at(RunConfig, key)
    if model is not None and isinstance(value, Mapping):
        if issubclass(model, PlugOrEndpoint):
            value = _instead(model, value)
        for name, inner in value.items():
            _lay(values, (*key, *_parts(name)), inner, source)
        if value:
            return
    section = values
    for depth, part in enumerate(key[:-1], start=1):
        inner = section.get(part)
        if inner is None:
            inner = section[part] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{source}: {'.'.join(key[:depth])} is a value, not a section")
        section = inner
    if model is not None and value == {} and isinstance(section.get(key[-1]), dict):
        return
    section[key[-1]] = value


def _instead(model: type[PlugOrEndpoint], section: Mapping[str, Any]) -> dict[str, Any]:
    """The section of somebody who plays a role: who is named there takes the place of whoever was."""
    nobody = {"model": SIMULATED, "use": None, "demonstrations": None}
    players = {name: nothing for name, nothing in nobody.items() if name in model.model_fields}
    if all(section.get(name) is None for name in players):
        return dict(section)
    kwargs: dict[str, Any] = {} if "kwargs" in section else {"kwargs": {}}
    return {name: nothing for name, nothing in players.items() if name not in section} | kwargs | dict(section)


def _explain(error: ValidationError, path: str, sources: Mapping[Key, str]) -> str:
    lines = []
    for item in error.errors():
        key = tuple(str(part) for part in item["loc"])
        about = item["msg"] if item["type"] == "value_error" else None
        source = _source(key, sources, about) or path
        dotted = ".".join(key)
        if item["type"] == "extra_forbidden":
            lines.append(f"{source}: unknown key {dotted!r}{nearest_key(RunConfig, key)}")
        elif item["type"] == "missing":
            lines.append(f"{source}: {dotted} is missing and has no default")
        else:
            message = _INSTANCE.sub("section", item["msg"].removeprefix("Value error, "))
            message = message.replace("valid tuple", "list").replace("Tuple should", "The list should")
            whole = isinstance(item["input"], dict) and item["type"] == "value_error"
            given = "" if whole else f" (given: {json.dumps(item['input'], default=str)})"
            lines.append(f"{source}: {dotted or 'configuration'}: {message[:1].lower()}{message[1:]}{given}")
    return "\n".join(lines)


def _source(key: Key, sources: Mapping[Key, str], about: str | None) -> str | None:
    """Where a key's value was set other than in the file: at it, above it or beneath it.

    A complaint `about` a section as a whole comes of those keys beneath it that it names.
    """
    at_or_above = (sources[key[:depth]] for depth in range(len(key), 0, -1) if key[:depth] in sources)
    beneath = ((place[-1], source) for place, source in sources.items() if place[: len(key)] == key)
    under = (source for name, source in beneath if about is None or name in about)
    return next(at_or_above, None) or next(under, None)


def _resolve_paths(config: RunConfig, folder: Path, sources: Mapping[Key, str]) -> RunConfig:
    """Files named in the configuration are found from its folder, those named elsewhere from the working directory."""

    def found(path: str | Path, *key: str) -> Path:
        if hub_id(Path(path)) is not None:
            return Path(path)
        return (folder if _source(key, sources, None) is None else Path()) / path

    inputs = config.inputs.model_copy(update={"path": found(config.inputs.path, "inputs", "path")})
    is_file = ":" not in config.task and (config.task.endswith((".yaml", ".yml")) or "/" in config.task)
    task = str(found(config.task, "task")) if is_file else config.task
    members = {
        name: member.model_copy(update={"demonstrations": found(member.demonstrations, "cast", name, "demonstrations")})
        for name in ("teacher", "references")
        if (member := getattr(config.cast, name)) is not None and member.demonstrations is not None
    }
    cast = config.cast.model_copy(update=members)
    return config.model_copy(update={"inputs": inputs, "task": task, "cast": cast})
