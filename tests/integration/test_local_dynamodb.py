"""What moto's server gets wrong about DynamoDB's writes is right in ours."""

from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest


@pytest.fixture
def client(aws):
    return boto3.client("dynamodb", region_name="us-east-1")


@pytest.fixture
def streams(aws):
    return boto3.client("dynamodbstreams", region_name="us-east-1")


def key(name):
    return {"PK": {"S": "p"}, "SK": {"S": name}}


def cancelled(client, table):
    """A transaction that adds to `count`, puts `new`, and fails because `held` is there."""
    actions = [
        {
            "Update": {
                "TableName": table,
                "Key": key("count"),
                "UpdateExpression": "ADD n :one",
                "ExpressionAttributeValues": {":one": {"N": "1"}},
            }
        },
        {"Put": {"TableName": table, "Item": key("new")}},
        {"Put": {"TableName": table, "Item": key("held"), "ConditionExpression": "attribute_not_exists(PK)"}},
    ]
    with pytest.raises(client.exceptions.TransactionCanceledException) as caught:
        client.transact_write_items(TransactItems=actions)
    reasons = [reason["Code"] for reason in caught.value.response["CancellationReasons"]]
    assert reasons == ["None", "None", "ConditionalCheckFailed"]


def read(streams, iterator):
    page = streams.get_records(ShardIterator=iterator)
    return [record["dynamodb"]["Keys"]["SK"]["S"] for record in page["Records"]], page["NextShardIterator"]


def test_a_cancelled_transaction_leaves_items_and_stream_as_they_were(client, streams, table) -> None:
    client.put_item(TableName=table, Item={**key("count"), "n": {"N": "5"}})
    client.put_item(TableName=table, Item=key("held"))
    arn = client.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    seen, iterator = read(streams, iterator["ShardIterator"])
    assert seen == ["count", "held"]

    cancelled(client, table)

    assert client.get_item(TableName=table, Key=key("count"))["Item"]["n"] == {"N": "5"}
    assert "Item" not in client.get_item(TableName=table, Key=key("new"))
    client.put_item(TableName=table, Item=key("after"))
    seen, iterator = read(streams, iterator)
    assert seen == ["after"]


def test_writes_beside_cancelled_transactions_are_kept(client, table) -> None:
    client.put_item(TableName=table, Item=key("held"))
    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(cancelled, client, table) for _ in range(20)]
        done += [pool.submit(client.put_item, TableName=table, Item=key(f"kept-{n}")) for n in range(60)]
        for one in done:
            one.result()
    kept = client.query(TableName=table, KeyConditionExpression="PK = :p", ExpressionAttributeValues={":p": {"S": "p"}})
    assert kept["Count"] == 61


def test_of_many_puts_at_once_on_one_condition_one_succeeds(client, table) -> None:
    def put(n):
        item = {**key("once"), "n": {"N": str(n)}}
        try:
            client.put_item(TableName=table, Item=item, ConditionExpression="attribute_not_exists(PK)")
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(put, range(40))) == 1
