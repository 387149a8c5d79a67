"""A typed view of what the template wires together: functions, routes, sources of events, schedules.

It is read from a template whose expressions `infra.local.resources.provision` resolved, so every value is plain.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from infra.local.template import ACCOUNT, REGION, folder, function_name

_FUNCTION = re.compile(r":function:([\w-]+)")
_DEFAULT_BATCH = {"dynamodb": 100, "sqs": 10}


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function; Python looks for its code in `folder`, then in `layers`."""

    name: str
    folder: Path
    handler: str
    environment: Mapping[str, str]
    timeout_s: float
    memory_mb: int
    layers: Sequence[Path]

    @property
    def arn(self) -> str:
        """The function's ARN, unqualified."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.name}"


@dataclass(frozen=True, slots=True)
class Route:
    """A route of an HTTP API; `path` may hold `{name}` and, last, `{name+}`; `method` may be ANY."""

    method: str
    path: str
    function: str


@dataclass(frozen=True, slots=True)
class Cors:
    """An HTTP API's CorsConfiguration; empty means none."""

    origins: Sequence[str] = ()
    methods: Sequence[str] = ()
    headers: Sequence[str] = ()
    exposed: Sequence[str] = ()
    max_age_s: int | None = None
    credentials: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """An event source mapping of a DynamoDB stream or an SQS queue; None among its limits means no limit."""

    name: str
    kind: Literal["dynamodb", "sqs"]
    arn: str
    function: str
    batch_size: int
    window_s: float
    patterns: Sequence[str]
    is_partial: bool  # the function reports which items failed
    is_bisected: bool
    from_start: bool
    retries: int | None
    max_age_s: int | None
    on_failure: str | None


@dataclass(frozen=True, slots=True)
class AsynchronousRules:
    """What happens to an asynchronous invocation that fails; destinations are ARNs."""

    retries: int = 2
    max_age_s: int = 21_600
    on_failure: str | None = None
    on_success: str | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A function's schedule; `payload` is the JSON it is given, None for the service's own event."""

    name: str
    service: Literal["aws.scheduler", "aws.events"]
    expression: str
    zone: str
    function: str
    payload: str | None

    @property
    def arn(self) -> str:
        """The ARN of the schedule or rule."""
        kind = "schedule/default" if self.service == "aws.scheduler" else "rule"
        return f"arn:aws:{self.service.removeprefix('aws.')}:{REGION}:{ACCOUNT}:{kind}/{self.name}"


def functions(template: Mapping[str, Any], root: Path) -> list[Function]:
    """Return the functions; `root` is the folder of the template.

    Raises:
        ValueError: two functions are in folders of one name, which is what they are called by, or one has no folder.
    """
    layers = {name: _layer_path(folder(r, root)) for name, r in _of_type(template, "AWS::Lambda::LayerVersion")}
    found: dict[str, Function] = {}
    for _, resource in _of_type(template, "AWS::Lambda::Function"):
        properties = resource["Properties"]
        name = function_name(resource)
        if name in found:
            raise ValueError(f"two functions are in folders named {name}; a function is called by its folder's name")
        code = folder(resource, root)
        if not code.is_dir():
            raise ValueError(f"function {name} has no folder {code}")
        variables = properties.get("Environment", {}).get("Variables", {})
        found[name] = Function(
            name,
            code,
            properties["Handler"],
            {key: str(value) for key, value in variables.items()},
            float(properties.get("Timeout", 3)),
            int(properties.get("MemorySize", 128)),
            [layers[layer] for layer in properties.get("Layers", []) if layer in layers],
        )
    return list(found.values())


def _layer_path(content: Path) -> Path:
    built = content / "python"
    return built if built.is_dir() else content


def routes(template: Mapping[str, Any]) -> list[Route]:
    """Return the routes of every HTTP API, as the translated OpenAPI bodies hold them."""
    return [
        Route(_method(method), path, called(operation["x-amazon-apigateway-integration"]["uri"]))
        for body in _bodies(template)
        for path, operations in body.get("paths", {}).items()
        for method, operation in operations.items()
        if "x-amazon-apigateway-integration" in operation
    ]


def _method(key: str) -> str:
    return "ANY" if key == "x-amazon-apigateway-any-method" else key.upper()


def cors(template: Mapping[str, Any]) -> Cors:
    """Return the CORS rules of the HTTP API."""
    for body in _bodies(template):
        if rules := body.get("x-amazon-apigateway-cors"):
            age = rules.get("maxAge")
            return Cors(
                rules.get("allowOrigins", ()),
                rules.get("allowMethods", ()),
                rules.get("allowHeaders", ()),
                rules.get("exposeHeaders", ()),
                None if age is None else int(age),
                _flag(rules.get("allowCredentials", False)),
            )
    return Cors()


def _bodies(template: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for _, resource in _of_type(template, "AWS::ApiGatewayV2::Api"):
        yield resource["Properties"].get("Body", {})


def sources(template: Mapping[str, Any]) -> list[Source]:
    """Return the event source mappings that are enabled.

    Raises:
        ValueError: a mapping of anything but a DynamoDB stream or an SQS queue.
    """
    return [
        _source(name, resource["Properties"])
        for name, resource in _of_type(template, "AWS::Lambda::EventSourceMapping")
        if _flag(resource["Properties"].get("Enabled", True))
    ]


def _source(name: str, properties: Mapping[str, Any]) -> Source:
    arn = properties["EventSourceArn"]
    kind = arn.split(":")[2]
    if kind not in _DEFAULT_BATCH:
        raise ValueError(f"{name}: the local stack has no source like {arn}; it has DynamoDB streams and SQS queues")
    age = int(properties.get("MaximumRecordAgeInSeconds", -1))
    retries = int(properties.get("MaximumRetryAttempts", -1))
    return Source(
        name=name,
        kind=kind,
        arn=arn,
        function=called(properties["FunctionName"]),
        batch_size=int(properties.get("BatchSize", _DEFAULT_BATCH[kind])),
        window_s=float(properties.get("MaximumBatchingWindowInSeconds", 0)),
        patterns=[f["Pattern"] for f in properties.get("FilterCriteria", {}).get("Filters", [])],
        is_partial="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
        is_bisected=_flag(properties.get("BisectBatchOnFunctionError", False)),
        from_start=properties.get("StartingPosition") != "LATEST",
        retries=None if retries < 0 else retries,
        max_age_s=None if age < 0 else age,
        on_failure=_destination(properties, "OnFailure"),
    )


def asynchronous_rules(template: Mapping[str, Any]) -> dict[str, AsynchronousRules]:
    """Return the rules of the functions that have any of their own."""
    found, default = {}, AsynchronousRules()
    for _, resource in _of_type(template, "AWS::Lambda::EventInvokeConfig"):
        properties = resource["Properties"]
        found[called(properties["FunctionName"])] = AsynchronousRules(
            int(properties.get("MaximumRetryAttempts", default.retries)),
            int(properties.get("MaximumEventAgeInSeconds", default.max_age_s)),
            _destination(properties, "OnFailure"),
            _destination(properties, "OnSuccess"),
        )
    return found


def _destination(properties: Mapping[str, Any], when: str) -> str | None:
    found: str | None = properties.get("DestinationConfig", {}).get(when, {}).get("Destination")
    return found


def schedules(template: Mapping[str, Any]) -> list[Schedule]:
    """Return the schedules, of EventBridge Scheduler and of rules, that are enabled."""
    found = []
    for name, resource in _of_type(template, "AWS::Scheduler::Schedule"):
        properties = resource["Properties"]
        if properties.get("State", "ENABLED") == "ENABLED":
            target = properties["Target"]
            zone = properties.get("ScheduleExpressionTimezone", "UTC")
            called_name = properties.get("Name", name)
            expression = properties["ScheduleExpression"]
            found.append(
                Schedule(called_name, "aws.scheduler", expression, zone, called(target["Arn"]), target.get("Input"))
            )
    for name, resource in _of_type(template, "AWS::Events::Rule"):
        properties = resource["Properties"]
        if "ScheduleExpression" in properties and properties.get("State", "ENABLED") == "ENABLED":
            called_name = properties.get("Name", name)
            expression = properties["ScheduleExpression"]
            found += [
                Schedule(called_name, "aws.events", expression, "UTC", called(target["Arn"]), target.get("Input"))
                for target in properties.get("Targets", [])
            ]
    return found


def called(reference: str) -> str:
    """Return the name of the function that an ARN, a URI around one, or a name means."""
    arn = _FUNCTION.search(reference)
    return arn[1] if arn else reference.partition(":")[0]


def _flag(value: Any) -> bool:
    return value is True or str(value).lower() == "true"  # an expression's value is text


def _of_type(template: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield name, resource
