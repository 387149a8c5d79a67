"""AWS at fault: clients whose calls fail as told."""

from beckon.aws import clients


class Failing:
    """A client whose calls of one operation fail as told, before or after they were done."""

    def __init__(self, client, operation, faults):
        self._client, self._operation, self.faults = client, operation, list(faults)
        self.exceptions = client.exceptions

    def __getattr__(self, name):
        call = getattr(self._client, name)
        if name != self._operation:
            return call

        def failing(**kwargs):
            fault = self.faults.pop(0) if self.faults else None
            if fault is not None:
                raise fault
            return call(**kwargs)

        return failing


def cancelled(*codes):
    response = {
        "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    return clients.dynamodb().exceptions.TransactionCanceledException(response, "TransactWriteItems")
