"""One built function, run once on an event: by `sam local invoke` where Docker runs, else under the emulator.

It runs against the local stack if one is up, else against resources made from the template for this one run.
"""

import json
import re
import shlex
import shutil
import string
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import yaml

from infra.build import sam
from infra.build.invocations import invocations
from infra.build.rie import NotRunnable, running
from infra.build.sam import ROOT, SAM, TEMPLATE, Built
from infra.local.processes import aws_environment
from infra.local.resources import client, moto_server, provision
from infra.local.template import function_name, translate

EVENTS = ROOT / "tests" / "fixtures" / "events"
LOCAL_ENV = ROOT / "build" / "local" / "env"

_REPORT_DURATION = re.compile(r"\tDuration: ([\d.]+) ms")
_KEY = re.compile(r"\$\{BECKON_\w+\}")


class Refusal(ValueError):
    """The command cannot be done as it was asked for; the message says what to ask for."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the function answered, and what was measured; None where the runner cannot tell."""

    answer: Any
    runner: str
    init_ms: float | None
    duration_ms: float | None
    peak_mib: float | None

    @property
    def failed(self) -> bool:
        """Whether the function raised, timed out or could not be loaded."""
        return isinstance(self.answer, dict) and "errorType" in self.answer


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a function finds around it: its variables, its limits, and the keys that an event may name as `${…}`."""

    environment: Mapping[str, str]
    timeout_seconds: int
    memory_mb: int
    keys: Mapping[str, str]


def invoke(name: str, event: Path | None = None) -> Measured:
    """Return the answer of function `name` to the event in `event`, by default its own example.

    Raises:
        Refusal: no such function or event file, or not built.
    """
    architecture = sam.host_architecture()
    functions = sam.functions(architecture)
    if name not in functions:
        raise Refusal(f"no function {name!r}; FN is one of {', '.join(functions)}")
    path = EVENTS / f"{name}.json" if event is None else event
    if not path.is_file():
        raise Refusal(f"no event file {path}; EVENT names one, and {EVENTS.relative_to(ROOT)} has examples")
    if not functions[name].code.is_dir():
        raise Refusal(f"{name} is not built for {architecture}: run `make build`")
    if not sam.is_built(architecture):
        sam.say("sources have changed since `make build`: this runs what was built then")
    text = path.read_text()
    with surroundings(functions, name, needs_keys=bool(_KEY.search(text))) as around:
        filled = _parse(string.Template(text).safe_substitute(around.keys), path)
        run = _under_sam if has_docker() else _under_emulator
        with invocations() as others:
            variables = {**around.environment, "AWS_ENDPOINT_URL_LAMBDA": others.url}
            measured = run(functions[name], filled, replace(around, environment=variables))
        for other, sent in others.asked:
            sam.say(f"it would invoke {other} with {json.dumps(sent)}")
        return measured


def has_docker() -> bool:
    """Return whether a Docker engine answers."""
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


@contextmanager
def surroundings(functions: Mapping[str, Built], name: str, *, needs_keys: bool) -> Iterator[Surroundings]:
    """Yield what surrounds function `name`: the local stack, or new resources, with a shop if the event needs keys."""
    up = _running_stack()
    if up:
        yield _of_running_stack(name, up)
        return
    sam.say("no local stack is up: making resources for this run")
    with moto_server() as endpoint:
        made = provision(translate(TEMPLATE), endpoint)
        keys: dict[str, str] = {}
        if needs_keys:
            variables = aws_environment(endpoint) | made.environment("manage")
            with running(functions["manage"], variables) as manage:
                shop = manage.invoke({"command": "create-shop", "shop": "default"})
                if shop.is_error:
                    raise NotRunnable(
                        f"manage could not make a shop for the event's keys: {shop.value}\n{manage.log()}"
                    )
            keys = {f"BECKON_{key.upper()}": str(value) for key, value in shop.value.items()}
        properties = _properties(made.template, name)
        variables = _reach(endpoint) | made.environment(name)
        yield Surroundings(variables, int(properties["Timeout"]), int(properties["MemorySize"]), keys)


def _under_emulator(function: Built, event: Any, around: Surroundings) -> Measured:
    with running(
        function, around.environment, timeout_seconds=around.timeout_seconds, memory_mb=around.memory_mb
    ) as lambda_:
        first = lambda_.invoke(event)
        if first.is_error:
            sys.stderr.write(lambda_.log())
            return Measured(first.value, "emulator", None, round(first.milliseconds, 1), None)
        warm = lambda_.invoke(event)
        return Measured(
            first.value,
            "emulator",
            round(max(0.0, first.milliseconds - warm.milliseconds), 1),
            round(warm.milliseconds, 1),
            round(lambda_.peak_bytes() / 2**20, 1),
        )


def _under_sam(function: Built, event: Any, around: Surroundings) -> Measured:
    template = _template_with_variables(function, around.environment)
    command = [str(SAM), "local", "invoke", function.logical_id, "--template", str(template), "--event", "-"]
    if sys.platform == "linux":
        command += ["--docker-network", "host"]
    done = subprocess.run(
        command, input=json.dumps(event), env=sam.sam_environment(), capture_output=True, text=True, check=False
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        raise Refusal(f"sam local invoke failed:\n{done.stderr}")
    duration = _REPORT_DURATION.search(done.stderr)
    # `sam local` reports the memory limit as memory used and no real init, so both stay unknown.
    return Measured(json.loads(lines[-1]), "sam local invoke", None, float(duration[1]) if duration else None, None)


def _template_with_variables(function: Built, variables: Mapping[str, str]) -> Path:
    """Write the built template again with the function's variables as values: `sam local` adds no undeclared ones."""
    built = yaml.safe_load((function.code.parent / "template.yaml").read_text())
    properties = built["Resources"][function.logical_id]["Properties"]
    built["Globals"]["Function"].pop("Environment", None)
    properties["Environment"] = {"Variables": dict(variables)}
    path = function.code.parent / "invoke.yaml"
    path.write_text(yaml.safe_dump(built, sort_keys=False))
    return path


def _running_stack() -> dict[str, str]:
    """Return the variables of build/local/env if the stack that wrote them still answers, else none."""
    if not LOCAL_ENV.is_file():
        return {}
    words = shlex.split(LOCAL_ENV.read_text(), comments=True)
    up = dict(word.split("=", 1) for word in words if "=" in word)
    try:
        httpx.get(up["BECKON_URL"] + "/healthz", timeout=2, trust_env=False)
    except (httpx.TransportError, KeyError):
        return {}
    return up


def _of_running_stack(name: str, up: Mapping[str, str]) -> Surroundings:
    template = translate(TEMPLATE)
    properties = _properties(template, name)
    defaults = {parameter: str(told["Default"]) for parameter, told in template["Parameters"].items()}
    found = {}
    for variable, value in properties["Environment"]["Variables"].items():
        match value:
            case _ if variable in up:
                found[variable] = up[variable]
            case {"Ref": str(parameter)} if parameter in defaults:
                found[variable] = defaults[parameter]
            case {"Ref": str()}:  # the secret, which the stack's file keeps to itself
                secrets = client("secretsmanager", up["AWS_ENDPOINT_URL"]).list_secrets()["SecretList"]
                found[variable] = secrets[0]["ARN"]
            case _:
                found[variable] = str(value)
    memory = properties["MemorySize"]
    megabytes = int(defaults[memory["Ref"]] if isinstance(memory, dict) else memory)
    variables = _reach(up["AWS_ENDPOINT_URL"]) | found
    return Surroundings(variables, int(properties["Timeout"]), megabytes, up)


def _properties(template: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function" and function_name(resource) == name:
            properties: Mapping[str, Any] = resource["Properties"]
            return properties
    raise LookupError(name)


def _reach(endpoint: str) -> dict[str, str]:
    """Return the variables that lead AWS's clients to `endpoint`, and nothing that Lambda sets itself."""
    return {name: value for name, value in aws_environment(endpoint).items() if name.startswith("AWS_")}


def _parse(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError as fault:
        raise Refusal(f"{path} is not JSON: {fault}") from None
