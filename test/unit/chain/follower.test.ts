import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { ExternalAddress } from "../../../src/chain/external-address.ts";
import { followChain, type Follower } from "../../../src/chain/follower.ts";
import { createLiveMetagraph, type LiveMetagraph } from "../../../src/chain/live-metagraph.ts";
import { AxonPublisher } from "../../../src/chain/publisher.ts";
import { serveAxonCall } from "../../../src/chain/serve-axon.ts";
import { loadStoredMetagraph, type StoredMetagraph } from "../../../src/chain/stored-metagraph.ts";
import { silentLogger } from "../../../src/log.ts";
import { keypairFromSeed } from "../../../src/wallet/keypair.ts";
import {
  neuron,
  SCRIPTED_GENESIS,
  ScriptedLink,
  scriptedEndpoint,
  type ScriptedEndpoint,
} from "../../support/scripted-link.ts";
import { eventually, SteppedClock } from "../../support/stepped-clock.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const START_SECONDS = 1_790_000_000;
const [miner, alice, bob] = [1, 2, 3].map((byte) => keypairFromSeed(new Uint8Array(32).fill(byte)));
const SUBNET = [
  neuron(miner!.address),
  neuron(alice!.address, { stake: 70_000, validatorPermit: true }),
  neuron(bob!.address, { stake: 70_000 }),
];

interface Stage {
  readonly follower: Follower;
  readonly metagraph: LiveMetagraph;
  readonly clock: SteppedClock;
  readonly link: ScriptedLink;
  readonly stateDir: string;
}

async function follow(
  test: TestContext,
  endpoints: Readonly<Record<string, ScriptedEndpoint>>,
  options: { stored?: StoredMetagraph | null; genesis?: string | null; stateDir?: string; detects?: string } = {},
): Promise<Stage> {
  const clock = new SteppedClock(START_SECONDS);
  const stateDir = options.stateDir ?? (await tempFolder(test));
  const metagraph = createLiveMetagraph({ stored: options.stored ?? null, maxAgeSeconds: 86_400, clock });
  const publisher = new AxonPublisher({
    netuid: 247,
    keypair: miner!,
    address: new ExternalAddress({
      configured: options.detects === undefined ? "203.0.113.7" : null,
      detect: () => Promise.resolve(options.detects ?? assert.fail("asked")),
      clock,
    }),
    port: 8091,
    version: 10_000_001,
    dryRun: false,
    clock,
    logger: silentLogger,
    print: () => undefined,
  });
  let link: ScriptedLink | undefined;
  const urls = Object.keys(endpoints) as [string, ...string[]];
  const follower = followChain({
    netuid: 247,
    ownHotkey: miner!.address,
    wallet: { name: "w", hotkey: "h" },
    endpoints: { network: "test", urls, genesis: options.genesis ?? null },
    stateDir,
    epochLength: 100,
    refreshSeconds: 300,
    staleHeadSeconds: 120,
    metagraph,
    publisher,
    createLink: (events) => (link = new ScriptedLink(new Map(Object.entries(endpoints)), events)),
    clock,
    random: () => 0.5,
    logger: silentLogger,
  });
  test.after(() => follower.close());
  return { follower, metagraph, clock, link: link!, stateDir };
}

/** Time passes second by second, as often as it takes, while the follower waits: not while it writes to a busy disk. */
async function passes(clock: SteppedClock, condition: () => boolean, what: string): Promise<void> {
  for (let second = 0; second < 4000 && !condition(); second += 1) {
    await eventually(() => clock.isSleptOn || condition(), `asleep: ${what}`);
    clock.advance(1);
    for (let turn = 0; turn < 20 && !condition(); turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(condition(), `never: ${what}`);
}

async function kept(test: TestContext): Promise<StoredMetagraph> {
  const { metagraph, follower } = await follow(test, { "ws://a": scriptedEndpoint(SUBNET) });
  await eventually(() => metagraph.current() !== null, "a first metagraph");
  await follower.close();
  return metagraph.current()!;
}

describe("following the chain", () => {
  it("takes the metagraph at once, stores it, serves the axon and says how it stands", async (test) => {
    const endpoint = scriptedEndpoint(SUBNET);
    const { follower, metagraph, link, stateDir } = await follow(test, { "ws://a": endpoint });
    await eventually(() => follower.stats().serving.state === "served", "served");
    assert.equal(metagraph.neuron(alice!.address)?.validatorPermit, true);
    const loaded = loadStoredMetagraph(stateDir, 247);
    assert.deepEqual(loaded, { status: "ok", metagraph: metagraph.current() });
    assert.equal(link.served.length, 1);
    const { registered, uid, connected, endpoint: url, block, source, reconnects } = follower.stats();
    assert.deepEqual([registered, uid, connected, url], [true, 0, true, "ws://a"]);
    assert.deepEqual([block, source, reconnects], [1000, "get_subnet_state", 0]);
    assert.deepEqual(follower.reasons(), []);
  });

  it("refreshes after 300 s or 100 blocks, whichever comes first, and admits a new permit with that", async (test) => {
    const endpoint = scriptedEndpoint(SUBNET);
    const { follower, metagraph, clock, link } = await follow(test, { "ws://a": endpoint });
    await eventually(() => follower.stats().refreshes === 1, "first refresh");
    endpoint.neurons = endpoint.neurons.map((each) => ({ ...each, validatorPermit: true }));
    clock.advance(299);
    link.advance(99);
    await eventually(() => follower.stats().block === 1099, "the head");
    assert.equal(metagraph.neuron(bob!.address)?.validatorPermit, false);
    clock.advance(1);
    await eventually(() => follower.stats().refreshes === 2, "by time");
    assert.equal(metagraph.neuron(bob!.address)?.validatorPermit, true);
    link.advance(100);
    await eventually(() => follower.stats().refreshes === 3, "by blocks");
    await eventually(() => link.count("readAxon") >= 3, "the axon is looked at with every refresh");
  });

  it("goes to the next endpoint when one fails, is lost, or has no new blocks", async (test) => {
    const [a, b, c] = [scriptedEndpoint(SUBNET), scriptedEndpoint(SUBNET), scriptedEndpoint(SUBNET)];
    a.failing = { open: "CHAIN_UNREACHABLE" };
    const { follower, clock, link } = await follow(test, { "ws://a": a, "ws://b": b, "ws://c": c });
    await passes(clock, () => follower.stats().endpoint === "ws://b" && follower.stats().refreshes > 0, "b");
    link.lose();
    await passes(clock, () => follower.stats().endpoint === "ws://c", "c");
    a.failing = {};
    const changedAtMs = clock.nowMs();
    await passes(clock, () => follower.stats().endpoint === "ws://a", "a, for c has no blocks");
    const staleSeconds = (clock.nowMs() - changedAtMs) / 1000;
    assert.ok(staleSeconds >= 119 && staleSeconds < 130, String(staleSeconds));
    assert.match(follower.stats().lastError ?? "", /no new block for 120 s/);
    assert.equal(follower.stats().reconnects, 2);
  });

  it("does not take a head that goes back for a sign of life", async (test) => {
    const { follower, clock, link } = await follow(test, { "ws://a": scriptedEndpoint(SUBNET) });
    await eventually(() => follower.stats().connected, "connected");
    let seconds = 0;
    const headGoesBack = (): boolean => {
      link.events.onHead(1000 - (seconds += 1));
      return follower.stats().reconnects > 0;
    };
    await passes(clock, headGoesBack, "reconnected");
    assert.ok(clock.nowMs() / 1000 - START_SECONDS < 130, "although its endpoint kept talking");
  });

  it("waits longer and longer while nothing answers, and never hammers", async (test) => {
    const [a, b] = [scriptedEndpoint(SUBNET), scriptedEndpoint(SUBNET)];
    a.failing = b.failing = { open: "CHAIN_UNREACHABLE" };
    const { follower, clock, link } = await follow(test, { "ws://a": a, "ws://b": b });
    const until = clock.nowMs() + 3_600_000;
    await passes(clock, () => clock.nowMs() >= until, "an hour");
    const asked = link.count("open");
    assert.ok(asked > 60 && asked < 200, `${asked} attempts in an hour`);
    assert.match(follower.reasons().join(), /has not been reached/);
    a.failing = {};
    await passes(clock, () => follower.stats().refreshes > 0, "it is back");
    assert.deepEqual(follower.reasons(), []);
  });

  it("reads the new metadata after a runtime upgrade, at the same endpoint and without counting it a failure", async (test) => {
    const [a, b] = [scriptedEndpoint(SUBNET), scriptedEndpoint(SUBNET)];
    const { follower, link } = await follow(test, { "ws://a": a, "ws://b": b });
    await eventually(() => follower.stats().serving.state === "served", "served");
    a.specVersion = 425;
    link.events.onUpgrade(425);
    await eventually(() => follower.stats().specVersion === 425, "the new runtime");
    await eventually(() => link.count("readAxon") >= 3, "the axon is looked at by the new runtime");
    assert.deepEqual([follower.stats().endpoint, follower.stats().lastError], ["ws://a", null]);
  });

  it("serves when the rate limit's block has come, without waiting for a refresh", async (test) => {
    const endpoint = scriptedEndpoint(SUBNET);
    const call = serveAxonCall({ netuid: 247, version: 1, address: { ip: "203.0.113.9", port: 1 } });
    endpoint.axon = { ...endpoint.axon, axon: { ...call, block: 980 } };
    const { follower, link } = await follow(test, { "ws://a": endpoint });
    await eventually(() => follower.stats().serving.state === "waiting", "waiting");
    link.advance(29);
    link.advance(1);
    await eventually(() => follower.stats().serving.state === "served", "served");
    assert.equal(follower.stats().refreshes, 1);
  });
});

describe("an outage", () => {
  it("refuses nobody who was admitted until the metagraph is too old, also over a restart", async (test) => {
    const stored = await kept(test);
    const down = scriptedEndpoint(SUBNET);
    down.failing = { open: "CHAIN_UNREACHABLE" };
    const { follower, metagraph, clock } = await follow(test, { "ws://a": down }, { stored });
    assert.equal(metagraph.neuron(alice!.address)?.validatorPermit, true);
    assert.deepEqual(follower.reasons(), []);
    clock.advance(86_400);
    assert.equal(metagraph.neuron(alice!.address)?.validatorPermit, true);
    clock.advance(2);
    assert.equal(metagraph.neuron(alice!.address), undefined);
    assert.match(follower.reasons().join(), /24 h old/);
    down.failing = {};
    await passes(clock, () => follower.stats().refreshes > 0, "the chain is back");
    assert.equal(metagraph.neuron(alice!.address)?.validatorPermit, true);
  });
});

describe("a lying endpoint", () => {
  it("of another chain is never read: neither against a known genesis nor against the kept one", async (test) => {
    for (const known of [true, false]) {
      const liar = scriptedEndpoint(SUBNET);
      liar.genesis = `0x${"66".repeat(32)}`;
      const stored = known ? null : await kept(test);
      const endpoints = { "ws://liar": liar, "ws://honest": scriptedEndpoint(SUBNET) };
      const genesis = known ? SCRIPTED_GENESIS : null;
      const { follower, clock, link } = await follow(test, endpoints, { stored, genesis });
      await passes(
        clock,
        () => follower.stats().endpoint === "ws://honest" && follower.stats().refreshes > 0,
        "honest",
      );
      assert.ok(!link.asked.includes("readSubnet ws://liar"));
      assert.match(follower.stats().lastError ?? "", /CHAIN_GENESIS/);
    }
  });

  const lies: Record<string, (endpoint: ScriptedEndpoint) => void> = {
    "an empty subnet": (endpoint) => (endpoint.neurons = []),
    "a subnet without validators": (endpoint) =>
      (endpoint.neurons = endpoint.neurons.map((each) => ({ ...each, validatorPermit: false }))),
    "a stake of nothing": (endpoint) => (endpoint.neurons = endpoint.neurons.map((each) => ({ ...each, stake: 0 }))),
    "a collapsed subnet": (endpoint) => (endpoint.neurons = endpoint.neurons.slice(0, 1)),
    "a block long past": (endpoint) => (endpoint.block = 10),
    "that we are not registered": (endpoint) => (endpoint.neurons = endpoint.neurons.slice(1)),
    "an address that is none": (endpoint) =>
      (endpoint.neurons = endpoint.neurons.map((each) => ({ ...each, hotkey: `x${each.hotkey}` }))),
  };
  for (const [name, lie] of Object.entries(lies)) {
    it(`about ${name} is left for one that tells what was known`, async (test) => {
      const stored = await kept(test);
      const liar = scriptedEndpoint(SUBNET);
      lie(liar);
      const endpoints = { "ws://liar": liar, "ws://honest": scriptedEndpoint(SUBNET) };
      const { follower, metagraph, clock } = await follow(test, endpoints, { stored });
      await passes(clock, () => follower.stats().refreshes > 0, "a refresh");
      assert.equal(follower.stats().endpoint, "ws://honest");
      assert.equal(metagraph.neuron(alice!.address)?.validatorPermit, true);
      assert.equal(follower.stats().registered, true);
    });

    it(`about ${name} is believed only if all say so twice, and an impossible one never`, async (test) => {
      const stored = await kept(test);
      const endpoints = { "ws://a": scriptedEndpoint(SUBNET), "ws://b": scriptedEndpoint(SUBNET) };
      for (const endpoint of Object.values(endpoints)) lie(endpoint);
      const { follower, metagraph, clock, link } = await follow(test, endpoints, { stored });
      const isImpossible = name === "an empty subnet" || name === "an address that is none";
      await passes(
        clock,
        () => follower.stats().refreshes > 0 || link.count("readSubnet") > 8,
        "accepted or asked often",
      );
      assert.equal(follower.stats().refreshes, isImpossible ? 0 : 1);
      if (isImpossible) assert.equal(metagraph.neuron(alice!.address)?.validatorPermit, true);
      else assert.equal(link.count("readSubnet"), 4);
    });
  }
});

describe("a hotkey that is not registered", () => {
  const strangers = SUBNET.slice(1);

  it("is said so at the start, with the command that registers it", async (test) => {
    const { follower } = await follow(test, { "ws://a": scriptedEndpoint(strangers) });
    assert.match(await follower.unregistered, /btcli subnets register --netuid 247 --wallet.name w --wallet.hotkey h/);
    assert.match(follower.reasons().join(), /not registered/);
    assert.equal(follower.stats().serving.state, "not_registered");
  });

  it("needs a second witness where there is one, and none that is down", async (test) => {
    const down = scriptedEndpoint(SUBNET);
    down.failing = { open: "CHAIN_UNREACHABLE" };
    const endpoints = { "ws://a": scriptedEndpoint(strangers), "ws://down": down };
    const { follower, clock, link } = await follow(test, endpoints);
    let said = false;
    void follower.unregistered.then(() => (said = true));
    await passes(clock, () => said, "said");
    assert.ok(link.asked.includes("open ws://down"));
    const both = { "ws://a": scriptedEndpoint(strangers), "ws://b": scriptedEndpoint(strangers) };
    const second = await follow(test, both);
    let saidAgain = false;
    void second.follower.unregistered.then(() => (saidAgain = true));
    await passes(second.clock, () => saidAgain, "said by both");
    assert.deepEqual(
      second.link.asked.filter((entry) => entry.startsWith("readSubnet")),
      ["readSubnet ws://a", "readSubnet ws://b"],
    );
  });

  it("later on keeps running, not ready, and is served again after its return", async (test) => {
    const endpoint = scriptedEndpoint(SUBNET);
    const { follower, clock, link } = await follow(test, { "ws://a": endpoint });
    await eventually(() => follower.stats().serving.state === "served", "served");
    let said = false;
    void follower.unregistered.then(() => (said = true));
    const all = endpoint.neurons;
    endpoint.neurons = all.slice(1);
    endpoint.axon = { ...endpoint.axon, uid: null, axon: null };
    await passes(clock, () => follower.stats().registered === false, "deregistered");
    assert.match(follower.reasons().join(), /not registered/);
    endpoint.neurons = all;
    endpoint.axon = { ...endpoint.axon, uid: 0 };
    await passes(clock, () => follower.stats().registered === true && link.served.length === 2, "back");
    assert.deepEqual(follower.reasons(), []);
    assert.equal(said, false, "exit code 3 is for the start");
  });

  it("sleeps while there is nothing to do, past the time to look at its address again, and piles up no signals", async (test) => {
    const endpoint = scriptedEndpoint(SUBNET);
    const joined = test.mock.method(AbortSignal, "any");
    const { follower, clock, link } = await follow(test, { "ws://a": endpoint }, { detects: "203.0.113.7" });
    await eventually(() => follower.stats().serving.state === "served", "served");
    endpoint.neurons = endpoint.neurons.slice(1);
    await passes(clock, () => follower.stats().registered === false, "deregistered");
    const slept = test.mock.method(clock, "sleep");
    let headAtMs: number = clock.nowMs();
    const untilMs = headAtMs + 3_700_000;
    const headsPass = (): boolean => {
      if (clock.nowMs() > headAtMs + 60_000) {
        headAtMs = clock.nowMs();
        link.advance(1);
      }
      return clock.nowMs() >= untilMs;
    };
    await passes(clock, headsPass, "an hour and more");
    assert.equal(follower.stats().registered, false);
    assert.ok(slept.mock.calls.length > 20);
    assert.deepEqual(
      slept.mock.calls.map(({ arguments: [ms] }) => ms).filter((ms) => ms <= 0),
      [],
    );
    assert.equal(joined.mock.callCount(), 0, "each would be kept for as long as the process runs");
  });
});

describe("closing", () => {
  it("ends at once, whatever is going on", async (test) => {
    const down = scriptedEndpoint(SUBNET);
    down.failing = { open: "CHAIN_UNREACHABLE" };
    for (const [endpoint, asleep] of [
      [scriptedEndpoint(SUBNET), false],
      [scriptedEndpoint(SUBNET), true],
      [down, false],
      [down, true],
    ] as const) {
      const { follower, link, clock } = await follow(test, { "ws://a": endpoint });
      if (asleep) await eventually(() => clock.isSleptOn, "asleep");
      await follower.close();
      const asked = link.asked.length;
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(link.asked.length, asked);
    }
  });
});
