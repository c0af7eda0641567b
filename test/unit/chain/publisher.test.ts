import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ExternalAddress } from "../../../src/chain/external-address.ts";
import { AxonPublisher } from "../../../src/chain/publisher.ts";
import { serveAxonCall } from "../../../src/chain/serve-axon.ts";
import { encodeArguments } from "../../../src/chain/signing.ts";
import { OperationalError } from "../../../src/errors.ts";
import { silentLogger } from "../../../src/log.ts";
import { keypairFromSeed } from "../../../src/wallet/keypair.ts";
import {
  neuron,
  SCRIPTED_GENESIS,
  ScriptedLink,
  scriptedEndpoint,
  type ScriptedEndpoint,
} from "../../support/scripted-link.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";

const keypair = keypairFromSeed(new Uint8Array(32).fill(9));
const NO_EVENTS = { onHead: () => undefined, onLost: () => undefined, onUpgrade: () => undefined };
const WANTED = serveAxonCall({ netuid: 247, version: 10_000_001, address: { ip: "203.0.113.7", port: 8091 } });

interface Stage {
  readonly publisher: AxonPublisher;
  readonly endpoint: ScriptedEndpoint;
  readonly link: ScriptedLink;
  readonly clock: SteppedClock;
  readonly printed: string[];
  check: () => Promise<void>;
}

async function stage(options: { dryRun?: boolean; detect?: () => Promise<string> } = {}): Promise<Stage> {
  const clock = new SteppedClock(1_790_000_000);
  const printed: string[] = [];
  const { dryRun = false, detect } = options;
  const publisher = new AxonPublisher({
    netuid: 247,
    keypair,
    address: new ExternalAddress({
      configured: detect ? null : "203.0.113.7",
      detect: detect ?? (() => assert.fail("asked")),
      clock,
    }),
    port: 8091,
    version: 10_000_001,
    dryRun,
    clock,
    logger: silentLogger,
    print: (text) => printed.push(text),
  });
  const endpoint = scriptedEndpoint([neuron(keypair.address)]);
  const link = new ScriptedLink(new Map([["ws://a", endpoint]]), NO_EVENTS);
  await link.open("ws://a");
  return { publisher, endpoint, link, clock, printed, check: () => publisher.check(link, SCRIPTED_GENESIS) };
}

function refuseWith(form: "pool" | "dispatch", name: string): () => never {
  return () => {
    throw new OperationalError("CHAIN_REFUSED", "refused", { details: { refusal: { form, name } } });
  };
}

describe("the axon on chain", () => {
  it("is served, read back, and left alone from then on", async () => {
    const { publisher, link, check } = await stage();
    await check();
    assert.deepEqual(link.served, [WANTED]);
    assert.deepEqual(publisher.stats(), { state: "served", wanted: "203.0.113.7:8091", reason: null, submitted: 1 });
    await check();
    assert.equal(link.served.length, 1);
    assert.equal(publisher.isDue(1_000_000), false);
  });

  it("is skipped when the chain already says the same", async () => {
    const { publisher, endpoint, link, check } = await stage();
    endpoint.axon = { ...endpoint.axon, axon: { ...WANTED, block: 3 } };
    await check();
    assert.equal(link.served.length, 0);
    assert.equal(publisher.stats().state, "identical");
  });

  it("is served again when somebody changed it", async () => {
    const { publisher, endpoint, link, check } = await stage();
    await check();
    endpoint.axon = { ...endpoint.axon, axon: { ...WANTED, port: 1, block: 10 } };
    await check();
    assert.equal(link.served.length, 2);
    assert.equal(publisher.stats().state, "served");
  });

  it("waits for the block at which the rate limit lets it pass", async () => {
    const { publisher, endpoint, link, check } = await stage();
    endpoint.axon = { ...endpoint.axon, axon: { ...WANTED, port: 1, block: 990 } };
    await check();
    assert.deepEqual([link.served.length, publisher.stats().state], [0, "waiting"]);
    assert.deepEqual([publisher.isDue(1039), publisher.isDue(1040)], [false, true]);
    link.advance(40);
    await check();
    assert.deepEqual([link.served.length, publisher.stats().state], [1, "served"]);
  });

  it("is not asked for without a uid", async () => {
    const { publisher, endpoint, link, check } = await stage();
    endpoint.axon = { ...endpoint.axon, uid: null };
    await check();
    assert.deepEqual([link.served.length, publisher.stats().state], [0, "not_registered"]);
  });

  it("is said to have failed when storage does not show what was included", async () => {
    const { publisher, endpoint, clock, check } = await stage();
    endpoint.onServe = () => undefined;
    await check();
    assert.equal(publisher.stats().state, "failed");
    assert.equal(publisher.isDue(0), false);
    clock.advance(12);
    assert.equal(publisher.isDue(0), true);
  });
});

describe("a refused serve_axon", () => {
  for (const form of ["pool", "dispatch"] as const) {
    it(`(${form}) by the rate limit comes again some blocks later`, async () => {
      const { publisher, endpoint, link, check } = await stage();
      const { onServe } = endpoint;
      endpoint.onServe = refuseWith(form, "ServingRateLimitExceeded");
      await check();
      assert.match(publisher.stats().reason ?? "", /rate limit/);
      assert.deepEqual([publisher.isDue(1004), publisher.isDue(1005)], [false, true]);
      endpoint.onServe = onServe;
      link.advance(5);
      await check();
      assert.equal(publisher.stats().state, "served");
    });

    it(`(${form}) for what a person must mend is not repeated until something changes, or an hour has passed`, async () => {
      const { publisher, endpoint, link, clock, check } = await stage();
      endpoint.onServe = refuseWith(form, "InvalidIpAddress");
      await check();
      for (let refresh = 0; refresh < 11; refresh += 1) {
        clock.advance(300);
        await check();
      }
      assert.equal(link.served.length, 1);
      assert.match(publisher.stats().reason ?? "", /--axon\.external_ip/);
      clock.advance(300);
      await check();
      assert.equal(link.served.length, 2);
    });
  }

  it("for a passing reason is repeated ever more slowly", async () => {
    const { publisher, endpoint, clock, check } = await stage();
    endpoint.onServe = refuseWith("pool", "PoolFull");
    const waits: number[] = [];
    for (let attempt = 0; attempt < 8; attempt += 1) {
      await check();
      const seconds = (publisher.dueMs() - clock.nowMs()) / 1000;
      waits.push(seconds);
      clock.advance(seconds);
    }
    assert.deepEqual(waits, [12, 24, 48, 96, 192, 384, 600, 600]);
    assert.equal(publisher.stats().submitted, 8);
  });
});

describe("a connection that is cut while serve_axon is on its way", () => {
  for (const executed of [true, false]) {
    it(`is found out by reading the chain again (${executed ? "it was" : "it was not"} executed)`, async () => {
      const { publisher, endpoint, link, check } = await stage();
      const { onServe } = endpoint;
      endpoint.onServe = (call) => {
        if (executed) onServe(call);
        throw new OperationalError("CHAIN_LOST", "cut");
      };
      await assert.rejects(check(), { code: "CHAIN_LOST" });
      assert.equal(publisher.stats().state, "failed");
      assert.equal(publisher.isDue(0), true);
      endpoint.onServe = onServe;
      await check();
      assert.equal(publisher.stats().state, executed ? "identical" : "served");
      assert.equal(link.served.length, executed ? 1 : 2);
    });
  }
});

describe("a dry run", () => {
  it("prints the extrinsic once and sends nothing", async () => {
    const { publisher, link, printed, check } = await stage({ dryRun: true });
    await check();
    await check();
    assert.deepEqual([link.served.length, publisher.stats().state, printed.length], [0, "dry_run", 1]);
    for (const part of ["serve_axon", keypair.address, "3405803783 (203.0.113.7)", "port 8091", "call data 0x0704"]) {
      assert.ok(printed[0]?.includes(part), `${part} in ${String(printed[0])}`);
    }
  });
});

describe("an address that is detected", () => {
  it("keeps the axon waiting while nobody knows it, and is served when it is there", async () => {
    let ip: string | null = null;
    const detect = (): Promise<string> =>
      ip === null ? Promise.reject(new OperationalError("EXTERNAL_IP", "no agreement")) : Promise.resolve(ip);
    const { publisher, link, clock, check } = await stage({ detect });
    await check();
    assert.equal(publisher.stats().state, "no_address");
    assert.match(publisher.stats().reason ?? "", /EXTERNAL_IP/);
    assert.equal(publisher.dueMs() - clock.nowMs(), 300_000);
    ip = "203.0.113.7";
    clock.advance(300);
    await check();
    assert.deepEqual([publisher.stats().state, link.served.length], ["served", 1]);
  });

  it("is served anew after it was seen changed twice", async () => {
    let ip = "203.0.113.7";
    const { publisher, endpoint, link, clock, check } = await stage({ detect: () => Promise.resolve(ip) });
    await check();
    endpoint.axon = { ...endpoint.axon, rateLimitBlocks: 0 };
    ip = "203.0.113.8";
    clock.advance(3600);
    await check();
    assert.equal(link.served.length, 1);
    clock.advance(300);
    await check();
    assert.deepEqual(
      link.served.map((call) => call.ip),
      [3_405_803_783n, 3_405_803_784n],
    );
    assert.equal(publisher.stats().wanted, "203.0.113.8:8091");
  });
});

describe("the signature", () => {
  it("is given for the call that is being submitted, and for nothing at any other time", async () => {
    const { publisher, endpoint, check } = await stage();
    const genesis = SCRIPTED_GENESIS.slice(2);
    const payload = Buffer.concat([
      Buffer.from("0704", "hex"),
      encodeArguments(WANTED),
      Buffer.from(`45010000${genesis}`, "hex"),
    ]);
    let signature: Uint8Array | Promise<Uint8Array> | undefined;
    let forged: unknown;
    endpoint.onServe = (call) => {
      signature = publisher.sign(payload, call);
      const other = { ...call, port: 1 };
      try {
        // What the other thread claims to be signing is of no account.
        void publisher.sign(
          Buffer.concat([payload.subarray(0, 2), encodeArguments(other), payload.subarray(30)]),
          other,
        );
      } catch (error) {
        forged = error;
      }
    };
    await check();
    assert.equal((await signature)?.length, 64);
    assert.ok(forged instanceof OperationalError && forged.code === "CHAIN_PAYLOAD");
    assert.throws(() => publisher.sign(payload, WANTED), { code: "CHAIN_PAYLOAD" });
  });
});
