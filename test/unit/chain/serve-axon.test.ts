import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { ServedAxon } from "../../../src/chain/link.ts";
import {
  decideServing,
  explainRefusal,
  integerOfIp,
  ipOfInteger,
  isServed,
  poolRefusal,
  serveAxonCall,
} from "../../../src/chain/serve-axon.ts";
import { checkPayload, encodeArguments } from "../../../src/chain/signing.ts";

/** docs/subtensor.md; the same call of the Python SDK: serveAxon(50, 9012000, 203.0.113.7, 8091, 4, 4, 0, 0). */
const GOLDEN = "0704320020838900077100cb0000000000000000000000009b1f04040000";
const goldenCall = serveAxonCall({ netuid: 50, version: 9_012_000, address: { ip: "203.0.113.7", port: 8091 } });
const GENESIS = `0x${"ab".repeat(32)}`;

describe("an address as an integer", () => {
  it("is the one of Python's ipaddress", () => {
    assert.deepEqual(integerOfIp("203.0.113.7"), { ip: 3_405_803_783n, ipType: 4 });
    // int(ipaddress.ip_address("2001:db8::ff00:42:8329"))
    assert.deepEqual(integerOfIp("2001:db8::ff00:42:8329"), { ip: 42540766411282592856904265327123268393n, ipType: 6 });
    assert.deepEqual(integerOfIp("::ffff:1.2.3.4"), { ip: 281470698652420n, ipType: 6 });
    assert.deepEqual(integerOfIp("::1"), { ip: 1n, ipType: 6 });
  });

  it("comes back as the same address, whatever it is", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
        const { ip, ipType } = integerOfIp(address);
        if (ip === 0n) return;
        const text = ipOfInteger(ip, ipType);
        assert.ok(text !== null, address);
        assert.deepEqual(integerOfIp(text), { ip, ipType });
      }),
    );
  });

  it("is nothing for 0, for an unknown version and for what does not fit it", () => {
    for (const [ip, type] of [
      [0n, 4],
      [1n << 32n, 4],
      [1n << 128n, 6],
      [5n, 0],
      [-1n, 4],
    ] as const) {
      assert.equal(ipOfInteger(ip, type), null);
    }
    assert.throws(() => integerOfIp("localhost"), RangeError);
  });
});

describe("serve_axon's arguments", () => {
  it("have the bytes of the golden call", () => {
    assert.equal(Buffer.from(encodeArguments(goldenCall)).toString("hex"), GOLDEN.slice(4));
  });
});

/** As @polkadot/api builds it: call, mortal era, nonce, tip, mode, spec, tx version, genesis, era block, no metadata hash. */
function payload(changes: { call?: string; era?: string; tip?: string; genesis?: string; tail?: string } = {}): Buffer {
  const { call = GOLDEN, era = "4501", tip = "00", genesis = GENESIS.slice(2), tail = "" } = changes;
  return Buffer.from(`${call}${era}04${tip}00a801000001000000${genesis}${"cd".repeat(32)}00${tail}`, "hex");
}

describe("what the hotkey signs", () => {
  const expected = { call: goldenCall, genesis: GENESIS };

  it("is exactly the call that was asked for", () => {
    checkPayload(payload(), expected);
    // A runtime may move the pallet; the arguments stay.
    checkPayload(payload({ call: `6b04${GOLDEN.slice(4)}` }), expected);
  });

  for (const [name, changes] of Object.entries({
    "another netuid": { call: GOLDEN.replace("3200", "3300") },
    "another ip": { call: GOLDEN.replace("0771", "0871") },
    "another port": { call: GOLDEN.replace("9b1f", "9c1f") },
    "a longer call": { call: `${GOLDEN}00` },
    "a call that never expires": { era: "00" },
    "a tip": { tip: "04" },
    "another chain": { genesis: "ee".repeat(32) },
    "more bytes than such a payload has": { tail: "00".repeat(200) },
  })) {
    it(`is refused with ${name}`, () => {
      assert.throws(
        () => {
          checkPayload(payload(changes), expected);
        },
        { code: "CHAIN_PAYLOAD" },
      );
    });
  }

  it("is refused for any byte of the call that differs and for any prefix", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 29 }), fc.integer({ min: 1, max: 255 }), (index, difference) => {
        const bytes = payload();
        bytes[index] = bytes[index]! ^ difference;
        assert.throws(
          () => {
            checkPayload(bytes, expected);
          },
          { code: "CHAIN_PAYLOAD" },
        );
      }),
    );
    for (let length = 0; length < 70; length += 1) {
      assert.throws(
        () => {
          checkPayload(payload().subarray(0, length), expected);
        },
        { code: "CHAIN_PAYLOAD" },
      );
    }
  });
});

describe("the decision to serve", () => {
  const axon: ServedAxon = { ...goldenCall, block: 100 };
  const facts = { call: goldenCall, axon, registered: true, block: 130, rateLimitBlocks: 50 };

  it("is none where the chain says the same or the hotkey has no uid", () => {
    assert.deepEqual(decideServing(facts), { action: "none", why: "identical" });
    assert.deepEqual(decideServing({ ...facts, registered: false }), { action: "none", why: "not_registered" });
  });

  for (const change of [{ ip: 1n }, { port: 1 }, { ipType: 6 }, { protocol: 0 }, { version: 1 }]) {
    it(`is to serve when ${Object.keys(change).join()} differs, once the rate limit has passed`, () => {
      const other = { ...axon, ...change };
      assert.equal(isServed(goldenCall, other), false);
      assert.deepEqual(decideServing({ ...facts, axon: other }), { action: "wait", untilBlock: 150 });
      assert.deepEqual(decideServing({ ...facts, axon: other, block: 149 }), { action: "wait", untilBlock: 150 });
      assert.deepEqual(decideServing({ ...facts, axon: other, block: 150 }), { action: "serve" });
    });
  }

  it("does not wait before the first serve or without a limit", () => {
    assert.deepEqual(decideServing({ ...facts, axon: null, block: 1 }), { action: "serve" });
    assert.deepEqual(decideServing({ ...facts, axon: { ...axon, port: 1, block: 0 }, block: 1 }), { action: "serve" });
    assert.deepEqual(decideServing({ ...facts, axon: { ...axon, port: 1 }, rateLimitBlocks: 0 }), { action: "serve" });
  });
});

describe("a refusal", () => {
  const pool = (message: string, data: string, code = 1010): string | undefined =>
    poolRefusal({ code, message, data })?.name;

  it("has the pallet's name, in either form", () => {
    const invalid = "1010: Invalid Transaction: ";
    for (const [number, name] of [
      [10, "HotKeyNotRegisteredInNetwork"],
      [11, "InvalidIpAddress"],
      [12, "ServingRateLimitExceeded"],
      [13, "InvalidPort"],
    ] as const) {
      assert.equal(pool(`${invalid}Custom error: ${number}`, `Custom error: ${number}`), name);
      const both = (["pool", "dispatch"] as const).map((form) => explainRefusal({ form, name }).retry);
      assert.equal(both[0], both[1]);
    }
  });

  it("knows what Substrate's pool says of the transaction itself", () => {
    const said = (data: string): string | undefined => pool("1010: Invalid Transaction", data);
    assert.equal(said("Transaction is outdated"), "NonceTaken");
    assert.equal(said("Transaction has an ancient birth block"), "EraExpired");
    assert.equal(said("Transaction will be valid in the future"), "NonceTooHigh");
    assert.equal(said("Transaction has a bad signature"), "BadSignature");
    assert.equal(said("Inability to pay some fees (e.g. account balance too low)"), "CannotPayFees");
    assert.equal(pool("1013: Transaction Already Imported", "", 1013), "AlreadyImported");
    assert.equal(pool("1014: Priority is too low: (1 vs 1)", "", 1014), "PriorityTooLow");
    assert.equal(pool("1012: Transaction is temporarily banned", "", 1012), "TemporarilyBanned");
    assert.equal(pool("1016: Immediately Dropped", "the pool is full", 1016), "PoolFull");
    assert.equal(pool("4003: Client error", "", 4003), undefined, "not the pool's");
  });

  it("is tried again where that can help", () => {
    const retryOf = (name: string): string => explainRefusal({ form: "dispatch", name }).retry;
    assert.equal(retryOf("ServingRateLimitExceeded"), "rate_limit");
    for (const name of ["HotKeyNotRegisteredInNetwork", "InvalidPort", "InvalidIpType", "InvalidIpAddress"]) {
      assert.equal(retryOf(name), "changed", name);
    }
    for (const name of ["NonceTaken", "EraExpired", "PoolFull", "OtherPoolError", "CustomError28", "toString"]) {
      assert.equal(retryOf(name), "soon", name);
    }
  });

  it("says what to do", () => {
    const words = (name: string): string => explainRefusal({ form: "pool", name }).words;
    assert.match(words("InvalidIpAddress"), /--axon\.external_ip/);
    assert.match(words("InvalidPort"), /--axon\.external_port/);
    assert.match(words("CustomError77"), /CustomError77/);
  });
});
