import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createLiveMetagraph, type LiveMetagraph } from "../../../src/chain/live-metagraph.ts";
import { staticMetagraph } from "../../../src/chain/metagraph.ts";
import {
  loadStoredMetagraph,
  saveStoredMetagraph,
  storedMetagraphPath,
  type StoredMetagraph,
} from "../../../src/chain/stored-metagraph.ts";
import { silentLogger } from "../../../src/log.ts";
import { keypairFromSeed } from "../../../src/wallet/keypair.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const START_SECONDS = 1_790_000_000;
const validator = keypairFromSeed(new Uint8Array(32).fill(1)).address;
const miner = keypairFromSeed(new Uint8Array(32).fill(2)).address;

function stored(changes: Partial<StoredMetagraph> = {}): StoredMetagraph {
  const common = { coldkey: miner, incentive: 0.25, emission: 1.5, active: true, last_update: 990 };
  return {
    schema: 1,
    netuid: 247,
    network: "test",
    genesis: `0x${"ab".repeat(32)}`,
    block: 1000,
    updatedAt: new Date(START_SECONDS * 1000).toISOString(),
    source: "get_subnet_state",
    neurons: [
      { ...common, hotkey: validator, uid: 0, stake: 70_000.5, validator_permit: true, ip: "203.0.113.7", port: 8091 },
      { ...common, hotkey: miner, uid: 1, stake: 0, validator_permit: false, ip: null, port: null },
    ],
    ...changes,
  };
}

function open(kept: StoredMetagraph | null): { live: LiveMetagraph; clock: SteppedClock } {
  const clock = new SteppedClock(START_SECONDS);
  return { live: createLiveMetagraph({ stored: kept, maxAgeSeconds: 3600, clock }), clock };
}

describe("the chain's metagraph", () => {
  it("knows its neurons, and the next ones from the moment they are there", () => {
    const { live } = open(stored());
    assert.equal(live.open, false);
    assert.equal(live.neuron(validator)?.stake, 70_000.5);
    assert.equal(live.neuron(miner)?.validatorPermit, false);
    assert.equal(live.neuron("__proto__"), undefined);
    assert.equal(live.validators(), live.validators(), "the same array until it changes");
    live.replace(stored({ neurons: stored().neurons.map((each) => ({ ...each, validator_permit: true })) }));
    assert.equal(live.validators().length, 2);
  });

  it("refuses nobody during an outage shorter than its maximum age, and everybody after it, saying why", () => {
    const { live, clock } = open(stored());
    clock.advance(3600);
    assert.equal(live.ageSeconds(), 3600);
    assert.ok(live.neuron(validator));
    assert.equal(live.voidReason(), null);
    clock.advance(1);
    assert.equal(live.neuron(validator), undefined);
    assert.deepEqual(live.validators(), []);
    assert.match(live.voidReason() ?? "", /1 h old/);
    live.replace(stored({ updatedAt: new Date((START_SECONDS + 3601) * 1000).toISOString() }));
    assert.ok(live.neuron(validator), "the chain is back");
  });

  it("knows nobody before the first answer, and says so", () => {
    const { live } = open(null);
    assert.equal(live.neuron(validator), undefined);
    assert.match(live.voidReason() ?? "", /has not been reached/);
    assert.equal(live.ageSeconds(), Number.POSITIVE_INFINITY);
  });

  it("is not older than new when the clock was set back", () => {
    const { live } = open(stored({ updatedAt: new Date((START_SECONDS + 500) * 1000).toISOString() }));
    assert.equal(live.ageSeconds(), 0);
  });
});

describe("the stored metagraph", () => {
  async function folderWith(test: TestContext, content: string): Promise<string> {
    const stateDir = await tempFolder(test);
    mkdirSync(join(stateDir, "chain"));
    writeFileSync(storedMetagraphPath(stateDir, 247), content);
    return stateDir;
  }

  it("comes back as it was, and is a metagraph file, too", async (test) => {
    const stateDir = await tempFolder(test);
    assert.deepEqual(loadStoredMetagraph(stateDir, 247), { status: "missing" });
    await saveStoredMetagraph(stateDir, stored());
    assert.deepEqual(loadStoredMetagraph(stateDir, 247), { status: "ok", metagraph: stored() });
    const clock = new SteppedClock(START_SECONDS);
    const fromFile = staticMetagraph(storedMetagraphPath(stateDir, 247), { clock, logger: silentLogger });
    const { live } = open(stored());
    assert.deepEqual(fromFile.validators(), live.validators());
    assert.deepEqual(fromFile.neuron(miner), live.neuron(miner));
  });

  for (const [name, change] of Object.entries({
    "another schema": { schema: 2 },
    "another netuid": { netuid: 50 },
    "no neurons": { neurons: [] },
    "a genesis that is none": { genesis: "0x12" },
    "a hotkey with a typo": { neurons: [{ ...stored().neurons[0], hotkey: "5abc" }] },
  })) {
    it(`is corrupt with ${name}`, async (test) => {
      const stateDir = await folderWith(test, JSON.stringify({ ...stored(), ...change }));
      assert.equal(loadStoredMetagraph(stateDir, 247).status, "corrupt");
    });
  }

  it("is corrupt at every length but its own", async (test) => {
    const whole = JSON.stringify(stored());
    const stateDir = await folderWith(test, whole);
    for (let length = 0; length < whole.length; length += 37) {
      writeFileSync(storedMetagraphPath(stateDir, 247), whole.slice(0, length));
      assert.equal(loadStoredMetagraph(stateDir, 247).status, "corrupt", String(length));
    }
  });
});
