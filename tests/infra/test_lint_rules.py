"""Each of Beckon's lint rules passes the template and finds its fault in a copy with one planted."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cfnlint.decode.decode import decode_str
from cfnlint.template import Template

from infra.lint import lint_translated
from infra.lint_rules import promises


def copied(template: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(template))  # a deep copy would still share what the source shares by anchor


def first(template: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(each["Properties"] for each in template["Resources"].values() if each["Type"] == kind)


def mapping(template: dict[str, Any]) -> dict[str, Any]:
    return first(template, "AWS::Lambda::EventSourceMapping")


def bucket(template: dict[str, Any]) -> dict[str, Any]:
    return template["Resources"]["ModelBucket"]["Properties"]


def tls_statement(template: dict[str, Any]) -> dict[str, Any]:
    return template["Resources"]["LakeBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]


def allow(template: dict[str, Any], action: Any, resource: Any) -> None:
    policy = template["Resources"]["RetrainCallsItself"]["Properties"]["PolicyDocument"]
    policy["Statement"].append({"Effect": "Allow", "Action": action, "Resource": resource})


PLANTED: list[tuple[type, str, Callable[[dict[str, Any]], Any]]] = [
    (promises.StreamFailuresAreKept, "OnFailure", lambda t: mapping(t).pop("DestinationConfig")),
    (promises.StreamFailuresAreKept, "ReportBatch", lambda t: mapping(t).update(FunctionResponseTypes=[])),
    (promises.StreamFailuresAreKept, "filter", lambda t: mapping(t).pop("FilterCriteria")),
    (promises.LogsEnd, "RetentionInDays", lambda t: first(t, "AWS::Lambda::Function").pop("LoggingConfig")),
    (promises.LogsEnd, "RetentionInDays", lambda t: first(t, "AWS::Logs::LogGroup").pop("RetentionInDays")),
    (promises.BucketsArePrivate, "BucketEncryption", lambda t: bucket(t).pop("BucketEncryption")),
    (
        promises.BucketsArePrivate,
        "public access",
        lambda t: bucket(t)["PublicAccessBlockConfiguration"].update(IgnorePublicAcls=False),
    ),
    (promises.BucketsArePrivate, "TLS", lambda t: t["Resources"].pop("FailureBucketPolicy")),
    (promises.BucketsArePrivate, "TLS", lambda t: tls_statement(t).update(Effect="Allow")),
    (promises.BucketsArePrivate, "TLS", lambda t: tls_statement(t).update(Resource=[tls_statement(t)["Resource"][0]])),
    (
        promises.ScheduledRunsAreKept,
        "DeadLetterConfig",
        lambda t: first(t, "AWS::Scheduler::Schedule")["Target"].pop("DeadLetterConfig"),
    ),
    (
        promises.ScheduledRunsAreKept,
        "OnFailure",
        lambda t: t["Resources"]["RetrainFunctionEventInvokeConfig"]["Properties"].pop("DestinationConfig"),
    ),
    (promises.PoliciesAreNarrow, "name the actions", lambda t: allow(t, "dynamodb:*", "arn:aws:dynamodb:::table/x")),
    (promises.PoliciesAreNarrow, "name the actions", lambda t: allow(t, ["s3:GetObject", "*"], "arn:aws:s3:::b/x")),
    (promises.PoliciesAreNarrow, "every resource", lambda t: allow(t, "s3:GetObject", ["arn:aws:s3:::b/x", "*"])),
]


def complaints(rule: type, template: dict[str, Any]) -> list[str]:
    decoded, errors = decode_str(json.dumps(template))
    assert not errors
    return [match.message for match in rule().match(Template("template.json", decoded))]


@pytest.mark.parametrize("rule", sorted({rule for rule, _, _ in PLANTED}, key=lambda rule: rule.id))
def test_the_template_keeps_the_promise(rule, translated):
    assert complaints(rule, translated) == []


@pytest.mark.parametrize(("rule", "words", "plant"), PLANTED)
def test_a_planted_fault_is_found_once(rule, words, plant, translated):
    bad = copied(translated)
    plant(bad)
    (found,) = complaints(rule, bad)
    assert words in found


def test_make_check_reads_these_rules_and_cfn_lints_own(translated):
    bad = copied(translated)
    bucket(bad).pop("BucketEncryption")
    first(bad, "AWS::Lambda::Function")["Runtime"] = "python2.6"
    found = " ".join(lint_translated(bad))
    assert "E9003 ModelBucket has no BucketEncryption" in found
    assert "python2.6" in found
