import assert from "node:assert/strict";
import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { openMetagraph, staticMetagraph } from "../../../src/chain/metagraph.ts";
import type { Clock } from "../../../src/clock.ts";
import { silentLogger } from "../../../src/log.ts";
import { unixMillis } from "../../../src/units.ts";
import { keypairFromSeed } from "../../../src/wallet/keypair.ts";

const folder = mkdtempSync(join(tmpdir(), "metagraph-"));
after(() => {
  rmSync(folder, { recursive: true });
});
const hotkey = keypairFromSeed(new Uint8Array(32).fill(1)).address;
let files = 0;

function write(content: unknown, file = join(folder, `${String(files++)}.json`)): string {
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
}

function neuron(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return { hotkey, uid: 3, stake: 70_000.5, validator_permit: true, ip: "203.0.113.7", ...changes };
}

function open(file: string, nowMs = { value: 0 }) {
  const clock: Clock = { nowMs: () => unixMillis(nowMs.value), sleep: () => Promise.resolve() };
  return staticMetagraph(file, { clock, logger: silentLogger });
}

describe("static metagraph", () => {
  it("knows the neurons of its file", () => {
    const metagraph = open(write({ neurons: [neuron()] }));
    assert.deepEqual(metagraph.neuron(hotkey), {
      hotkey,
      uid: 3,
      stake: 70_000.5,
      validatorPermit: true,
      ip: "203.0.113.7",
    });
    assert.equal(metagraph.neuron("5other"), undefined);
    assert.equal(metagraph.neuron("__proto__"), undefined);
    assert.equal(metagraph.validators().length, 1);
    assert.equal(metagraph.open, false);
  });

  it("follows its file; a broken or missing rewrite keeps the last good content and ages", async () => {
    const file = write({ neurons: [neuron()] });
    const now = { value: 0 };
    const metagraph = open(file, now);
    write({ neurons: [neuron({ stake: 1 })] }, file);
    await nextTurn();
    assert.equal(metagraph.neuron(hotkey)?.stake, 1);
    now.value = 5000;
    await nextTurn();
    assert.equal(metagraph.ageSeconds(), 0);
    write('{"neurons":[', file);
    await nextTurn();
    assert.equal(metagraph.neuron(hotkey)?.stake, 1);
    now.value = 9000;
    await nextTurn();
    assert.equal(metagraph.ageSeconds(), 4);
    unlinkSync(file);
    await nextTurn();
    assert.equal(metagraph.neuron(hotkey)?.stake, 1);
    write({ neurons: [] }, file);
    await nextTurn();
    assert.equal(metagraph.neuron(hotkey), undefined);
    assert.equal(metagraph.ageSeconds(), 0);
  });

  it("keeps the list of validators until the file changes", () => {
    const file = write({
      neurons: [neuron(), neuron({ hotkey: keypairFromSeed(new Uint8Array(32)).address, validator_permit: false })],
    });
    const metagraph = open(file);
    const validators = metagraph.validators();
    assert.equal(validators.length, 1);
    assert.equal(metagraph.validators(), validators);
  });

  for (const [name, content] of Object.entries({
    "not JSON": "neurons",
    "no list": {},
    "a hotkey with a typo": { neurons: [neuron({ hotkey: hotkey.slice(0, -1) })] },
    "a negative stake": { neurons: [neuron({ stake: -1 })] },
    "a stake as text": { neurons: [neuron({ stake: "5" })] },
    "an ip that is none": { neurons: [neuron({ ip: "localhost" })] },
  })) {
    it(`refuses ${name} at the start`, () => {
      assert.throws(() => open(write(content)), { code: "METAGRAPH_FILE" });
    });
  }

  it("refuses a missing file at the start", () => {
    assert.throws(() => open(join(folder, "none")), { code: "METAGRAPH_FILE" });
  });
});

describe("open metagraph", () => {
  it("knows nobody and says that it is open", () => {
    const metagraph = openMetagraph();
    assert.equal(metagraph.open, true);
    assert.equal(metagraph.neuron(hotkey), undefined);
  });
});
