import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { verifySynapse, type Gate } from "../../../src/axon/admission.ts";
import { createFairQueue } from "../../../src/axon/fair-queue.ts";
import { parseSynapseHeaders } from "../../../src/bittensor/synapse-headers.ts";
import { systemClock } from "../../../src/clock.ts";
import { hotkey } from "../../../src/units.ts";
import { MINER } from "../../support/dendrite-axon.ts";
import { SDK_HEADERS } from "../../support/dendrite-sdk-request.ts";

function fakeGate() {
  const counts = { verified: 0, claimed: 0 };
  const first = Promise.withResolvers<boolean>();
  const gate = {
    ownHotkey: hotkey(MINER.address),
    maxTimeoutSeconds: 300,
    nonceFutureSeconds: 60,
    clock: systemClock,
    steadyClock: systemClock,
    verifications: createFairQueue({ concurrency: 1, total: 8, perOwner: 8 }),
    signatures: {
      verify: () => {
        counts.verified += 1;
        return first.promise;
      },
    },
    known: { add: () => undefined, has: () => false, close: () => Promise.resolve() },
    nonces: {
      claim: () => {
        counts.claimed += 1;
        return undefined;
      },
    },
  } as unknown as Gate;
  return { gate, counts, first };
}

describe("a client that hangs up while its signature waits for its turn", () => {
  it("costs no check and leaves no nonce behind", async () => {
    const parsed = parseSynapseHeaders(SDK_HEADERS);
    assert.ok(parsed.ok);
    const { gate, counts, first } = fakeGate();
    const hangUp = new AbortController();
    const patient = verifySynapse(gate, parsed.value, { ip: "192.0.2.1", signal: new AbortController().signal });
    const gone = verifySynapse(gate, parsed.value, { ip: "192.0.2.1", signal: hangUp.signal });
    hangUp.abort();
    first.resolve(true);
    assert.equal(await patient, undefined);
    assert.equal((await gone)?.code, "client_gone");
    assert.deepEqual(counts, { verified: 1, claimed: 1 });
  });
});
