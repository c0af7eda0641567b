import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { integerOfIp } from "../../src/chain/serve-axon.ts";
import { loadStoredMetagraph, storedMetagraphPath } from "../../src/chain/stored-metagraph.ts";
import { systemClock } from "../../src/clock.ts";
import type { MinerProcess } from "../../src/demo/processes.ts";
import { askAxon, type Prompt, type Verdict } from "../../src/demo/validator.ts";
import { EXIT } from "../../src/errors.ts";
import { CORRECT } from "../../src/subnets/synth/validate-answer.ts";
import { keypairFromSeed, type Keypair } from "../../src/wallet/keypair.ts";
import { createTestMiner, type TestMiner } from "../support/miner.ts";
import type { SubtensorDouble } from "../support/subtensor/api.ts";
import { startSubtensorDouble } from "../support/subtensor/double.ts";
import { subtensorDoubleSkip } from "../support/subtensor/skip.ts";

const NETUID = 247;
const STAKE = 100_000;
const EXTERNAL_IP = "203.0.113.7";

interface Health {
  readonly metagraph: { readonly validators: number; readonly ageSeconds: number | null };
  readonly chain: {
    readonly connected: boolean;
    readonly endpoint: string | null;
    readonly block: number | null;
    readonly registered: boolean | null;
    readonly uid: number | null;
    readonly source: string | null;
    readonly refreshes: number;
    readonly lastError: string | null;
    readonly serving: { readonly state: string; readonly wanted: string | null };
  };
}

// Generous: it only ends a failure, and a start beside other work on two cores has taken more than 40 s.
const PATIENCE_MS = 120_000;

/** Polls until `condition` holds. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.nowMs() + PATIENCE_MS;
  while (!(await condition())) {
    assert.ok(systemClock.nowMs() < deadlineMs, `never: ${condition.toString()}`);
    await systemClock.sleep(50);
  }
}

async function health(miner: TestMiner): Promise<Health | null> {
  try {
    return (await (await fetch(`${miner.healthUrl}/healthz`)).json()) as Health;
  } catch {
    return null; // not up yet
  }
}

/** A further refresh than those that may have begun before now. */
async function nextRefresh(miner: TestMiner): Promise<void> {
  const before = (await health(miner))?.chain.refreshes ?? 0;
  await until(async () => ((await health(miner))?.chain.refreshes ?? 0) >= before + 2);
}

function ask(miner: TestMiner, keypair: Keypair): Promise<Verdict> {
  const startTimeSeconds = Math.ceil(Date.now() / 60_000) * 60 + 60;
  const prompt: Prompt = {
    asset: "BTC",
    startTimeSeconds,
    stepSeconds: 60,
    horizonSeconds: 3600,
    numSimulations: 1000,
  };
  return askAxon(miner.axon, prompt, { keypair, timeoutSeconds: 30 });
}

/** The rehearsal's own metagraph file is put aside: the chain says who is who. */
function serve(miner: TestMiner, urls: string, ...args: string[]): MinerProcess {
  const chain = ["--metagraph.mode", "chain", "--metagraph.file", "none", "--subtensor.network", urls];
  const pace = ["--metagraph.refresh_seconds", "0.5", "--subtensor.timeout_ms", "5000"];
  const address = ["--axon.external_ip", EXTERNAL_IP];
  return miner.start("serve", [...chain, ...pace, ...address, "--netuid", String(NETUID), ...args]);
}

function startChain(miner: TestMiner): Promise<SubtensorDouble> {
  const neurons = [
    { hotkey: miner.axon.hotkey },
    { hotkey: miner.validator.address, validatorPermit: true, alphaStake: STAKE },
  ];
  return startSubtensorDouble({ subnets: [{ netuid: NETUID, neurons }] });
}

async function addressService(ip: string): Promise<{ url: string; server: Server }> {
  const server = createServer((_request, response) => response.end(`${ip}\n`)).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

describe("a miner on the chain", { skip: subtensorDoubleSkip, timeout: 600_000 }, () => {
  let miner: TestMiner;
  let chain: SubtensorDouble;
  let serving: MinerProcess;
  before(async () => {
    miner = await createTestMiner();
    chain = await startChain(miner);
    serving = serve(miner, chain.url);
    await until(async () => (await health(miner))?.chain.serving.state === "served");
  });
  after(async () => {
    await miner.close();
    await chain.close();
  });

  it("announces itself and says how it stands", async () => {
    const axon = chain.axonOf(NETUID, miner.axon.hotkey);
    assert.deepEqual(
      [axon?.ip, axon?.port, axon?.ipType, axon?.protocol],
      [integerOfIp(EXTERNAL_IP).ip, miner.axon.port, 4, 4],
    );
    const found = (await health(miner))?.chain;
    assert.deepEqual(
      [found?.connected, found?.endpoint, found?.registered, found?.uid, found?.source],
      [true, chain.url, true, 0, "get_subnet_state"],
    );
    assert.match(readFileSync(miner.logFile, "utf8"), /"msg":"Neuron on chain"/);
  });

  it("answers a validator that the chain lists, and refuses it after the refresh that follows the loss of its permit", async () => {
    assert.equal((await ask(miner, miner.validator)).verdict, CORRECT);
    chain.setPermit(NETUID, miner.validator.address, false);
    // Another one, so that the subnet is not without any: that would be doubted first.
    const other = keypairFromSeed(new Uint8Array(32).fill(7));
    chain.register(NETUID, { hotkey: other.address, validatorPermit: true, alphaStake: STAKE });
    await nextRefresh(miner);
    assert.match((await ask(miner, miner.validator)).verdict, /403.*Non-validator hotkey/s);
    assert.equal((await ask(miner, other)).verdict, CORRECT);
  });

  it("admits a validator that has just gained its permit, within one refresh", async () => {
    chain.setPermit(NETUID, miner.validator.address, true);
    await nextRefresh(miner);
    assert.equal((await ask(miner, miner.validator)).verdict, CORRECT);
  });

  it("answers on while the chain is down, also after a restart, and does not announce twice what is there", async () => {
    const sent = chain.extrinsics.length;
    chain.setFaults({ refuseConnections: true });
    chain.cutConnections();
    await until(async () => (await health(miner))?.chain.connected === false);
    assert.equal((await ask(miner, miner.validator)).verdict, CORRECT);
    serving.kill("SIGTERM");
    assert.deepEqual(await serving.exited, { code: 0, signal: null });
    serving = serve(miner, chain.url);
    await until(async () => ((await health(miner))?.chain.lastError ?? null) !== null);
    assert.equal((await ask(miner, miner.validator)).verdict, CORRECT);
    const down = await health(miner);
    assert.ok((down?.metagraph.ageSeconds ?? 0) > 0);
    assert.equal(down?.chain.registered, null);
    chain.setFaults({});
    await until(async () => (await health(miner))?.chain.serving.state === "identical");
    assert.equal(chain.extrinsics.length, sent);
  });

  it("follows a runtime upgrade, and announces itself again where the new runtime's chain says something else", async () => {
    chain.upgradeRuntime({ specVersion: 425, changedMetadata: true });
    chain.setServingRateLimit(NETUID, 0);
    chain.setAxon(NETUID, miner.axon.hotkey, { ip: "192.0.2.1", port: 1 });
    await until(() => chain.axonOf(NETUID, miner.axon.hotkey)?.port === miner.axon.port);
    assert.equal((await ask(miner, miner.validator)).verdict, CORRECT);
  });

  it("keeps its metagraph for the next start and other tools", () => {
    const stored = loadStoredMetagraph(miner.stateDir, NETUID);
    assert.ok(stored.status === "ok");
    assert.deepEqual([stored.metagraph.neurons.length, stored.metagraph.genesis], [3, chain.genesisHash]);
  });
});

describe("a miner that tries the chain out", { skip: subtensorDoubleSkip, timeout: 300_000 }, () => {
  let miner: TestMiner;
  let chain: SubtensorDouble;
  before(async () => {
    miner = await createTestMiner();
    chain = await startChain(miner);
  });
  after(async () => {
    await miner.close();
    await chain.close();
  });

  it("prints what it would send in a dry run, and sends nothing", async () => {
    const serving = serve(miner, chain.url, "--axon.dry_run");
    await until(async () => (await health(miner))?.chain.serving.state === "dry_run");
    const printed = (): string => readFileSync(miner.logFile, "utf8");
    await until(() => printed().includes("call data")); // it may still be in the pipe when health says so
    assert.match(printed(), /Dry run: this extrinsic is not sent\n {2}SubtensorModule\.serve_axon/);
    assert.match(printed(), /call data 0x0704f700[0-9a-f]+\n/);
    assert.deepEqual([chain.extrinsics.length, chain.axonOf(NETUID, miner.axon.hotkey)], [0, null]);
    serving.kill("SIGTERM");
    assert.equal((await serving.exited).code, EXIT.OK);
  });

  it("finds its address by services that agree", async () => {
    const services = await Promise.all(["93.184.216.34", "93.184.216.34", "1.1.1.1"].map(addressService));
    try {
      const flags = services.flatMap(({ url }) => ["--axon.ip_services", url]);
      const serving = serve(miner, chain.url, "--axon.dry_run", "--axon.external_ip", "none", ...flags);
      await until(async () => (await health(miner))?.chain.serving.state === "dry_run");
      assert.equal((await health(miner))?.chain.serving.wanted, `93.184.216.34:${miner.axon.port}`);
      serving.kill("SIGTERM");
      await serving.exited;
    } finally {
      for (const { server } of services) server.close();
    }
  });

  it("refuses everybody while it knows nobody, says so, and is not ready", async () => {
    await rm(path.dirname(storedMetagraphPath(miner.stateDir, NETUID)), { recursive: true, force: true });
    const serving = serve(miner, "ws://127.0.0.1:1");
    await until(async () => ((await health(miner))?.chain.lastError ?? null) !== null);
    assert.match((await ask(miner, miner.validator)).verdict, /403.*No metagraph yet: the chain has not been reached/s);
    const ready = await fetch(`${miner.healthUrl}/readyz`);
    assert.equal(ready.status, 503);
    assert.match(await ready.text(), /No metagraph yet/);
    serving.kill("SIGTERM");
    assert.equal((await serving.exited).code, EXIT.OK);
  });

  it("leaves a lying endpoint for an honest one", async () => {
    const liar = await startChain(miner);
    try {
      liar.setFaults({ metagraph: "empty" });
      const serving = serve(miner, `${liar.url},${chain.url}`, "--axon.dry_run");
      await until(async () => (await health(miner))?.chain.registered === true);
      assert.equal((await health(miner))?.chain.endpoint, chain.url);
      assert.equal((await ask(miner, miner.validator)).verdict, CORRECT);
      serving.kill("SIGTERM");
      await serving.exited;
    } finally {
      await liar.close();
    }
  });

  it("ends with exit code 3 and the command that registers it when the chain does not know it", async () => {
    chain.deregister(NETUID, miner.axon.hotkey);
    const serving = serve(miner, chain.url);
    assert.deepEqual(await serving.exited, { code: EXIT.NOT_REGISTERED, signal: null });
    assert.match(
      readFileSync(miner.logFile, "utf8"),
      /btcli subnets register --netuid 247 --wallet.name demo --wallet.hotkey miner/,
    );
  });
});
