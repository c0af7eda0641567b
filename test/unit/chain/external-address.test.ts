import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ExternalAddress } from "../../../src/chain/external-address.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";

function detecting(): {
  address: ExternalAddress;
  clock: SteppedClock;
  said: { ip: string | Error };
  looks: () => number;
} {
  const clock = new SteppedClock(1000);
  const said: { ip: string | Error } = { ip: "203.0.113.7" };
  let looks = 0;
  const detect = (): Promise<string> => {
    looks += 1;
    return said.ip instanceof Error ? Promise.reject(said.ip) : Promise.resolve(said.ip);
  };
  return { address: new ExternalAddress({ configured: null, detect, clock }), clock, said, looks: () => looks };
}

describe("the external address", () => {
  it("is the configured one, and nobody is asked", async () => {
    const detect = (): Promise<string> => assert.fail("asked");
    const address = new ExternalAddress({ configured: "192.0.2.1", detect, clock: new SteppedClock(0) });
    await address.refresh();
    assert.equal(address.ip, "192.0.2.1");
    assert.equal(address.nextLookMs, Number.POSITIVE_INFINITY);
  });

  it("is the first one seen, looked at again every hour", async () => {
    const { address, clock, looks } = detecting();
    assert.equal(address.ip, null);
    await address.refresh();
    assert.equal(address.ip, "203.0.113.7");
    clock.advance(3599);
    await address.refresh();
    assert.equal(looks(), 1);
    clock.advance(1);
    await address.refresh();
    assert.equal(looks(), 2);
  });

  it("changes only when the new one is seen twice in a row", async () => {
    const { address, clock, said } = detecting();
    await address.refresh();
    clock.advance(3600);
    said.ip = "203.0.113.8";
    await address.refresh();
    assert.equal(address.ip, "203.0.113.7");
    clock.advance(300);
    said.ip = "203.0.113.9";
    await address.refresh();
    assert.equal(address.ip, "203.0.113.7", "a third one is not the second sighting");
    clock.advance(300);
    await address.refresh();
    assert.equal(address.ip, "203.0.113.9");
    said.ip = "203.0.113.7";
    clock.advance(3600);
    await address.refresh();
    said.ip = "203.0.113.9";
    clock.advance(300);
    await address.refresh();
    said.ip = "203.0.113.7";
    clock.advance(3600);
    await address.refresh();
    assert.equal(address.ip, "203.0.113.9", "a sighting long ago does not count");
  });

  it("stays what it was when nobody can say, and is looked for again in five minutes", async () => {
    const { address, clock, said, looks } = detecting();
    said.ip = new Error("no agreement");
    await assert.rejects(address.refresh());
    assert.equal(address.ip, null);
    await address.refresh();
    assert.equal(looks(), 1, "not at once");
    clock.advance(300);
    said.ip = "203.0.113.7";
    await address.refresh();
    clock.advance(3600);
    said.ip = new Error("no agreement");
    await assert.rejects(address.refresh());
    assert.equal(address.ip, "203.0.113.7");
  });
});
