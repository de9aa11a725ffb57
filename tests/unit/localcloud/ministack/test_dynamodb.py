"""DynamoDB: of two conditional writes at once, one is made."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ministack.services import dynamodb as service

from localcloud.ministack import dynamodb

KEY = {"photo": {"S": "a.jpg"}}
WRITES = {
    "_put_item": {"Item": KEY, "ConditionExpression": "attribute_not_exists(photo)"},
    "_update_item": {
        "Key": KEY,
        "UpdateExpression": "SET claimed = :yes",
        "ConditionExpression": "attribute_not_exists(claimed)",
        "ExpressionAttributeValues": {":yes": {"BOOL": True}},
    },
}


@pytest.mark.parametrize("write", WRITES)
def test_of_two_writes_on_a_condition_one_is_made(write: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in dynamodb.WRITES:
        monkeypatch.setattr(service, name, getattr(service, name))  # undone after the test
    set_item = service._set_item  # noqa: SLF001

    def slowly(*how: Any) -> None:
        time.sleep(0.05)  # as a journal on a busy disk
        set_item(*how)

    monkeypatch.setattr(service, "_set_item", slowly)
    table = {
        "TableName": f"photos{write}",
        "KeySchema": [{"AttributeName": "photo", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "photo", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    service._create_table(table)  # noqa: SLF001
    dynamodb.apply()
    request = {"TableName": table["TableName"], **WRITES[write]}
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(answer[0] for answer in pool.map(getattr(service, write), [request] * 4))
    assert statuses == [200, 400, 400, 400]
