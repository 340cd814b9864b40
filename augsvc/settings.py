"""The operator's settings: one frozen model. Flags take precedence over AUGSVC_* variables, and those over a YAML file."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from augsvc.cpus import CORES_VARIABLE
from augsvc.data.formats.format import AnyFormat, DatasetFormat, DatasetSettings, dataset_formats
from augsvc.errors import BadJson
from augsvc.logs import LogFormat
from augsvc.validation import DATASET_PATH, ByteCount, explain_finding, nearest, parse_json
from augsvc_client.strict_yaml import describe_yaml_error, load_yaml

Bytes = Annotated[ByteCount, Field(ge=0)]
_PATHS = {"tokens_file", "uds", "kernel_cache", "disk_cache"}
MIN_CONNECTIONS, MAX_CONNECTIONS = 64, 1 << 20
RENDERING_SHARE = (
    0.5  # of a request's timeout: one batch's estimate, which is several times too high for usual pipelines
)
CLIENT_VARIABLES = {"AUGSVC_URL", "AUGSVC_TOKEN", "AUGSVC_JOB"}
OTHER_VARIABLES = CLIENT_VARIABLES | {CORES_VARIABLE}
# Kubernetes gives each container the address of every Service of its namespace, here of one named augsvc or augsvc-…
_SERVICE_LINK = re.compile(
    r"AUGSVC_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_PORT = re.compile(r"AUGSVC_(\w+_)?PORT")
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://\S+:\d+")
FORMER_NAMES = {
    "allow_plain": "is now allow_unauthenticated",
    "min_reader_bytes_per_s": "is now min_client_bytes_per_s",
    "read_ahead_bytes": "was removed: the server does not read ahead; remove it",
    "request_deadline_s": "is now request_timeout_s",
    "stop_grace_s": "is now shutdown_timeout_s",
}


def _sendable(token: SecretStr) -> SecretStr:
    if not re.fullmatch("[!-~]{16,}", token.get_secret_value()):
        raise ValueError
    return token


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise ValueError("must be auto, cpu, cuda or cuda:N")
    return name


def _host(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]", name):
        raise ValueError("must be host names without a port, such as gpu1.example.org")
    return name


def default_kernel_cache() -> Path | None:
    """A folder in the user's cache folder; None if the user has no home."""
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(base) / "augsvc" / "kernels"


class TokenEntry(BaseModel):
    """One client's bearer token and quotas."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    token: Annotated[SecretStr, AfterValidator(_sendable)]
    bytes_per_s: Annotated[ByteCount, Field(gt=0)] | None = None  # None: no quota
    engine_fraction: Annotated[float, Field(gt=0.0, le=1.0)] | None = None  # seconds of the engine per second
    operator: bool = False  # may reload the datasets, and delete uploaded ones
    upload: Annotated[ByteCount, Field(gt=0)] | None = None  # bytes on disk of its uploads; None: it may not upload


class UploadSettings(BaseModel):
    """Where uploaded datasets are kept, and how many bytes of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: Path  # a folder that belongs to this server
    bytes: Annotated[ByteCount, Field(gt=0)]  # on disk, of all uploads together


class Settings(BaseSettings):
    """All settings of a server; docs/settings.md describes them. Unknown names are refused."""

    model_config = SettingsConfigDict(env_prefix="AUGSVC_", frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000  # 0: any free port
    uds: Path | None = None  # a Unix socket instead of host and port
    device: Annotated[str, AfterValidator(_device)] = "auto"
    executor: Literal["fused", "kornia"] = "fused"
    kernel_cache: Annotated[Path | None, Field(default_factory=default_kernel_cache)]  # None: not cached
    datasets: dict[Annotated[str, Field(pattern=DATASET_PATH)], DatasetSettings] = {}
    operations: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()  # modules of dataset formats
    uploads: UploadSettings | None = None  # None: none are accepted
    tokens_file: Path | None = None
    allow_unauthenticated: bool = False  # on non-loopback interfaces
    allowed_hosts: tuple[Annotated[str, AfterValidator(_host)], ...] = ()  # besides localhost
    cache_bytes: Bytes = 1 << 30
    disk_cache: Path | None = None  # a folder for decoded files
    disk_cache_bytes: Bytes = 64 << 30
    device_cache_bytes: Bytes = 1 << 30  # of decoded images, on a GPU
    max_request_bytes: Bytes = 64 << 20
    max_batch_bytes: Bytes = 256 << 20
    max_sample_s: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 10.0  # estimated, of one core
    request_timeout_s: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 60.0
    min_client_bytes_per_s: Bytes = 16384  # four connections of a client over half a megabit a second
    max_connections: Annotated[int, Field(ge=MIN_CONNECTIONS, le=MAX_CONNECTIONS)] = 4096
    shutdown_timeout_s: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 10.0
    log_format: LogFormat = "text"
    traces: bool = False

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Reads no source implicitly: `load_settings` merges them."""
        return (init_settings,)

    @field_validator(
        "port", "max_connections", "max_sample_s", "request_timeout_s", "shutdown_timeout_s", mode="before"
    )
    @classmethod
    def _require_number(cls, value: object) -> object:
        if isinstance(value, bool):  # `port: on` of YAML would be port 1
            raise ValueError("must be a number")
        return value

    @model_validator(mode="after")
    def _require_authentication(self) -> "Settings":
        if not (self.uds or self.tokens_file or self.allow_unauthenticated or is_loopback(self.host)):
            raise ValueError(
                "to listen on a non-loopback interface, set tokens_file (or allow_unauthenticated, on a trusted network)"
            )
        return self

    def tokens(self) -> dict[str, TokenEntry]:
        """Client name → token and quotas, read from tokens_file; empty without one.

        Raises:
            ValueError: for the operator; its message never contains a token.
        """
        if self.tokens_file is None:
            return {}
        entries = _read_yaml(self.tokens_file)
        where = f"tokens_file {self.tokens_file}"
        tokens = {}
        for number, (name, entry) in enumerate(entries.items(), start=1):
            if not (isinstance(name, str) and name and name.isprintable()):  # `1`, `no` and `~` are no text in YAML
                raise ValueError(f"{where}: {name!r} is no client name: a name is printable text, in quotes if need be")
            try:
                tokens[name] = TokenEntry.model_validate(entry)
            except ValidationError as err:
                # a plain value may be a name whose key is the token
                shown = f"entry {name!r}" if isinstance(entry, dict) else f"entry {number}"
                fields = [finding["loc"][0] for finding in err.errors(include_input=False) if finding["loc"]]
                wrong = next((f": `{field}`" for field in fields if field in TokenEntry.model_fields), "")
                raise ValueError(
                    f"{where}, {shown}{wrong} is not valid: each entry is a client name with `token:` (at least 16 visible "
                    "ASCII characters) and, optionally, `bytes_per_s:` and `upload:` (bytes above 0), `engine_fraction:` "
                    "(above 0, at most 1) and `operator:` (true or false)"
                ) from err
        if not tokens:
            raise ValueError(f"{where}: give at least one token")
        owners: dict[SecretStr, str] = {}
        for name, entry in tokens.items():
            if (other := owners.setdefault(entry.token, name)) != name:
                raise ValueError(f"{where}: {other!r} and {name!r} have one token: give a different one to each client")
        return tokens


class _Environment(EnvSettingsSource):
    """The AUGSVC_* variables; those of mappings and lists are JSON, in which a key must not be repeated either."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return parse_json(value.encode())
        except BadJson as err:
            name = f"{field_name}: AUGSVC_{field_name.upper()}"
            raise ValueError(f"{name} must be JSON: check brackets, quotes and repeated keys") from err


def load_settings(config: Path | None, flags: Mapping[str, object]) -> Settings:
    """Settings of a server. A flag of None was not given.

    Raises:
        ValueError: for the operator, naming every wrong field.
    """
    _refuse_unknown_variables()
    try:
        variables = _Environment(Settings)()
    except SettingsError as err:
        raise ValueError(str(err.__cause__)) from err
    given = _read_yaml(config) if config else {}
    sources = _module_names(variables.get("sources", given.get("sources")))
    given = _resolve_paths(config, given, sources) if config else given
    given |= {
        name: value for name, value in variables.items() if not _is_service_link(f"AUGSVC_{name.upper()}", str(value))
    }
    given |= {name: value for name, value in flags.items() if value is not None}
    try:
        return _settings_with(sources).model_validate(given)
    except ValidationError as err:
        raise ValueError("\n".join(_message(finding) for finding in err.errors(include_url=False))) from err


def _module_names(given: object) -> tuple[str, ...]:
    """The modules that `sources` lists; none where it is invalid, which the validation reports."""
    names = tuple(given) if isinstance(given, list | tuple) else ()
    return names if all(isinstance(name, str) for name in names) else ()


def _settings_with(sources: tuple[str, ...]) -> type[Settings]:
    """The settings, with the dataset formats of these modules too."""
    if not sources:
        return Settings
    datasets = dict[Annotated[str, Field(pattern=DATASET_PATH)], Annotated[DatasetFormat, AnyFormat(sources)]]
    return create_model("Settings", __base__=Settings, datasets=(datasets, {}))


def _refuse_unknown_variables() -> None:
    """A misspelt AUGSVC_TOKENS_FILE, ignored, would leave the server without authentication."""
    known = OTHER_VARIABLES | {f"AUGSVC_{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(
        name
        for name, value in os.environ.items()
        if name.upper().startswith("AUGSVC_") and name.upper() not in known and not _is_service_link(name, value)
    )
    if not unknown:
        return
    if change := FORMER_NAMES.get(unknown[0].upper().removeprefix("AUGSVC_").lower()):
        raise ValueError(f"{unknown[0]}: this setting {change}")
    hint = nearest(unknown[0], sorted(known)) or "; docs/settings.md lists them"
    raise ValueError(f"{', '.join(unknown)}: unknown setting{hint}")


def _is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes made a variable from a Service: AUGSVC_SERVICE_HOST, AUGSVC_PORT=tcp://10.0.0.1:8000 and its like."""
    if _SERVICE_LINK.fullmatch(name):
        return True
    return bool(_SERVICE_PORT.fullmatch(name) and _SERVICE_URL.fullmatch(value))


def _resolve_paths(config: Path, given: Mapping[str, object], sources: tuple[str, ...]) -> dict[str, object]:
    """Relative paths in a settings file are relative to the file's folder."""
    folder = config.resolve().parent
    resolved = {name: str(folder / v) if name in _PATHS and isinstance(v, str) else v for name, v in given.items()}
    if isinstance(uploads := resolved.get("uploads"), dict) and "path" in uploads:
        resolved["uploads"] = uploads | {"path": _below(folder, uploads["path"])}
    datasets = resolved.get("datasets")
    path_fields = {name: dataset.path_fields() for name, dataset in dataset_formats(sources).items()}
    if isinstance(datasets, dict):
        resolved["datasets"] = {
            name: entry
            | {k: _below(folder, entry[k]) for k in entry.keys() & path_fields.get(str(entry.get("format")), ())}
            if isinstance(entry, dict)
            else entry
            for name, entry in datasets.items()
        }
    return resolved


def _below(folder: Path, paths: object) -> object:
    """One path or a list of paths below a folder; other values are left to the validation."""
    if isinstance(paths, list):
        return [_below(folder, path) for path in paths]
    return str(folder / paths) if isinstance(paths, str) else paths


def _message(finding: ErrorDetails) -> str:
    location = finding["loc"]
    if finding["type"] == "extra_forbidden" and (change := FORMER_NAMES.get(str(location[0]))):
        return f"{location[0]} {change}"
    if location[:1] == ("datasets",):
        location = (*location[:2], *location[3:])  # the third is the format, which pydantic adds for a tagged union
    if finding["type"] in ("model_attributes_type", "dict_type") and location[:1] == ("datasets",):
        example = "{format: image_folder, path: FOLDER}"
        return f"{'.'.join(map(str, location))} must be a mapping, like {example if location[1:] else f'{{pets: {example}}}'}"
    known = Settings.model_fields if len(location) == 1 else _dataset_fields(finding["loc"])
    message = explain_finding(finding, location, known=known).message.removeprefix("the specification ")
    return f"{message}; see docs/settings.md" if finding["type"] == "extra_forbidden" else message


def _dataset_fields(location: Sequence[int | str]) -> Iterable[str]:
    """The fields beside the one at `datasets`, name, format, field; none elsewhere, and for formats of the operator."""
    kind = dataset_formats().get(str(location[2])) if len(location) == 4 else None
    return kind.model_fields if kind else ()


def _read_yaml(path: Path) -> dict[str, object]:
    try:
        content = load_yaml(path.read_bytes())
    except OSError as err:
        raise ValueError(f"{path} cannot be opened; check that it exists and that this user may read it") from err
    except (ValueError, yaml.YAMLError) as err:
        raise ValueError(f"{path}: {describe_yaml_error(err)}") from err
    if content is not None and not isinstance(content, dict):
        raise ValueError(f"{path} must be a YAML mapping")
    return content or {}


def is_loopback(host: str) -> bool:
    """Whether a name or an address means this machine only."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
