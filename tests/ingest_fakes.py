"""Fakes of the ports that collecting and the lake need, each held to the same contract test as its adapter."""

import hashlib
import threading

from beckon.events.model import Event, Rejection


class MemoryEventLog:
    """Keeps events as the table does: by person, sender's time and message id (by id alone where there is no time)."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, bool, int | None, str], Event] = {}
        self._lock = threading.Lock()

    def append(self, event: Event) -> bool:
        key = (event.user_key, event.type == "impression", event.original_ts, event.message_id)
        with self._lock:
            if key in self.kept:
                return False
            self.kept[key] = event
            return True


class MemoryRejections:
    def __init__(self) -> None:
        self.kept: dict[str, Rejection] = {}

    def keep(self, rejection: Rejection) -> None:
        self.kept.setdefault(rejection.digest, rejection)


class MemoryLake:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def list(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def versions(self, prefix: str) -> dict[str, str]:
        return {key: hashlib.sha256(self.objects[key]).hexdigest() for key in self.list(prefix)}

    def read(self, key: str) -> bytes:
        if key not in self.objects:
            raise FileNotFoundError(key)
        return self.objects[key]

    def write(self, key: str, content: bytes) -> None:
        self.objects[key] = content

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)


def stream_record(event_or_other: object, sort_key: str, sequence: int, created: float = 1_767_323_045.0) -> dict:
    """A stream record as Lambda gets it, made by hand from the documented shape and not by the adapter's code."""
    import orjson

    record = event_or_other.to_record()
    person = record.get("user_key", "x")
    keys = {"PK": {"S": f"{record['shop']}#U#{person}"}, "SK": {"S": sort_key}}
    return {
        "eventID": f"id-{sequence}",
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "ApproximateCreationDateTime": created,
            "Keys": keys,
            "NewImage": keys | {"body": {"S": orjson.dumps(record).decode()}, "ttl": {"N": "1"}},
            "SequenceNumber": str(sequence),
            "StreamViewType": "NEW_IMAGE",
        },
    }
