"""Drives Doorward by OPA's Python client; the port is the only argument. The first difference ends it."""

import sys

from opa_client.errors import DeletePolicyError, PolicyNotFoundError
from opa_client.opa import OpaClient

POLICY = """package written
import rego.v1
default allow := false
allow if input.user in data.shop.staff
"""


def is_equal(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


def refused(error, act):
    try:
        act()
    except error:
        return
    raise AssertionError(f"{error.__name__} was not raised")


def main(port):
    client = OpaClient(host="127.0.0.1", port=port, timeout=30, retries=0)
    is_equal(client.check_connection(), True)
    is_equal(client.check_health(), True)
    is_equal(client.check_health({"bundles": True, "plugins": True}), True)
    is_equal("result" in client.get_config(), True)
    is_equal("result" in client.get_status(), True)
    is_equal("doorward" in client.get_metrics(), True)

    # What was loaded from files.
    ask = lambda subject: client.query_rule({"user": subject}, "t", "allow")
    is_equal(ask("alice")["result"], True)
    is_equal(ask("bob")["result"], False)
    is_equal(client.query_rule({}, "t", "nothing"), {})
    is_equal("metrics" in client.query_rule({}, "t", "allow", {"metrics": True}), True)
    is_equal(client.get_data("base/list")["result"], [1, 2])
    is_equal(client.ad_hoc_query("x = data.base.list[_]; x > 1")["result"], [{"x": 2}])
    is_equal(client.bulk_query_rule([{"user": "alice"}, {"user": "bob"}], "t", "allow"), [True, False])

    # What is written over the API.
    is_equal(client.update_policy_from_string(POLICY, "written"), True)
    is_equal("written" in client.get_policies_list(), True)
    is_equal(client.get_policy("written")["result"]["raw"], POLICY)
    info = client.get_policies_info()["written"]
    is_equal(info["path"].endswith("/v1/data/written"), True)
    is_equal(info["rules"], [info["path"] + "/allow"])
    is_equal(client.update_or_create_data({"staff": ["carol"]}, "shop"), True)
    is_equal(client.get_data("shop")["result"], {"staff": ["carol"]})
    ask = lambda user: client.query_rule({"user": user}, "written", "allow")["result"]
    is_equal([ask("carol"), ask("dave")], [True, False])
    add = [{"op": "add", "path": "/staff/-", "value": "dave"}]
    is_equal(client.patch_data("shop", add), True)
    is_equal([ask("carol"), ask("dave")], [True, True])
    is_equal(client.delete_data("shop"), True)
    is_equal(ask("carol"), False)
    is_equal(client.delete_policy("written"), True)
    refused(PolicyNotFoundError, lambda: client.get_policy("written"))
    refused(DeletePolicyError, lambda: client.delete_policy("written"))


main(int(sys.argv[1]))
print("done")
