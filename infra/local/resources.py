"""The template's stateful resources, created by CloudFormation in moto, which also resolves every expression.

No resource is named here: types alone decide. What Lambda, API Gateway and the schedulers would run is left to the
rest of `infra.local`, and its expressions (`Ref`, `Fn::Sub` …) become outputs of the reduced template, so that moto
answers them as CloudFormation would.
"""

import copy
import json
import re
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config

from infra.local.processes import HOST, aws_environment, free_port, python_module
from infra.local.template import ACCOUNT, REGION, function_name

STACK = "beckon"

# Run by `infra.local` itself, with every expression resolved.
SERVED = frozenset({
    "AWS::ApiGatewayV2::Api",
    "AWS::Events::Rule",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion",
    "AWS::Scheduler::Schedule",
})  # fmt: skip
# Nothing that runs on this machine reads these.
_IGNORED = ("AWS::ApiGatewayV2::", "AWS::CloudWatch::", "AWS::IAM::", "AWS::Lambda::", "AWS::Logs::")

_START_SECONDS = 60
_ROOT = Path(__file__).parents[2]
_NO_VALUE = {"Ref": "AWS::NoValue"}
_SUB_REFERENCE = re.compile(r"\$\{(\w+)(?:\.([\w.]+))?\}")

type Known = Mapping[str, Mapping[str, str]]  # logical id → attribute, or "Ref" → value


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What `provision` made: the template with its expressions resolved, and its outputs, for the server `endpoint`."""

    endpoint: str
    template: Mapping[str, Any]
    outputs: Mapping[str, str]

    def environment(self, function: str) -> dict[str, str]:
        """Return the variables that the template gives the function of folder `function`."""
        for resource in self.template["Resources"].values():
            if resource["Type"] == "AWS::Lambda::Function" and function_name(resource) == function:
                variables = resource["Properties"].get("Environment", {}).get("Variables", {})
                return {name: str(value) for name, value in variables.items()}
        raise LookupError(f"the template has no function in a folder named {function}")


@contextmanager
def moto_server() -> Iterator[str]:
    """Yield the URL of an empty moto server of its own, which ends with the block and with this process."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    command = python_module("infra.local.dynamodb", "-H", HOST, "-p", str(port))
    process = subprocess.Popen(
        command,
        env=aws_environment(url) | {"PYTHONPATH": str(_ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await_answer(url, process)
        yield url
    finally:
        process.kill()
        process.wait()


def _await_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"moto's server ended at once with status {process.returncode}")
        try:
            httpx.get(f"{url}/moto-api/data.json", timeout=5, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"moto's server at {url} did not answer within {_START_SECONDS} s")


@cache
def client(service: str, endpoint: str) -> Any:
    """Return a boto3 client of `service` that can reach `endpoint` alone, whatever the environment says."""
    session: Any = boto3.session.Session()  # its type lists every service; this is any of them
    return session.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106  # moto asks for one and checks none
        config=Config(retries={"mode": "standard", "max_attempts": 3}, max_pool_connections=32, proxies={}),
    )


def provision(translated: Mapping[str, Any], endpoint: str) -> Provisioned:
    """Create the stateful resources of a translated template on the moto server at `endpoint`.

    Raises:
        RuntimeError: moto's CloudFormation could not create the stack; the message is moto's.
    """
    template = copy.deepcopy(dict(translated))
    resources = template["Resources"]
    by_api = {name: _BY_API[r["Type"]](name, r, endpoint) for name, r in resources.items() if r["Type"] in _BY_API}
    known = _known(resources) | by_api
    created = {name: r for name, r in resources.items() if _is_created(r)}
    served = {name: r for name, r in resources.items() if r["Type"] in SERVED}

    expressions = _Expressions(known)
    wanted = expressions.collect({"served": served, "outputs": template.get("Outputs", {})})
    reduced: dict[str, Any] = {
        key: template[key] for key in ("Parameters", "Conditions", "Mappings") if key in template
    }
    reduced["Resources"] = {name: _reduced(r, known, created) for name, r in created.items()}
    values = _create(reduced | {"Outputs": expressions.outputs}, endpoint)
    resolved = expressions.resolve(wanted, values)
    others = {name: resource for name, resource in resources.items() if name not in served}
    return Provisioned(
        endpoint,
        {**template, "Resources": others | _present(resolved["served"])},
        {name: output["Value"] for name, output in resolved["outputs"].items()},
    )


def _is_created(resource: Mapping[str, Any]) -> bool:
    kind = resource["Type"]
    return kind not in SERVED and kind not in _BY_API and not kind.startswith(_IGNORED)


def _create(reduced: Mapping[str, Any], endpoint: str) -> dict[str, str]:
    cloudformation = client("cloudformation", endpoint)
    cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps(reduced), Capabilities=["CAPABILITY_IAM"])
    stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    if stack["StackStatus"] != "CREATE_COMPLETE":
        raise RuntimeError(f"moto could not create the template's resources: {stack.get('StackStatusReason', stack)}")
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _reduced(resource: Mapping[str, Any], known: Known, created: Mapping[str, Any]) -> Any:
    reduced = _substitute(resource, known)
    depends = reduced.pop("DependsOn", [])
    kept = [name for name in ([depends] if isinstance(depends, str) else depends) if name in created]
    return reduced | ({"DependsOn": kept} if kept else {})


def _known(resources: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the references that moto is not asked for: functions by name and ARN, and all it does not create."""
    known = {}
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Lambda::Function":
            function = function_name(resource)
            known[name] = {"Ref": function, "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}"}
        elif not _is_created(resource):
            known[name] = {"Ref": name}
    for name, resource in resources.items():
        if resource["Type"] in ("AWS::Lambda::Alias", "AWS::Lambda::Version"):  # one version is there: the folder
            known[name] = {"Ref": known[resource["Properties"]["FunctionName"]["Ref"]]["Arn"]}
    return known


def _substitute(node: Any, known: Known) -> Any:
    """Return `node` with each reference to a `known` resource replaced by its value."""
    match node:
        case {"Ref": str(name)} if name in known:
            found: Any = known[name]["Ref"]
        case {"Fn::GetAtt": [str(name), str(attribute)]} if name in known:
            found = _attribute(known, name, attribute)
        case {"Fn::Sub": str(text)}:
            found = {"Fn::Sub": _substitute_text(text, known)}
        case {"Fn::Sub": [str(text), dict(own)]}:
            outer = {name: value for name, value in known.items() if name not in own}
            found = {"Fn::Sub": [_substitute_text(text, outer), _substitute(own, known)]}
        case dict():
            found = {key: _substitute(value, known) for key, value in node.items()}
        case list():
            found = [_substitute(value, known) for value in node]
        case _:
            found = node
    return found


def _substitute_text(text: str, known: Known) -> str:
    def value(found: re.Match[str]) -> str:
        name, attribute = found.groups()
        return _attribute(known, name, attribute or "Ref") if name in known else found[0]

    return _SUB_REFERENCE.sub(value, text)


def _attribute(known: Known, name: str, attribute: str) -> str:
    return known[name].get(attribute, f"arn:aws:local:{REGION}:{ACCOUNT}:{name}")


class _Expressions:
    """Collects the expressions of a tree as outputs of a template, and puts their values in their places."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._names: dict[str, str] = {}
        self.outputs: dict[str, Any] = {}

    def collect(self, tree: Any) -> Any:
        """Return `tree` with each expression replaced by the name of its output, as `_Output`."""
        match tree:
            case dict() if tree == _NO_VALUE:
                return _Output("")
            case dict() if len(tree) == 1 and _is_intrinsic(next(iter(tree))):
                return self._output(_substitute(tree, self._known))
            case {"Type": str(), "Condition": str(condition), **rest}:
                held = self._output({"Fn::If": [condition, "true", "false"]})
                return {**self.collect(rest), "Type": tree["Type"], "Condition": held}
            case dict():
                return {key: self.collect(value) for key, value in tree.items()}
            case list():
                return [self.collect(value) for value in tree]
        return tree

    def resolve(self, tree: Any, values: Mapping[str, str]) -> Any:
        """Return `tree` with values for outputs; what has no value (`AWS::NoValue`) is left out."""
        match tree:
            case _Output(name):
                return values.get(name)
            case dict():
                found = {key: self.resolve(value, values) for key, value in tree.items()}
                return {key: value for key, value in found.items() if value is not None}
            case list():
                return [value for each in tree if (value := self.resolve(each, values)) is not None]
        return tree

    def _output(self, expression: Any) -> Any:
        if isinstance(expression, str):
            return expression
        key = json.dumps(expression, sort_keys=True)
        name = self._names.setdefault(key, f"Value{len(self._names)}")
        self.outputs[name] = {"Value": expression}
        return _Output(name)


@dataclass(frozen=True, slots=True)
class _Output:
    name: str


def _is_intrinsic(key: str) -> bool:
    return key == "Ref" or key.startswith("Fn::")


def _present(served: Mapping[str, Any]) -> dict[str, Any]:
    return {name: resource for name, resource in served.items() if resource.get("Condition", "true") == "true"}


def _secret(name: str, resource: Mapping[str, Any], endpoint: str) -> dict[str, str]:
    """Create a secret, which moto's CloudFormation cannot; return its references."""
    properties = resource.get("Properties", {})
    secrets = client("secretsmanager", endpoint)
    text = properties.get("SecretString")
    if "GenerateSecretString" in properties:
        options = dict(properties["GenerateSecretString"])
        frame, key = options.pop("SecretStringTemplate", None), options.pop("GenerateStringKey", None)
        text = secrets.get_random_password(**options)["RandomPassword"]
        text = text if frame is None else json.dumps(json.loads(frame) | {key: text})
    if not isinstance(text, str):
        raise TypeError(f"{name}: the local stack wants a plain SecretString or a GenerateSecretString")
    created = secrets.create_secret(Name=f"{STACK}-{name}-{uuid.uuid4().hex[:8]}", SecretString=text)
    return {"Ref": created["ARN"], "Id": created["ARN"]}


# What moto's CloudFormation lacks and its API has.
_BY_API: dict[str, Callable[[str, Mapping[str, Any], str], dict[str, str]]] = {"AWS::SecretsManager::Secret": _secret}
