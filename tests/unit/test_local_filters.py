import json

import pytest

from infra.local.filters import Filters

RECORD = {
    "eventName": "INSERT",
    "dynamodb": {
        "Keys": {"PK": {"S": "s#U#k"}, "SK": {"S": "E#1#a"}},
        "NewImage": {"kind": {"S": "view"}, "count": {"N": "7"}},
    },
}


@pytest.mark.parametrize(
    ("pattern", "passes"),
    [
        ({"eventName": ["INSERT"]}, True),
        ({"eventName": ["MODIFY", "REMOVE"]}, False),
        ({"dynamodb": {"Keys": {"SK": {"S": [{"prefix": "E#"}]}}}}, True),
        ({"dynamodb": {"Keys": {"SK": {"S": [{"prefix": "V#"}, {"prefix": "E#"}]}}}}, True),
        ({"dynamodb": {"Keys": {"SK": {"S": [{"prefix": "V#"}]}}}}, False),
        ({"eventName": ["INSERT"], "dynamodb": {"Keys": {"SK": {"S": [{"prefix": "V#"}]}}}}, False),  # all must hold
        ({"dynamodb": {"Keys": {"SK": {"S": [{"suffix": "#a"}]}}}}, True),
        ({"dynamodb": {"NewImage": {"kind": {"S": [{"anything-but": ["view"]}]}}}}, False),
        ({"dynamodb": {"NewImage": {"kind": {"S": [{"exists": True}]}}}}, True),
        ({"dynamodb": {"NewImage": {"rec": {"S": [{"exists": False}]}}}}, True),
        ({"dynamodb": {"NewImage": {"rec": {"S": [{"exists": True}]}}}}, False),
        ({"$or": [{"eventName": ["REMOVE"]}, {"dynamodb": {"NewImage": {"count": {"N": ["7"]}}}}]}, True),
    ],
)
def test_a_pattern_passes_what_lambda_would(pattern: dict[str, object], *, passes: bool) -> None:
    assert Filters([json.dumps(pattern)]).passes(RECORD) == passes


def test_one_matching_pattern_is_enough_and_none_passes_all() -> None:
    assert Filters([json.dumps({"eventName": [name]}) for name in ("REMOVE", "INSERT")]).passes(RECORD)
    assert Filters([]).passes(RECORD)
