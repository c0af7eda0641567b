import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bodyHash, pythonFloat } from "../../../src/bittensor/body-hash.ts";

/** bittensor 10.0.1, `Synapse.body_hash` of a class with required_hash_fields ("a", "b") of type Any. */
const SDK_HASHES: readonly (readonly [string, string])[] = [
  ['{"a": "hello", "b": null}', "72b1ba497d1dfe5aa6f5a3a33b1c23a5c81c7cd5c03da17c5502bb9a8d101c29"],
  ['{"a": 1, "b": 1.0}', "159c2effdba702bdbfbc795c13dbe9cf82cf6002886456986220bece4c628d20"],
  ['{"a": true, "b": [1, "it\'s", null, false]}', "9b1cdcd98ce0055054ce3b37e91f1bdf52af94cdafc3809c2823e085b060fbf4"],
  [
    '{"a": {"k": {"n": 1e+16, "m": 1e-05}}, "b": "\\u00e9\\n"}',
    "da90d0fd1168a622c1cb4044697b99f6a23e06c9dbedc96301e29d8fa56a5653",
  ],
  [
    '{"a": [1e+22, 123456789.125, -0.0], "b": ["a\\"b\'c", "\\u200b\\u007f\\u00a0", "\\ud83d\\ude00"]}',
    "80d92be7badf3c54dcc77cd2ad456879d9613f48a651f73f5835ce04c260cec0",
  ],
  ['{"a": 12345678901234567890, "b": 0.0001}', "5d92740f097d133167e17274ed4eb599dc86e44812fe7ddb728168ef3c2b5927"],
];

describe("body hashes of bittensor 10.0.1", () => {
  for (const [body, expected] of SDK_HASHES) {
    it(body, () => {
      assert.equal(bodyHash(body, ["a", "b"]), expected);
    });
  }

  it("of a synapse without hash fields", () => {
    assert.equal(bodyHash("{}", []), "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
  });
});

describe("body hash", () => {
  it("counts a missing field as None and the order of the fields", () => {
    assert.equal(bodyHash('{"a":"hello"}', ["a", "b"]), SDK_HASHES[0]![1]);
    assert.notEqual(bodyHash('{"a":1,"b":2}', ["a", "b"]), bodyHash('{"a":1,"b":2}', ["b", "a"]));
  });

  it("spells floats as Python does", () => {
    const spelled = [0, -1.5, 1e15, 1e16, 0.0001, 0.00001, 1.5e-7, 1e300, 5e-324].map(pythonFloat);
    assert.deepEqual(spelled, [
      "0.0",
      "-1.5",
      "1000000000000000.0",
      "1e+16",
      "0.0001",
      "1e-05",
      "1.5e-07",
      "1e+300",
      "5e-324",
    ]);
  });
});
