import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import {
  RECORDING_SCHEMA,
  decodeSegment,
  encodeFrame,
  encodePayload,
  encodeSegmentHeader,
  type Recording,
} from "../../../src/store/recording-format.ts";
import { recordedExchange, testIdentity } from "../../support/recorded-exchange.ts";

const SALT = 0xdeadbeef;

function recording(number: number, body = "{}"): Recording {
  const id = `20261001T120000000Z-${String(number).padStart(6, "0")}`;
  const exchange = recordedExchange({ body: new TextEncoder().encode(body) });
  return { schema: RECORDING_SCHEMA, id, exchange, identity: testIdentity };
}

function segmentOf(recordings: readonly Recording[]): Buffer {
  return Buffer.concat([encodeSegmentHeader(SALT), ...recordings.map((one) => encodeFrame(encodePayload(one), SALT))]);
}

function decode(file: Uint8Array): { recordings: Recording[]; damage: string[] } {
  const entries = [...decodeSegment(file, "segment")];
  return {
    recordings: entries.flatMap((entry) => (entry.kind === "recording" ? [entry.recording] : [])),
    damage: entries.flatMap((entry) => (entry.kind === "damage" ? [entry.code] : [])),
  };
}

const three = [recording(1), recording(2), recording(3)];
const file = segmentOf(three);
const lastStart = segmentOf(three.slice(0, 2)).length;

describe("recording segment", () => {
  it("computes the frame checksum as CRC-32 of length and payload, started from the salt", () => {
    const frame = Buffer.from(encodeFrame(Buffer.from("hello"), SALT));
    assert.equal(frame.readUInt32LE(0), 5);
    assert.equal(frame.readUInt32LE(4), crc32(Buffer.from("\x05\0\0\0hello", "latin1"), SALT));
    assert.equal(frame.toString("latin1", 8), "hello");
  });

  it("gives back what was recorded, typed arrays and bytes included", () => {
    assert.deepEqual(decode(file), { recordings: three, damage: [] });
  });

  it("keeps the recordings before a tail torn at any byte and reports the tail", () => {
    for (let length = lastStart + 1; length < file.length; length++) {
      assert.deepEqual(decode(file.subarray(0, length)), { recordings: three.slice(0, 2), damage: ["torn_tail"] });
    }
    assert.deepEqual(decode(file.subarray(0, lastStart)), { recordings: three.slice(0, 2), damage: [] });
  });

  it("loses one recording at most to any single flipped bit after the header", () => {
    const header = encodeSegmentHeader(SALT).length;
    for (let offset = header; offset < file.length; offset++) {
      const broken = Buffer.from(file);
      broken[offset]! ^= 1 << (offset % 8);
      const { recordings, damage } = decode(broken);
      assert.equal(recordings.length, 2, `byte ${offset}`);
      assert.equal(damage.length, 1, `byte ${offset}`);
    }
  });

  it("reports a file of another version or kind whole", () => {
    assert.deepEqual(decode(Buffer.from("not a recording at all")).damage, ["bad_header"]);
    const other = Buffer.from(file);
    other[7] = 2;
    assert.deepEqual(decode(other), { recordings: [], damage: ["bad_header"] });
    assert.deepEqual(decode(new Uint8Array()).damage, ["torn_tail"]);
  });

  it("reports an intact frame whose content is no recording and goes on behind it", () => {
    const odd = encodePayload({ ...recording(9), schema: 99 } as unknown as Recording);
    const mixed = Buffer.concat([file, encodeFrame(odd, SALT), encodeFrame(Buffer.from([0xc1]), SALT)]);
    assert.deepEqual(decode(Buffer.concat([mixed, encodeFrame(encodePayload(recording(4)), SALT)])), {
      recordings: [...three, recording(4)],
      damage: ["bad_payload", "bad_payload"],
    });
  });

  it("never takes a frame smuggled into a request body for a recording, even in a damaged record", () => {
    const forged = encodeFrame(encodePayload(recording(666)), 0);
    const carrier = recording(1);
    const hostile = { ...carrier, exchange: { ...carrier.exchange, body: forged } };
    const damaged = segmentOf([hostile, recording(2)]);
    damaged[20]! ^= 1;
    assert.deepEqual(decode(damaged), { recordings: [recording(2)], damage: ["bad_frame"] });
  });

  it("never throws and never invents a recording, whatever the file holds", () => {
    const chunk = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom(...three.map((one) => encodeFrame(encodePayload(one), SALT))),
    );
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 8 }), (chunks) => {
        const bytes = Buffer.concat([encodeSegmentHeader(SALT), ...chunks]);
        const entries = [...decodeSegment(bytes, "segment")];
        const whole = chunks.filter((one) => one.length > 300).length;
        assert.ok(entries.filter((entry) => entry.kind === "recording").length <= whole);
      }),
    );
  });
});
