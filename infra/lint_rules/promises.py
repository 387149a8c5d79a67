"""cfn-lint rules, one a promise that Beckon makes about every resource of a kind, for the translated template.

They judge CloudFormation, not SAM: what SAM adds is judged too, and what it drops is missed.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cfnlint.rules import CloudFormationLintRule, RuleMatch
from cfnlint.template import Template

_PRIVATE = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


class StreamFailuresAreKept(CloudFormationLintRule):
    """Every stream mapping keeps failed batches, answers record by record, and filters its stream."""

    id = "E9001"
    shortdesc = "Stream mappings lose nothing"
    description = __doc__
    tags = ("resources", "lambda")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Return a match for each mapping that blocks its shard, repeats good records, or wakes on everything."""
        found = []
        for name, mapping in cfn.get_resources("AWS::Lambda::EventSourceMapping").items():
            properties = mapping["Properties"]
            if not properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"):
                found.append(_at(name, "has no OnFailure destination: after its last retry a batch would be lost"))
            if "ReportBatchItemFailures" not in properties.get("FunctionResponseTypes", []):
                found.append(_at(name, "lacks ReportBatchItemFailures: a partial failure would count as success"))
            if not properties.get("FilterCriteria", {}).get("Filters"):
                found.append(_at(name, "has no filter: a function that writes to its own table would wake itself"))
        return found


class LogsEnd(CloudFormationLintRule):
    """Every function writes to a log group of this template that has a retention."""

    id = "E9002"
    shortdesc = "Function logs are kept for a stated time"
    description = __doc__
    tags = ("resources", "lambda")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Return a match for each function whose log lines would be kept for ever."""
        kept = cfn.get_resources("AWS::Logs::LogGroup")
        found = []
        for name, function in cfn.get_resources("AWS::Lambda::Function").items():
            group = function["Properties"].get("LoggingConfig", {}).get("LogGroup")
            match group:
                case {"Ref": str(of)} if kept.get(of, {}).get("Properties", {}).get("RetentionInDays"):
                    continue
            found.append(_at(name, "has no log group with RetentionInDays: its lines would be kept for ever"))
        return found


class BucketsArePrivate(CloudFormationLintRule):
    """Every bucket is encrypted, blocks public access four ways, and its policy denies what is not TLS."""

    id = "E9003"
    shortdesc = "Buckets are encrypted, private and reached by TLS alone"
    description = __doc__
    tags = ("resources", "s3")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Return a match for each bucket and each of the three that it lacks."""
        policies = [policy["Properties"] for policy in cfn.get_resources("AWS::S3::BucketPolicy").values()]
        tls_only = {policy["Bucket"].get("Ref") for policy in policies if any(_denies_plain(policy))}
        found = []
        for name, bucket in cfn.get_resources("AWS::S3::Bucket").items():
            properties = bucket.get("Properties", {})
            if not properties.get("BucketEncryption"):
                found.append(_at(name, "has no BucketEncryption"))
            blocked = properties.get("PublicAccessBlockConfiguration", {})
            if not all(blocked.get(way) is True for way in _PRIVATE):
                found.append(_at(name, f"does not block public access: {', '.join(_PRIVATE)} must be true"))
            if name not in tls_only:
                found.append(_at(name, "has no policy that denies s3:* on it and its objects without TLS"))
        return found


class ScheduledRunsAreKept(CloudFormationLintRule):
    """Every schedule has a dead-letter queue, and its function a place for runs that fail."""

    id = "E9004"
    shortdesc = "Scheduled runs that fail are kept"
    description = __doc__
    tags = ("resources", "scheduler")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Return a match for each schedule whose failed start or failed run would leave no trace."""
        asynchronous = [config["Properties"] for config in cfn.get_resources("AWS::Lambda::EventInvokeConfig").values()]
        kept = {
            config["FunctionName"].get("Ref")
            for config in asynchronous
            if config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        }
        found = []
        for name, schedule in cfn.get_resources("AWS::Scheduler::Schedule").items():
            target = schedule["Properties"]["Target"]
            if not target.get("DeadLetterConfig", {}).get("Arn"):
                found.append(_at(name, "has no DeadLetterConfig: a run that cannot start would leave no trace"))
            if target["Arn"].get("Fn::GetAtt", [None])[0] not in kept:
                found.append(_at(name, "calls a function without an OnFailure destination for asynchronous runs"))
        return found


class PoliciesAreNarrow(CloudFormationLintRule):
    """No policy allows every action of a service, or an action on every resource."""

    id = "E9005"
    shortdesc = "Policies name what they allow"
    description = __doc__
    tags = ("resources", "iam")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Return a match for each statement that allows more than it names."""
        found = []
        for name, document in _identity_policies(cfn):
            for statement in _listed(document["Statement"]):
                if statement["Effect"] != "Allow":
                    continue
                wide = [a for a in _listed(statement.get("Action", "*")) if a == "*" or str(a).endswith(":*")]
                if wide:
                    found.append(_at(name, f"allows {', '.join(wide)}: name the actions"))
                if "*" in _listed(statement.get("Resource", "*")):
                    found.append(_at(name, f"allows {statement.get('Action')} on every resource: name them"))
        return found


def _at(name: str, complaint: str) -> RuleMatch:
    return RuleMatch(["Resources", name], f"{name} {complaint}")


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _denies_plain(policy: Mapping[str, Any]) -> Iterator[bool]:
    for statement in _listed(policy["PolicyDocument"]["Statement"]):
        insecure = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
        yield (
            statement["Effect"] == "Deny"
            and statement.get("Principal") == "*"
            and statement.get("Action") == "s3:*"
            and str(insecure).lower() == "false"
            and len(_listed(statement["Resource"])) > 1  # the bucket and what is in it
        )


def _identity_policies(cfn: Template) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for name, role in cfn.get_resources("AWS::IAM::Role").items():
        for policy in role["Properties"].get("Policies", []):
            yield name, policy["PolicyDocument"]
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for name, policy in cfn.get_resources(kind).items():
            yield name, policy["Properties"]["PolicyDocument"]
