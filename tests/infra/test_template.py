"""The template, translated first because SAM hides and adds things: what each function may do, what is kept."""

import graphlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from beckon.aws import settings
from infra.local.template import translate

ROOT = Path(__file__).resolve().parents[2]
DESIGN = ("collect", "archive", "compact", "attribute", "retrain", "recommend", "manage")

SETTINGS = {
    "collect": settings.CollectSettings,
    "archive": settings.LakeSettings,
    "compact": settings.LakeSettings,
    "attribute": settings.AttributeSettings,
    "retrain": settings.RetrainSettings,
    "recommend": settings.RecommendSettings,
    "manage": settings.ManageSettings,
}


@pytest.fixture(scope="module")
def source() -> dict[str, Any]:
    return yaml_parse((ROOT / "template.yaml").read_text())


@pytest.fixture(scope="module")
def resources(translated) -> dict[str, Any]:
    return translated["Resources"]


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: each["Properties"] for name, each in resources.items() if each["Type"] == kind}


def logical(name: str) -> str:
    return f"{name.capitalize()}Function"


def spoken(value: Any) -> str:
    """A reference as a person would say it: `Table`, `LakeBucket/lake/*`."""
    match value:
        case {"Ref": name}:
            return name
        case {"Fn::GetAtt": [name, _]}:
            return name
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{(\w+)\.Arn\}", r"\1", text)
        case {"Fn::Join": ["/", parts]}:
            return "/".join(spoken(part) for part in parts)
    return str(value)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allowed(resources: dict[str, Any], function: str) -> dict[str, set[str]]:
    """What the function may do: action → the resources it may do it to."""
    role = resources[resources[logical(function)]["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
    documents = [policy["PolicyDocument"] for policy in role["Policies"]]
    documents += [
        policy["PolicyDocument"]
        for policy in of_type(resources, "AWS::IAM::Policy").values()
        if {"Ref": f"{logical(function)}Role"} in policy["Roles"]
    ]
    found: dict[str, set[str]] = {}
    for statement in (each for document in documents for each in document["Statement"]):
        assert statement["Effect"] == "Allow"
        for action in listed(statement["Action"]):
            found.setdefault(action, set()).update(spoken(each) for each in listed(statement["Resource"]))
    return found


def references(node: Any) -> Iterator[str]:
    match node:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::GetAtt": [name, *_]}:
            yield name
        case {"Fn::Sub": text}:
            own = text[1] if isinstance(text, list) else {}
            for name in re.findall(r"\$\{(\w+)", text[0] if isinstance(text, list) else text):
                if name not in own:
                    yield name
            yield from references(own)
        case dict():
            for value in node.values():
                yield from references(value)
        case list():
            for value in node:
                yield from references(value)


def test_every_function_of_the_design_is_there_with_its_folder(resources):
    assert set(of_type(resources, "AWS::Lambda::Function")) == {logical(name) for name in DESIGN}
    for name in DESIGN:
        assert (ROOT / "functions" / name / "app.py").is_file()


def test_every_function_runs_python_on_the_chosen_processor(resources):
    for function in of_type(resources, "AWS::Lambda::Function").values():
        assert function["Runtime"] == "python3.13"
        assert function["Handler"] == "app.handler"
        assert function["Architectures"] == [{"Ref": "Architecture"}]
    for layer in of_type(resources, "AWS::Lambda::LayerVersion").values():
        assert layer["CompatibleRuntimes"] == ["python3.13"]
        assert layer["CompatibleArchitectures"] == [{"Ref": "Architecture"}]


def test_layers_are_built_for_the_processor_they_are_deployed_to(source):
    layers = [each for each in source["Resources"].values() if each["Type"] == "AWS::Serverless::LayerVersion"]
    assert len(layers) == 3
    for layer in layers:
        assert layer["Metadata"]["BuildArchitecture"] == {"Ref": "Architecture"}
    for architecture in source["Parameters"]["Architecture"]["AllowedValues"]:
        assert (ROOT / "layers" / "data" / architecture / "Makefile").is_file()


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_a_chosen_processor_is_the_default_of_the_translated_template(architecture):
    chosen = translate(ROOT / "template.yaml", {"Architecture": architecture})
    assert chosen["Parameters"]["Architecture"]["Default"] == architecture


def test_functions_have_the_layers_they_need_and_no_more(resources):
    def layers(name: str) -> list[str]:
        refs = resources[logical(name)]["Properties"]["Layers"]
        return [re.sub(r"[0-9a-f]{10}$", "", ref["Ref"]) for ref in refs]

    light, data = ["CoreLayer"], ["CoreLayer", "DataLayer"]
    assert {name: layers(name) for name in DESIGN} == {
        "collect": light,
        "archive": data,
        "compact": data,
        "attribute": light,
        "retrain": data,
        "recommend": ["CoreLayer", "ServingLayer"],
        "manage": light,
    }


def on(resource: str, *actions: str) -> dict[str, set[str]]:
    return {action: {resource} for action in actions}


def test_a_function_may_do_what_it_does_and_nothing_else(resources):
    table = "dynamodb:"
    read_secret = on("Secret", "secretsmanager:GetSecretValue")
    keep_batches = on("FailureBucket/*", "s3:PutObject") | on("FailureBucket", "s3:ListBucket")
    keep_runs = on("FailedInvocations", "sqs:SendMessage")
    assert {name: allowed(resources, name) for name in DESIGN} == {
        "collect": read_secret | on("Table", f"{table}GetItem", f"{table}PutItem"),
        "archive": keep_batches | {"s3:PutObject": {"FailureBucket/*", "LakeBucket/lake/*"}},
        "compact": keep_runs
        | on("LakeBucket", "s3:ListBucket")
        | on("LakeBucket/lake/*", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        "attribute": keep_batches | on("Table", f"{table}Query", f"{table}PutItem", f"{table}UpdateItem"),
        "retrain": keep_runs
        | {
            "s3:ListBucket": {"LakeBucket", "ModelBucket"},
            "s3:GetObject": {"LakeBucket/lake/*", "ModelBucket/models/*"},
            "s3:PutObject": {"ModelBucket/models/*"},
            "s3:DeleteObject": {"ModelBucket/models/*"},
        }
        | on("Table", f"{table}Query", f"{table}PutItem", f"{table}DeleteItem")
        | on("RetrainFunction", "lambda:InvokeFunction"),
        "recommend": read_secret
        | on("Table", f"{table}GetItem", f"{table}Query", f"{table}PutItem")
        | on("ModelBucket/models/*", "s3:GetObject")
        | on("ModelBucket", "s3:ListBucket"),
        "manage": read_secret
        | on("Table", *(table + a for a in ("GetItem", "BatchGetItem", "Query", "PutItem", "DeleteItem")))
        | on("ModelBucket", "s3:ListBucket")
        | on("ModelBucket/models/*", "s3:GetObject", "s3:PutObject"),
    }


def test_only_stream_readers_may_read_streams(resources):
    basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    stream = "arn:aws:iam::aws:policy/service-role/AWSLambdaDynamoDBExecutionRole"
    for name in DESIGN:
        managed = [
            re.sub(r"^arn:[^:]*:", "arn:aws:", spoken(arn))
            for arn in resources[f"{logical(name)}Role"]["Properties"]["ManagedPolicyArns"]
        ]
        assert sorted(managed) == [basic, stream] if name in {"archive", "attribute"} else [basic]


def test_nothing_needs_what_needs_it(resources):
    graph = {name: {each for each in references(body) if each in resources} for name, body in resources.items()}
    assert {"RetrainFunction", "RetrainFunctionRole"} <= graph["RetrainCallsItself"]
    assert tuple(graphlib.TopologicalSorter(graph).static_order())


def test_every_function_is_told_exactly_the_settings_it_reads(resources):
    for name, model in SETTINGS.items():
        variables = resources[logical(name)]["Properties"]["Environment"]["Variables"]
        told = {key.removeprefix("BECKON_").lower() for key in variables if key.startswith("BECKON_")}
        assert told == set(model.model_fields), name


def test_the_table_streams_expires_and_can_be_restored(resources):
    table = resources["Table"]["Properties"]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["KeySchema"] == [
        {"AttributeName": "PK", "KeyType": "HASH"},
        {"AttributeName": "SK", "KeyType": "RANGE"},
    ]
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["DeletionProtectionEnabled"] is True


def test_what_holds_data_outlives_the_stack(resources):
    held = {"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SecretsManager::Secret"}
    kept = {name: each for name, each in resources.items() if each["Type"] in held}
    assert set(kept) == {"Table", "LakeBucket", "ModelBucket", "FailureBucket", "Secret"}
    for each in kept.values():
        assert each["DeletionPolicy"] == "Retain"
        assert each["UpdateReplacePolicy"] == "Retain"


def test_buckets_forget_what_they_should(resources):
    def days(name: str) -> dict[str, Any]:
        rules = resources[name]["Properties"]["LifecycleConfiguration"]["Rules"]
        return {rule.get("Prefix", ""): rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}

    assert days("LakeBucket") == {"lake/": {"Ref": "LakeDays"}}
    assert days("ModelBucket") == {}
    assert days("FailureBucket") == {"": 90}


def test_strangers_are_throttled_on_every_route(resources):
    (stage,) = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
    assert stage["StageName"] == "$default"
    assert stage["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": {"Ref": "RequestsPerSecond"},
        "ThrottlingBurstLimit": {"Ref": "RequestsPerSecond"},
    }
    assert "RouteSettings" not in stage


def test_browsers_may_send_what_trackers_send(resources):
    cors = resources["Api"]["Properties"]["Body"]["x-amazon-apigateway-cors"]
    assert "authorization" in cors["allowHeaders"]  # "*" never covers it
    assert "*" not in cors["allowHeaders"]
    assert {"POST", "PUT", "GET", "DELETE", "OPTIONS"} == set(cors["allowMethods"])


def test_each_route_has_one_function(resources):
    paths = resources["Api"]["Properties"]["Body"]["paths"]
    served: dict[str, set[str]] = {}
    for path, methods in paths.items():
        for method, route in methods.items():
            uri = route["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            name = re.findall(r"\$\{(\w+)Function\.Arn\}", uri)[0].lower()
            served.setdefault(name, set()).add(f"{method.upper()} {path}")
    assert set(served) == {"collect", "recommend", "manage"}
    assert {f"POST /v1/{call}" for call in ("batch", "track", "identify", "page", "screen", "group", "alias")} <= (
        served["collect"]
    )
    assert "POST /v1/recommendations" in served["recommend"]
    assert {
        "PUT /v1/items/{id}",
        "GET /v1/items/{id}",
        "DELETE /v1/items/{id}",
        "POST /v1/items",
        "GET /v1/items",
        "GET /v1/models",
        "POST /v1/models/{id}/promote",
        "GET /v1/users/{id}/profile",
        "GET /healthz",
    } <= served["manage"]
    assert not any("$default" in path for path in paths)


def test_streams_wait_out_a_day_and_keep_what_failed(resources):
    mappings = of_type(resources, "AWS::Lambda::EventSourceMapping")
    readers = {spoken(each["FunctionName"]) for each in mappings.values()}
    assert readers == {"ArchiveFunction", "AttributeFunction"}  # a table stream takes two readers a shard
    for mapping in mappings.values():
        assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["Table", "StreamArn"]}
        assert mapping["StartingPosition"] == "TRIM_HORIZON"
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["BisectBatchOnFunctionError"] is True
        assert mapping["MaximumRecordAgeInSeconds"] == 22 * 3600
        assert "MaximumRetryAttempts" not in mapping
        assert spoken(mapping["DestinationConfig"]["OnFailure"]["Destination"]) == "FailureBucket"


def test_stream_filters_let_through_new_records_of_the_right_kinds(resources):
    def kinds(name: str) -> set[str]:
        (filter_,) = resources[name]["Properties"]["FilterCriteria"]["Filters"]
        pattern = json.loads(filter_["Pattern"])
        assert pattern["eventName"] == ["INSERT"]
        return {each["prefix"] for each in pattern["dynamodb"]["Keys"]["SK"]["S"]}

    assert kinds("ArchiveFunctionStream") == {"E#", "V#", "X#", "O#", "R#"}
    assert kinds("AttributeFunctionStream") == {"E#"}


def test_scheduled_runs_are_nameless_so_that_two_stacks_share_an_account(resources):
    schedules = of_type(resources, "AWS::Scheduler::Schedule")
    assert {spoken(each["Target"]["Arn"]) for each in schedules.values()} == {"CompactFunction", "RetrainFunction"}
    for schedule in schedules.values():
        assert "Name" not in schedule
        assert spoken(schedule["Target"]["DeadLetterConfig"]["Arn"]) == "FailedInvocations"
    assert schedules["RetrainFunctionNightly"]["ScheduleExpression"] == {"Ref": "RetrainSchedule"}


def test_failed_runs_wait_a_fortnight(resources):
    queue = resources["FailedInvocations"]["Properties"]
    assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert queue["SqsManagedSseEnabled"] is True
    for name in ("compact", "retrain"):
        kept = resources[f"{logical(name)}EventInvokeConfig"]["Properties"]
        assert kept["MaximumRetryAttempts"] == 2
        assert spoken(kept["DestinationConfig"]["OnFailure"]["Destination"]) == "FailedInvocations"


def test_every_function_logs_for_as_long_as_was_said(resources):
    for name in DESIGN:
        group = resources[resources[logical(name)]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
        assert group["RetentionInDays"] == {"Ref": "LogDays"}
        assert group["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/${{AWS::StackName}}-{name}"}


def alarm_metrics(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    if "Metrics" in alarm:
        return [each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each]
    return [alarm]


def test_alarms_cost_nothing_watch_what_exists_and_say_what_to_do(resources):
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    watched = [metric for alarm in alarms.values() for metric in alarm_metrics(alarm)]
    assert 0 < len(alarms) <= 10
    assert len(watched) <= 10  # CloudWatch bills by metric, and ten are free
    for metric in watched:
        for dimension in metric.get("Dimensions", []):
            if dimension["Name"] != "StorageType":
                assert spoken(dimension["Value"]) in resources
    for alarm in alarms.values():
        assert len(alarm["AlarmDescription"]) > 30


def test_every_fault_a_person_must_know_of_has_an_alarm(resources):
    alarms = of_type(resources, "AWS::CloudWatch::Alarm").values()
    watched = {
        (metric["Namespace"], metric["MetricName"], *(spoken(d["Value"]) for d in metric.get("Dimensions", [])))
        for alarm in alarms
        for metric in alarm_metrics(alarm)
    }
    assert watched == {
        ("AWS/ApiGateway", "5xx", "Api"),
        ("AWS/Lambda", "Duration", "RecommendFunction"),
        ("AWS/Lambda", "Errors", "ArchiveFunction"),
        ("AWS/Lambda", "Errors", "AttributeFunction"),
        ("AWS/Lambda", "IteratorAge", "ArchiveFunction"),
        ("AWS/Lambda", "IteratorAge", "AttributeFunction"),
        ("AWS/S3", "NumberOfObjects", "FailureBucket", "AllStorageTypes"),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "FailedInvocations"),
        ("AWS/Lambda", "Invocations", "RetrainFunction"),
        ("AWS/Lambda", "Throttles"),
    }


def test_alarms_tell_a_topic_only_where_there_is_one(translated, resources):
    assert translated["Conditions"]["HasAlarmTopic"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopic"}, ""]}]}
    for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values():
        for actions in (alarm["AlarmActions"], alarm["OKActions"]):
            assert actions == [{"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopic"}, {"Ref": "AWS::NoValue"}]}]


def test_only_silence_of_retrain_is_an_alarm(resources):
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    silent = {name for name, alarm in alarms.items() if alarm["TreatMissingData"] != "notBreaching"}
    assert silent == {"ModelsAging"}
    assert alarms["ModelsAging"]["ComparisonOperator"] == "LessThanThreshold"


def test_outputs_say_where_everything_is(translated):
    outputs = translated["Outputs"]
    assert set(outputs) == {
        "ApiUrl",
        "TableName",
        "LakeBucketName",
        "ModelBucketName",
        "FailureBucketName",
        "FailedInvocationsUrl",
        "ManageFunctionName",
    }
    assert all(output["Description"] for output in outputs.values())


def test_every_parameter_is_used_and_explained(source):
    body = {key: value for key, value in source.items() if key != "Parameters"}
    used = set(references(body))
    for name, parameter in source["Parameters"].items():
        assert name in used, name
        assert parameter["Description"]
        assert "Default" in parameter
