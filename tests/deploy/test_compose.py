"""compose.yaml keeps to the Compose specification, to what the images and the settings are, and to what its README says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from augsvc.settings import CLIENT_VARIABLES, Settings, load_settings
from augsvc_client.transport.address import Replica
from tests.deploy.composed import DEPLOY, composed, dotenv, seconds, services, settings_with_data
from tests.deploy.dockerfile import environment, last, stages

SERVERS, TRAINERS = ["server", "server-gpu"], ["trainer-1", "trainer-2", "trainer-1-gpu", "trainer-2-gpu"]
ALL = SERVERS + TRAINERS
CLIENT_S = CLIENT_VARIABLES | {"AUGSVC_TOKEN_FILE"}


def targets(service, kind):
    """Where its secrets or configs lie in the container: source → path."""
    folder = {"secrets": "/run/secrets/", "configs": "/"}[kind]
    return {each["source"]: str(Path(folder) / each["target"]) for each in service.get(kind, [])}


@pytest.mark.parametrize("name", ["compose.yaml", "same-host.yaml", "proxy.yaml", "monitoring.yaml"])
def test_it_keeps_to_the_specification_s_schema(name, tmp_path):
    """The schema that check-jsonschema carries; nothing is loaded from anywhere."""
    plain = tmp_path / name  # !reset is Compose's own, for merging: the schema is of what is left
    plain.write_text((DEPLOY / name).read_text(encoding="utf-8").replace("!reset ", ""), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", plain],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("flags", "kind"), [([], "cpu"), (["--profile", "gpu"], "gpu")])
def test_compose_itself_takes_it(tmp_path, flags, kind):
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("needs `docker compose`; an engine is not needed")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    done = subprocess.run([docker, "compose", *flags, "config"], cwd=DEPLOY, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == set(services(kind))


def test_same_host_gives_each_server_a_socket_and_each_job_its_url():
    text = (DEPLOY / "same-host.yaml").read_text(encoding="utf-8").replace("!reset ", "")
    over = yaml.safe_load(text)
    assert sorted(over["services"]) == sorted(ALL)
    (folder,) = {each["volumes"][0]["target"] for each in over["services"].values()}
    for name in SERVERS:
        path = over["services"][name]["environment"]["AUGSVC_UDS"]
        assert str(Path(path).parent) == folder
        assert Settings(uds=path).uds == Path(path)
    for name in TRAINERS:
        replica = Replica.parse(over["services"][name]["environment"]["AUGSVC_URL"])
        assert replica.socket_path == path
        assert over["services"][name]["volumes"][0]["read_only"]
    uid, gid = composed()["x-contained"]["user"].split(":")
    assert {f"uid={uid}", f"gid={gid}"} < set(over["volumes"]["sockets"]["driver_opts"]["o"].split(","))


def test_the_proxy_stands_in_front_of_the_server_of_either_profile():
    over = yaml.safe_load((DEPLOY / "proxy.yaml").read_text(encoding="utf-8").replace("!reset ", ""))
    proxy, plain = over["services"].pop("proxy"), composed()
    assert over["services"] == {name: {"ports": []} for name in SERVERS}
    assert set(proxy["depends_on"]) == set(SERVERS) and set(proxy["networks"]) <= set(plain["networks"])
    for name in SERVERS:
        aliases = plain["services"][name]["networks"]["jobs"].get("aliases", [])
        assert "server" in (name, *aliases), "the name in nginx.conf's upstream"
    contained = {key: value for key, value in plain["x-contained"].items() if key != "tmpfs"}
    assert contained.items() <= proxy.items()
    configuration = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for place in targets(proxy, "secrets").values():
        assert f" {place};" in configuration
    assert targets(proxy, "configs")["nginx"] in proxy["entrypoint"]
    assert all(file["file"].removeprefix("./") in ("nginx.conf", "secrets/tls.crt", "secrets/tls.key")
               for group in ("configs", "secrets") for file in over[group].values())  # fmt: skip


def test_the_services_are_those_tested_here():
    assert sorted(services()) == sorted(ALL)


def test_the_cpu_profile_is_the_one_of_a_plain_up():
    assert dotenv() == {"COMPOSE_PROFILES": "cpu"}
    assert sorted(services("cpu")) == ["server", "trainer-1", "trainer-2"]
    assert sorted(services("gpu")) == ["server-gpu", "trainer-1-gpu", "trainer-2-gpu"]
    assert all(len(service["profiles"]) == 1 for service in services().values())


@pytest.mark.parametrize("name", ALL)
def test_no_service_has_more_than_it_needs(name):
    service = services()[name]
    user, group = service["user"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert all("size=" in each for each in service["tmpfs"])
    assert any(each.split(":")[0] == "/tmp" for each in service["tmpfs"])  # noqa: S108 - in the container
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}
    for more in ("privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "env_file"):
        assert more not in service


@pytest.mark.parametrize("name", ALL)
def test_what_a_service_names_is_declared(name):
    whole, service = composed(), services()[name]
    assert targets(service, "secrets").keys() <= whole["secrets"].keys()
    assert targets(service, "configs").keys() <= whole["configs"].keys()
    assert service["networks"].keys() <= whole["networks"].keys()
    assert {each["source"] for each in service["volumes"] if each["type"] == "volume"} <= whole["volumes"].keys()
    for each in service["volumes"]:
        assert each["type"] == "volume" or each["read_only"] is True


def test_nothing_is_declared_in_vain():
    whole, used = composed(), services().values()
    assert {source for each in used for source in targets(each, "secrets")} == whole["secrets"].keys()
    assert {source for each in used for source in targets(each, "configs")} == whole["configs"].keys()
    assert {network for each in used for network in each["networks"]} == whole["networks"].keys()
    assert {volume["source"] for each in used for volume in each["volumes"] if volume["type"] == "volume"} == whole[
        "volumes"
    ].keys()


@pytest.mark.parametrize("name", ALL)
def test_every_variable_has_a_reader(name):
    """AUGSVC_* are settings of the server or the client's own; files that they name are mounted."""
    service = services()[name]
    known = {f"AUGSVC_{field.upper()}" for field in Settings.model_fields} if name in SERVERS else CLIENT_S
    ours = {variable for variable in service["environment"] if variable.startswith("AUGSVC_")}
    assert ours <= known
    files = {value for variable, value in service["environment"].items() if variable.endswith("_FILE")}
    assert files == set(targets(service, "secrets").values())
    assert not any("TOKEN" in variable and not variable.endswith("_FILE") for variable in service["environment"])


@pytest.mark.parametrize("name", TRAINERS)
def test_trainers_wait_for_a_server_that_can_serve(name):
    service = services()[name]
    server = "server-gpu" if name.endswith("-gpu") else "server"
    assert service["depends_on"] == {server: {"condition": "service_healthy"}}
    assert services()[server]["profiles"] == service["profiles"]
    assert "healthcheck" not in services()[server], "the image's own counts"
    assert last("server", "HEALTHCHECK")


@pytest.mark.parametrize("name", TRAINERS)
def test_trainers_reach_the_server_and_nothing_else(name):
    service, whole = services()[name], composed()
    assert list(service["networks"]) == ["jobs"]
    assert whole["networks"]["jobs"]["internal"] is True
    assert "ports" not in service
    assert service["environment"]["AUGSVC_URL"] == "http://server:8000"


def test_trainers_have_a_token_and_a_folder_each():
    for profile in ("cpu", "gpu"):
        found = [each for name, each in services(profile).items() if name in TRAINERS]
        assert len({source for each in found for source in targets(each, "secrets")}) == len(found)
        assert len({each["command"][each["command"].index("--out") + 1] for each in found}) == len(found)
        for each in found:
            assert each["command"][each["command"].index("--out") + 1].startswith("/out/")
            assert "/out" in {volume["target"] for volume in each["volumes"]}
            assert each["environment"]["OMP_NUM_THREADS"] == each["deploy"]["resources"]["limits"]["cpus"]


def test_the_servers_answer_to_one_name_on_one_port_of_loopback():
    exposed = last("server", "EXPOSE")
    for name in SERVERS:
        service = services()[name]
        assert service["ports"] == [f"127.0.0.1:8000:{exposed}"]
        aliases = [name, *service["networks"]["jobs"].get("aliases", [])]
        assert "server" in aliases
        assert "front" in service["networks"], "a port of a service on internal networks alone is not published"


def test_gpus_are_asked_for_in_their_profile_alone():
    """On a machine without GPUs a reservation is an error."""
    for name, service in services().items():
        devices = service["deploy"]["resources"].get("reservations", {}).get("devices", [])
        assert bool(devices) == ("gpu" in service["profiles"]), name
        for device in devices:
            assert (device["driver"], device["count"]) == ("nvidia", 1)
            assert "gpu" in device["capabilities"]


def test_the_images_are_the_dockerfile_s():
    args = {arg.split("=")[0] for _, content in stages().items() for word, arg in content if word == "ARG"}
    for name, service in services().items():
        build = service["build"]
        assert (DEPLOY / build["context"] / "Dockerfile").exists()
        assert build["args"].keys() <= args
        assert build.get("target", "server") in stages()
        assert ("trainer" in service["image"]) == (name in TRAINERS) == (build.get("target") == "trainer")
        assert service["image"].endswith(":cuda" if name.endswith("-gpu") else ":cpu")


@pytest.mark.parametrize("name", SERVERS)
def test_the_settings_file_and_the_stop(name, monkeypatch):
    service = services()[name]
    assert service["command"][0] == "serve"
    assert service["command"][service["command"].index("--config") + 1] == targets(service, "configs")["settings"]
    for variable, value in {**environment("server"), **service["environment"]}.items():
        if variable.startswith("AUGSVC_"):
            monkeypatch.setenv(variable, value)
    settings = load_settings(DEPLOY / "settings.yaml", {})
    assert settings.host == "0.0.0.0"  # noqa: S104 - of the container
    assert seconds(service["stop_grace_period"]) >= settings.shutdown_timeout_s + 10
    offered = yaml.safe_load(settings_with_data())
    data = next(each["target"] for each in service["volumes"] if each["type"] == "bind")
    assert Path(offered["datasets"]["flowers"]["path"]).is_relative_to(data)
    Settings.model_validate(offered)


def test_every_variable_of_dotenv_is_one_of_compose_yaml():
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    lines = (DEPLOY / ".env").read_text(encoding="utf-8").splitlines()
    offered = {line.removeprefix("# ").split("=")[0] for line in lines if "=" in line}
    assert offered - {"COMPOSE_PROFILES"} == set(re.findall(r"\$\{(\w+)", text))
    assert composed(TORCH_INDEX_CPU="")["services"]["server"]["build"]["args"] == {"TORCH_INDEX": ""}


def test_the_readme_names_what_there_is():
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (DEPLOY / target).exists(), target
    offered = (DEPLOY / ".env").read_text(encoding="utf-8")
    for variable in re.findall(r"\b(SERVER_\w+|TRAINER_\w+|COMPOSE_PROFILES|DATA)=", text):
        assert f"{variable}=" in offered, variable
    for variable in set(re.findall(r"\bAUGSVC_[A-Z_]+", text)):
        assert variable in CLIENT_S | {f"AUGSVC_{field.upper()}" for field in Settings.model_fields}, variable
