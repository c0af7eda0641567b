/**
 * A chain for rehearsals: a small subnet with one hotkey of yours and four validators of development keys, until SIGINT.
 * Usage: node test/support/subtensor/main.ts --hotkey <ss58> [--port 9944] [--netuid 247] [--block-seconds 12]
 */
import { parseArgs } from "node:util";
import { decodeAddress } from "@polkadot/util-crypto";
import { systemClock } from "../../../src/clock.ts";
import { describeError, EXIT } from "../../../src/errors.ts";
import { keypairFromUri } from "../../../src/wallet/development-key.ts";
import type { NeuronSpec, SubtensorDouble } from "./api.ts";
import { startSubtensorDouble } from "./double.ts";
import { subtensorDoubleSkip } from "./skip.ts";

const VALIDATORS = ["//Alice", "//Bob", "//Charlie", "//Dave"];
const VALIDATOR_ALPHA = 50_000;
const USAGE = "usage: main.ts --hotkey <ss58> [--port 9944] [--netuid 247] [--block-seconds 12]";

interface Choice {
  readonly port: number;
  readonly netuid: number;
  readonly hotkey: string;
  readonly blockSeconds: number;
}

function choose(args: readonly string[]): Choice {
  const { values } = parseArgs({
    args: [...args],
    options: {
      port: { type: "string", default: "9944" },
      netuid: { type: "string", default: "247" },
      hotkey: { type: "string" },
      "block-seconds": { type: "string", default: "12" },
    },
  });
  const number = (name: "port" | "netuid" | "block-seconds", min: number, max: number): number => {
    const value = Number(values[name]);
    if (!(value >= min && value <= max)) throw new Error(`--${name}: expected ${min} to ${max}, found ${values[name]}`);
    return value;
  };
  const hotkey = values.hotkey ?? "";
  try {
    decodeAddress(hotkey, false, 42);
  } catch {
    throw new Error(`--hotkey: expected an ss58 address, found ${JSON.stringify(hotkey)}`);
  }
  const [port, netuid] = [number("port", 0, 65_535), number("netuid", 1, 65_535)];
  return { port, netuid, hotkey, blockSeconds: number("block-seconds", 0.05, 3600) };
}

function validators(): NeuronSpec[] {
  return VALIDATORS.map((uri, index) => ({
    hotkey: keypairFromUri(uri).address,
    validatorPermit: true,
    alphaStake: VALIDATOR_ALPHA / (index + 1),
    taoStake: 1000,
    dividends: 0.25,
    axon: { ip: `192.0.2.${index + 1}`, port: 8091 },
  }));
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** What became of extrinsics, one line each, as soon as it is known. */
function reporter(chain: SubtensorDouble): () => void {
  let told = 0;
  return () => {
    for (; told < chain.extrinsics.length; told += 1) {
      const { call, signer, outcome } = chain.extrinsics[told]!;
      if (outcome.kind === "waiting") return;
      say(`${call} by ${signer}: ${JSON.stringify(outcome)}`);
    }
  };
}

async function rehearse({ port, netuid, hotkey, blockSeconds }: Choice): Promise<void> {
  if (subtensorDoubleSkip !== false) throw new Error(subtensorDoubleSkip);
  const neurons = [...validators().filter((neuron) => neuron.hotkey !== hotkey), { hotkey, incentive: 0.02 }];
  const chain = await startSubtensorDouble({ port, clock: systemClock, subnets: [{ netuid, neurons }] });
  chain.setSealing("manual"); // as on a real chain, the next block takes what waits
  const report = reporter(chain);
  const blocks = setInterval(() => {
    chain.advanceBlocks(1);
    report();
  }, blockSeconds * 1000);
  const stop = (): void => {
    clearInterval(blocks);
    void chain.close();
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  say(
    `${chain.url}: subnet ${netuid} with ${hotkey} and validators ${VALIDATORS.join(" ")}, a block every ${blockSeconds} s`,
  );
}

function fail(error: unknown, exitCode: number): void {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = exitCode;
}

function chosen(): Choice | null {
  try {
    return choose(process.argv.slice(2));
  } catch (error) {
    fail(error, EXIT.USAGE);
    process.stderr.write(`${USAGE}\n`);
    return null;
  }
}

const choice = chosen();
if (choice !== null) {
  await rehearse(choice).catch((error: unknown) => {
    fail(error, EXIT.FAILURE);
  });
}
