"""The operator's settings: one frozen model, from flags, AUGSVC_* variables and a YAML file, in that order of weight."""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

import torch
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from augsvc.data.catalog import DatasetSettings
from augsvc.executors.factory import runs_on_cuda
from augsvc.executors.fused.kernel_cache import default_folder
from augsvc.logs import LogFormat
from augsvc.validation import explain_finding, nearest

Bytes = Annotated[int, Field(ge=0)]
_PATHS = {"tokens_file", "uds", "kernel_cache"}
_DATASET_PATHS = ("path", "statistics")
CLIENT_VARIABLES = {"AUGSVC_URL", "AUGSVC_TOKEN", "AUGSVC_JOB"}


def _sendable(token: SecretStr) -> SecretStr:
    if not re.fullmatch("[!-~]{16,}", token.get_secret_value()):
        raise ValueError
    return token


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise ValueError("must be auto, cpu, cuda or cuda:N")
    return name


class TokenEntry(BaseModel):
    """One client's bearer token, and how much it may take and send."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    token: Annotated[SecretStr, AfterValidator(_sendable)]
    bytes_per_s: Annotated[int, Field(gt=0)] | None = None  # None: no quota


class Settings(BaseSettings):
    """What an operator can choose. Unknown names are refused."""

    model_config = SettingsConfigDict(env_prefix="AUGSVC_", frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000  # 0: any free one
    uds: Path | None = None  # a Unix socket instead of host and port
    device: Annotated[str, AfterValidator(_device)] = "auto"
    executor: Literal["fused", "kornia"] = "fused"
    kernel_cache: Annotated[Path | None, Field(default_factory=default_folder)]  # None: compiled code is not kept
    datasets: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")], DatasetSettings] = {}
    operations: tuple[str, ...] = ()
    tokens_file: Path | None = None
    allow_plain: bool = False  # listen beyond loopback without tokens
    cache_bytes: Bytes = 1 << 30
    device_cache_bytes: Bytes = (
        1 << 30
    )  # of sources, on a GPU; what cache_bytes does not hold is not found again anyway
    max_request_bytes: Bytes = 64 << 20
    max_batch_bytes: Bytes = 256 << 20
    request_deadline_s: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 60.0
    min_reader_bytes_per_s: Bytes = 16384  # four connections of a client over half a megabit a second
    stop_grace_s: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 10.0
    log_format: LogFormat = "text"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing is read behind the caller's back: `load_settings` merges the sources."""
        return (init_settings,)

    @model_validator(mode="after")
    def _no_open_door(self) -> "Settings":
        if not (self.uds or self.tokens_file or self.allow_plain or _is_loopback(self.host)):
            raise ValueError("to listen beyond loopback, give tokens_file (or allow_plain, on a network you trust)")
        return self

    def torch_device(self) -> torch.device:
        """The device to compute on; `auto` takes CUDA where it is and the executor has what it needs to use it."""
        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() and runs_on_cuda(self.executor) else "cpu"
        if name.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError("device cuda: this machine has none that torch can use; set device to cpu or auto")
        return torch.device(name)

    def tokens(self) -> dict[str, TokenEntry]:
        """Client name → token and quota, from tokens_file as it is now; empty without one.

        Raises:
            ValueError: for the operator; it never holds a token.
        """
        if self.tokens_file is None:
            return {}
        entries = _read_yaml(self.tokens_file)
        try:
            found = {name: TokenEntry.model_validate(entry) for name, entry in entries.items()}
        except ValidationError as err:
            raise ValueError(
                "tokens_file: each entry is a name, and below it `token:` with at least 16 visible ASCII characters, and "
                "if you like `bytes_per_s:`, a whole number above 0"
            ) from err
        if not found or len({entry.token for entry in found.values()}) < len(found):
            raise ValueError("tokens_file: give at least one token, and each client its own")
        return found


def load_settings(config: Path | None, flags: Mapping[str, object]) -> Settings:
    """Settings for a server. Flags that are None were not given.

    Raises:
        ValueError: for the operator, naming every wrong field.
    """
    known = CLIENT_VARIABLES | {f"AUGSVC_{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.upper().startswith("AUGSVC_") and name.upper() not in known)
    if unknown:
        hint = nearest(unknown[0], sorted(known)) or "; docs/settings.md lists them"
        raise ValueError(f"{', '.join(unknown)}: there is no such setting{hint}")
    given = _beside(config, _read_yaml(config)) if config else {}
    given |= EnvSettingsSource(Settings)()
    given |= {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings.model_validate(given)
    except ValidationError as err:
        raise ValueError("\n".join(_in_words(finding) for finding in err.errors(include_url=False))) from err


def _beside(config: Path, given: Mapping[str, object]) -> dict[str, object]:
    """Relative paths of a settings file are meant from the file's own folder."""
    folder = config.resolve().parent
    found = {name: str(folder / v) if name in _PATHS and isinstance(v, str) else v for name, v in given.items()}
    datasets = found.get("datasets")
    if isinstance(datasets, dict):
        found["datasets"] = {
            name: entry | {k: str(folder / entry[k]) for k in _DATASET_PATHS if isinstance(entry.get(k), str)}
            if isinstance(entry, dict)
            else entry
            for name, entry in datasets.items()
        }
    return found


def _in_words(finding: ErrorDetails) -> str:
    place = finding["loc"]
    if place[:1] == ("datasets",):
        place = (*place[:2], *place[3:])  # the third is the format, which the library puts between name and field
    message = explain_finding(finding["type"], place, finding.get("ctx", {}), finding["msg"]).message
    if finding["type"] == "extra_forbidden":
        message += nearest(str(finding["loc"][-1]), Settings.model_fields) or "; docs/settings.md lists them"
    return message.replace("the specification ", "")


def _read_yaml(path: Path) -> dict[str, object]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise ValueError(f"{path} cannot be opened: does it exist, and may this user read it?") from err
    except yaml.MarkedYAMLError as err:
        line = f", line {err.problem_mark.line + 1}" if err.problem_mark else ""
        raise ValueError(f"{path}{line}: this is not YAML") from err
    except (ValueError, yaml.YAMLError) as err:
        raise ValueError(f"{path}: this is not YAML text") from err
    if content is not None and not isinstance(content, dict):
        raise ValueError(f"{path} must hold names with values")
    return content or {}


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
