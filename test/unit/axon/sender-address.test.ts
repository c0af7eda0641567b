import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createAddressFilter } from "../../../src/axon/sender-address.ts";
import { normaliseIp } from "../../../src/chain/ip-address.ts";
import type { Metagraph, Neuron } from "../../../src/chain/metagraph.ts";
import { hotkey } from "../../../src/units.ts";

const blacklist = { forceValidatorPermit: true, validatorMinStake: 65_000, allowNonRegistered: false };

function metagraphOf(...validators: readonly Pick<Neuron, "stake" | "ip">[]) {
  let current = validators.map((entry): Neuron => ({ hotkey: hotkey("5"), uid: 0, validatorPermit: true, ...entry }));
  const metagraph: Metagraph = {
    open: false,
    neuron: () => undefined,
    validators: () => current,
    ageSeconds: () => 0,
    voidReason: () => null,
  };
  return {
    metagraph,
    replace: (ip: string) => {
      current = [{ hotkey: hotkey("5"), uid: 0, validatorPermit: true, stake: 1e6, ip }];
    },
  };
}

describe("sender addresses", () => {
  it("have one spelling", () => {
    assert.equal(normaliseIp("::ffff:203.0.113.7"), "203.0.113.7");
    assert.equal(normaliseIp("::FFFF:cb00:7107"), "203.0.113.7");
    assert.equal(normaliseIp("2001:0db8:0000:0000:0000:0000:0000:0001"), "2001:db8::1");
    assert.equal(normaliseIp("fe80::1%eth0"), "fe80::1");
    assert.equal(normaliseIp("localhost"), undefined);
    assert.equal(normaliseIp(""), undefined);
  });

  it("any admits all", () => {
    assert.ok(createAddressFilter("any", { metagraph: metagraphOf().metagraph, blacklist })("192.0.2.1"));
  });

  it("a list admits its members in any spelling", () => {
    const allowed = createAddressFilter("192.0.2.1, 2001:DB8::1,::ffff:192.0.2.9", {
      metagraph: metagraphOf().metagraph,
      blacklist,
    });
    assert.deepEqual(["192.0.2.1", "2001:db8::1", "192.0.2.9", "192.0.2.2", ""].map(allowed), [
      true,
      true,
      true,
      false,
      false,
    ]);
  });

  it("metagraph admits the published addresses of admitted validators, and follows it", () => {
    const { metagraph, replace } = metagraphOf(
      { stake: 70_000, ip: "192.0.2.1" },
      { stake: 1, ip: "192.0.2.2" },
      { stake: 1e6, ip: null },
    );
    const allowed = createAddressFilter("metagraph,192.0.2.8", { metagraph, blacklist });
    assert.deepEqual(["192.0.2.1", "192.0.2.2", "192.0.2.8"].map(allowed), [true, false, true]);
    replace("192.0.2.3");
    assert.deepEqual(["192.0.2.1", "192.0.2.3"].map(allowed), [false, true]);
  });

  it("anything else is refused at the start", () => {
    for (const text of ["everyone", "10.0.0.0/8", "192.0.2.1,", ""]) {
      assert.throws(() => createAddressFilter(text, { metagraph: metagraphOf().metagraph, blacklist }), {
        code: "AXON_ALLOW_IPS",
      });
    }
  });
});
