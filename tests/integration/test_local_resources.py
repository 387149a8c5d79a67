import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest

from infra.local import parts
from infra.local.resources import client, provision
from infra.local.template import translate

TEMPLATE = """
    Transform: AWS::Serverless-2016-10-31
    Parameters:
      Size: { Type: Number, Default: 256 }
      Colour: { Type: String, Default: red }
    Conditions:
      IsRed: !Equals [!Ref Colour, red]
    Mappings:
      Words: { red: { short: r }, blue: { short: b } }
    Resources:
      Bucket: { Type: AWS::S3::Bucket, DependsOn: Worker }
      Queue: { Type: AWS::SQS::Queue }
      RedTopic: { Type: AWS::SNS::Topic, Condition: IsRed }
      Alarm: { Type: AWS::CloudWatch::Alarm, Properties: { MetricName: x, AlarmActions: [!Ref RedTopic] } }
      Plain: { Type: AWS::SecretsManager::Secret, Properties: { SecretString: as it is } }
      Framed:
        Type: AWS::SecretsManager::Secret
        Properties:
          GenerateSecretString:
            SecretStringTemplate: '{"user": "u"}'
            GenerateStringKey: password
            PasswordLength: 40
      Worker:
        Type: AWS::Serverless::Function
        Properties:
          CodeUri: functions/worker
          Handler: app.handler
          Runtime: python3.13
          MemorySize: !Ref Size
          AutoPublishAlias: live
          Environment:
            Variables:
              BUCKET: !Ref Bucket
              PATH_OF: !Sub "s3://${Bucket}/${Colour}/${!kept}/${Queue.Arn}"
              SELF: !Sub "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}-x"
              WORD: !FindInMap [Words, !Ref Colour, short]
              BOTH: !Join ["-", [!Ref Colour, !Ref Size]]
              WHICH: !If [IsRed, warm, cold]
              NONE: !If [IsRed, !Ref AWS::NoValue, there]
              SECRET: !Ref Plain
              NUMBER: 7
          Events:
            Red: { Type: HttpApi, Properties: { Method: GET, Path: /red } }
            Jobs: { Type: SQS, Properties: { Queue: !GetAtt Queue.Arn } }
            Rule: { Type: Schedule, Properties: { Schedule: !If [IsRed, rate(1 day), rate(2 days)], Input: '{"a":1}' } }
            Never: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 day), State: DISABLED } }
      Blue:
        Type: AWS::Serverless::Function
        Condition: IsBlue
        Properties: { CodeUri: functions/blue, Handler: app.handler, Runtime: python3.13 }
    Outputs:
      Address: { Value: !GetAtt Queue.Arn }
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    for folder in ("functions/worker", "functions/blue", "other/worker"):
        (tmp_path / folder).mkdir(parents=True)
    path = tmp_path / "template.yaml"
    text = dedent(TEMPLATE).replace("  IsRed:", "  IsBlue: !Equals [!Ref Colour, blue]\n  IsRed:")
    path.write_text(text)
    return path


@pytest.fixture
def empty(moto_url: str) -> str:
    """A moto server with nothing in it."""
    httpx.post(f"{moto_url}/moto-api/reset", timeout=10, trust_env=False)
    return moto_url


def made(template: Path, endpoint: str, **parameters: str) -> Any:
    return provision(translate(template, parameters), endpoint)


def test_every_kind_of_expression_in_a_function_s_environment_is_resolved(empty: str, template: Path) -> None:
    provisioned = made(template, empty)
    found = provisioned.environment("worker")
    queue = provisioned.outputs["Address"]
    assert queue.startswith("arn:aws:sqs:us-east-1:123456789012:")
    assert found["PATH_OF"] == f"s3://{found['BUCKET']}/red/${{kept}}/{queue}"
    assert found["SELF"] == "arn:aws:lambda:us-east-1:123456789012:function:beckon-x"
    assert (found["WORD"], found["BOTH"], found["WHICH"], found["NUMBER"]) == ("r", "red-256", "warm", "7")
    assert "NONE" not in found
    client("s3", empty).head_bucket(Bucket=found["BUCKET"])
    secrets = client("secretsmanager", empty)
    assert secrets.get_secret_value(SecretId=found["SECRET"])["SecretString"] == "as it is"


def test_parameters_given_replace_the_defaults_everywhere(empty: str, template: Path) -> None:
    provisioned = made(template, empty, Colour="blue", Size="512")
    found = provisioned.environment("worker")
    assert (found["WORD"], found["WHICH"], found["NONE"]) == ("b", "cold", "there")
    by_name = {function.name: function for function in parts.functions(provisioned.template, template.parent)}
    assert by_name.keys() == {"worker", "blue"}
    assert by_name["worker"].memory_mb == 512
    assert client("sns", empty).list_topics()["Topics"] == []


def test_a_resource_whose_condition_is_false_is_not_served(empty: str, template: Path) -> None:
    provisioned = made(template, empty)
    assert [function.name for function in parts.functions(provisioned.template, template.parent)] == ["worker"]
    assert len(client("sns", empty).list_topics()["Topics"]) == 1


def test_routes_sources_and_schedules_find_their_function_through_an_alias_too(empty: str, template: Path) -> None:
    provisioned = made(template, empty)
    assert parts.routes(provisioned.template) == [parts.Route("GET", "/red", "worker")]
    (source,) = parts.sources(provisioned.template)
    assert (source.kind, source.function, source.batch_size) == ("sqs", "worker", 10)
    assert source.arn == provisioned.outputs["Address"]
    (schedule,) = parts.schedules(provisioned.template)
    assert (schedule.function, schedule.expression, schedule.payload) == ("worker", "rate(1 day)", '{"a":1}')


def test_a_generated_secret_is_framed_as_its_template_says(empty: str, template: Path) -> None:
    made(template, empty)
    secrets = client("secretsmanager", empty)
    (framed,) = [each["ARN"] for each in secrets.list_secrets()["SecretList"] if "Framed" in each["Name"]]
    value = json.loads(secrets.get_secret_value(SecretId=framed)["SecretString"])
    assert (value["user"], len(value["password"])) == ("u", 40)


def test_an_unknown_parameter_is_refused_by_name(template: Path) -> None:
    with pytest.raises(ValueError, match="no parameter Color; it has Colour, Size"):
        translate(template, {"Color": "blue"})


def test_two_functions_in_folders_of_one_name_are_refused(empty: str, template: Path) -> None:
    template.write_text(template.read_text().replace("functions/blue", "other/worker"))
    provisioned = made(template, empty, Colour="blue")
    with pytest.raises(ValueError, match="folders named worker"):
        parts.functions(provisioned.template, template.parent)


def test_a_function_without_a_folder_is_refused(empty: str, template: Path) -> None:
    provisioned = made(template, empty)
    (template.parent / "functions/worker").rmdir()
    with pytest.raises(ValueError, match="worker has no folder"):
        parts.functions(provisioned.template, template.parent)


def test_the_project_s_own_template_needs_no_resource_named_here(aws: Any) -> None:
    tables = client("dynamodb", aws.endpoint).list_tables()["TableNames"]
    assert tables == [aws.environment("collect")["BECKON_TABLE"]]
    sources = {source.function: source for source in parts.sources(aws.template)}
    assert sources["archive"].window_s == 60
    assert sources["archive"].is_partial
    assert sources["archive"].is_bisected
    assert sources["archive"].max_age_s == 79200
    assert sources["archive"].retries is None
    assert sources["archive"].on_failure.startswith("arn:aws:s3:::")
    rules = parts.asynchronous_rules(aws.template)
    assert rules["retrain"].on_failure.startswith("arn:aws:sqs:")
    assert {schedule.function for schedule in parts.schedules(aws.template)} == {"compact", "retrain"}
