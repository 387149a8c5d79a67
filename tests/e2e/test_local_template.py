"""The local stack is what template.yaml says: what a copy of it adds is served, with no other file changed."""

import os
import time
from pathlib import Path

import httpx
import pytest

from infra.local.stack import LocalStack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("local-template")]

ROOT = Path(__file__).resolve().parents[2]

ADDED = """Resources:
  NoteBucket: { Type: AWS::S3::Bucket }
  NoteFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/note
      Layers: [!Ref CoreLayer]
      Environment: { Variables: { NOTES: !Ref NoteBucket } }
      Events:
        Read: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: "/v1/notes/{name}" } }
        Write: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(5 minutes) } }
"""

NOTE = """
import os
import boto3
from beckon.values import shop_id

s3 = boto3.client("s3")


def handler(event, context):
    if "routeKey" not in event:  # the schedule
        s3.put_object(Bucket=os.environ["NOTES"], Key=shop_id("default"), Body=event["source"])
        return {}
    found = s3.list_objects_v2(Bucket=os.environ["NOTES"], Prefix=event["pathParameters"]["name"])
    return [s3.get_object(Bucket=os.environ["NOTES"], Key=each["Key"])["Body"].read().decode()
            for each in found.get("Contents", [])]
"""


def test_an_added_route_bucket_and_schedule_are_served_with_no_other_file_changed(tmp_path: Path) -> None:
    template = (ROOT / "template.yaml").read_text()
    assert template.count("\nResources:\n") == 1
    (tmp_path / "template.yaml").write_text(template.replace("Resources:\n", ADDED, 1))
    (tmp_path / "layers").symlink_to(ROOT / "layers")
    (tmp_path / "functions/note").mkdir(parents=True)
    (tmp_path / "functions/note/app.py").write_text(NOTE)
    for function in (ROOT / "functions").iterdir():
        (tmp_path / "functions" / function.name).symlink_to(function)

    with (
        LocalStack(tmp_path / "template.yaml", clock_speed=60) as stack,
        httpx.Client(base_url=stack.url, timeout=60, trust_env=False) as http,
    ):
        assert http.get("/v1/notes/default").json() == []
        deadline = time.monotonic() + 5 * 60 / 60 + 30
        while not (notes := http.get("/v1/notes/default").json()):
            assert time.monotonic() < deadline, "the schedule never ran"
            time.sleep(0.1)
        assert notes == ["aws.scheduler"]
        assert http.get("/healthz").status_code == 200


def test_make_up_writes_the_lines_that_the_design_promises(tmp_path: Path) -> None:
    keys = ["BECKON_WRITE_KEY", "BECKON_SECRET_KEY", "BECKON_ACCESS_KEY_ID", "BECKON_SECRET_ACCESS_KEY"]
    resources = ["BECKON_TABLE", "BECKON_LAKE_BUCKET", "BECKON_MODEL_BUCKET"]
    promised = ["BECKON_URL", *keys, "AWS_ENDPOINT_URL", "AWS_REGION", *resources]
    with LocalStack(ROOT / "template.yaml", state=tmp_path) as stack:
        assert list(stack.environment) == promised
        assert all(stack.environment.values())
        assert not stack.environment["BECKON_URL"].endswith("/")
        assert stack.create_shop("second").keys() == stack.keys.keys()
        with pytest.raises(ValueError, match="second"):
            stack.create_shop("second")
    assert not {name for name in os.environ if name.startswith("BECKON_")}  # the caller's environment is its own
