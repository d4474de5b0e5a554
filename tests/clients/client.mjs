// Drives Doorward by OPA's JavaScript client; the server's URL is the only argument. The first difference
// ends it.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The client stands beside the working directory, not beside this file.
const require = createRequire(`${process.cwd()}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { OPAClient } = await load("@open-policy-agent/opa");
const { OpaApiClient } = await load("@open-policy-agent/opa/sdk/index.js");

const url = process.argv[2];
const client = new OPAClient(url);

const api = new OpaApiClient({ serverURL: url });
assert.ok(await api.health());
assert.ok(await api.health(true, true));

assert.equal(await client.evaluate("t/allow", { user: "alice" }), true);
assert.equal(await client.evaluate("t/allow", { user: "bob" }), false);
assert.equal(await client.evaluate("t/allow"), false);
assert.deepEqual(await client.evaluate("base/list"), [1, 2]);
const yes = { fromResult: (result) => (result ? "yes" : "no") };
assert.equal(await client.evaluate("t/allow", { user: "alice" }, yes), "yes");
await assert.rejects(client.evaluate("t/conflict", { values: [1, 2] }));

assert.deepEqual(await client.evaluateDefault({ user: "alice" }), { user: "alice" });

const users = { a: { user: "alice" }, b: { user: "bob" } };
assert.deepEqual(await client.evaluateBatch("t/allow", users), { a: true, b: false });
const mixed = { good: { values: [1] }, bad: { values: [1, 2] } };
const answers = await client.evaluateBatch("t/conflict", mixed);
assert.equal(answers.good, 1);
assert.equal(answers.bad.code, "internal_error");
assert.equal(answers.bad.httpStatusCode, "500");
await assert.rejects(client.evaluateBatch("t/conflict", mixed, { rejectMixed: true }));

console.log("done");
