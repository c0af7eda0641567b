import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { networkOf, normaliseIp } from "../../../src/chain/ip-address.ts";

describe("networkOf", () => {
  it("leaves IPv4 addresses, mapped ones too, and what is no address alone", () => {
    assert.equal(networkOf("203.0.113.9"), "203.0.113.9");
    assert.equal(networkOf(normaliseIp("::ffff:203.0.113.9")!), "203.0.113.9");
    assert.equal(networkOf(""), "");
  });

  // Each with Python's ipaddress.ip_network(address + "/64", strict=False).network_address.
  for (const [address, network] of [
    ["2a01:4f8:1:2:3:4:5:6", "2a01:4f8:1:2::"],
    ["2a01:4f8:1:2::", "2a01:4f8:1:2::"],
    ["2a01:4f8:1:2::1", "2a01:4f8:1:2::"],
    ["2a01:4f8::7", "2a01:4f8::"],
    ["2a01::1:0:0:0:1", "2a01:0:0:1::"],
    ["2a01::1:0:0:0:0:1", "2a01:0:1::"],
    ["fe80::1", "fe80::"],
    ["::1", "::"],
    ["::", "::"],
    ["0:0:0:1:2::", "0:0:0:1::"],
  ] as const) {
    it(`${address}: ${network}`, () => {
      assert.equal(normaliseIp(networkOf(normaliseIp(address)!)), network);
    });
  }
});
