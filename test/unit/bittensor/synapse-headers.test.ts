import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  formatSynapseHeaders,
  parseSynapseHeaders,
  terminalJson,
  type HeaderBag,
} from "../../../src/bittensor/synapse-headers.ts";
import { SDK_HEADERS } from "../../support/dendrite-sdk-request.ts";

function parsed(headers: HeaderBag) {
  const result = parseSynapseHeaders(headers);
  assert.ok(result.ok, result.ok ? "" : result.message);
  return result.value;
}

describe("headers of bittensor 10.0.1", () => {
  it("are read whole, whatever the case of their names", () => {
    const upper = Object.fromEntries(Object.entries(SDK_HEADERS).map(([name, value]) => [name.toUpperCase(), value]));
    for (const headers of [SDK_HEADERS, upper]) {
      const synapse = parsed(headers);
      assert.equal(synapse.timeoutSeconds, 49.5);
      assert.equal(synapse.dendrite.nonce, 1_760_000_000_123_456_789n);
      assert.equal(synapse.dendrite.version, 10_000_001);
      assert.equal(synapse.axon.port, 8091);
      assert.equal(synapse.headerSize, 464);
    }
  });

  it("are written back the same, but for the input objects", () => {
    const written = formatSynapseHeaders("Simulation", parsed(SDK_HEADERS));
    assert.deepEqual({ ...written, bt_header_input_obj_simulation_input: "e30=" }, SDK_HEADERS);
  });
});

describe("parseSynapseHeaders", () => {
  for (const [name, value] of [
    ["timeout", "abc"],
    ["timeout", "-1"],
    ["timeout", "inf"],
    ["timeout", "nan"],
    ["timeout", "None"],
    ["timeout", "1e999"],
    ["timeout", ""],
    ["bt_header_dendrite_nonce", "12x"],
    ["bt_header_dendrite_nonce", "-1"],
    ["bt_header_dendrite_nonce", "1".repeat(21)],
    ["bt_header_dendrite_nonce", "1, 2"],
    ["bt_header_dendrite_version", "10.0.1"],
    ["bt_header_axon_port", "port"],
    ["bt_header_dendrite_uuid", "a b"],
    ["bt_header_dendrite_uuid", "u".repeat(129)],
    ["bt_header_dendrite_hotkey", "5".repeat(65)],
    ["bt_header_dendrite_signature", "0".repeat(257)],
    ["total_size", "many"],
    ["header_size", "1e3"],
  ] as const) {
    it(`refuses ${name}: ${value.slice(0, 24)}`, () => {
      assert.equal(parseSynapseHeaders({ ...SDK_HEADERS, [name]: value }).ok, false);
    });
  }

  it("leaves absent fields absent", () => {
    const synapse = parsed({});
    assert.equal(synapse.timeoutSeconds, 12);
    assert.equal(synapse.dendrite.hotkey, undefined);
    assert.equal(synapse.computedBodyHash, "");
  });

  it("never throws, and what it accepts survives another round", () => {
    const name = fc.oneof(fc.constantFrom(...Object.keys(SDK_HEADERS)), fc.string());
    const value = fc.oneof(fc.string({ unit: "binary" }), fc.nat().map(String), fc.double().map(String));
    fc.assert(
      fc.property(fc.dictionary(name, value), (headers) => {
        const result = parseSynapseHeaders(headers);
        if (!result.ok) return;
        const again = parsed(formatSynapseHeaders("X", result.value));
        assert.deepEqual(again.dendrite.nonce, result.value.dendrite.nonce);
        assert.deepEqual(again.dendrite.hotkey, result.value.dendrite.hotkey);
      }),
    );
  });
});

describe("written terminals", () => {
  it("keep every digit of a nonce and null what is absent", () => {
    const json = terminalJson({ nonce: 1_760_000_000_123_456_789n, ip: "1.2.3.4" });
    assert.match(json, /"nonce":1760000000123456789,/);
    assert.match(json, /"uuid":null/);
  });

  it("cannot smuggle line breaks into headers", () => {
    const headers = formatSynapseHeaders("S", { ...parsed({}), axon: { statusMessage: "a\r\nb: é" } });
    assert.equal(headers["bt_header_axon_status_message"], "a??b: ?");
  });
});
