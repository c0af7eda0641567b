import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { validateHeaderName, validateHeaderValue } from "node:http";
import { connect } from "node:net";
import fc from "fast-check";
import { parseJsonBody } from "../../src/axon/request-body.ts";
import { bodyHash } from "../../src/bittensor/body-hash.ts";
import { btauthHeaders, parseBtauthHeaders } from "../../src/bittensor/btauth.ts";
import { formatSynapseHeaders, parseSynapseHeaders, synapseJsonMembers } from "../../src/bittensor/synapse-headers.ts";
import { ASSET_SYMBOLS } from "../../src/market/assets.ts";
import { parseSimulation } from "../../src/subnets/synth/simulation.ts";
import { echo, MINER, simulationService, type TestAxon } from "../support/dendrite-axon.ts";
import { askAxon, nextNonce, signedCall } from "../support/dendrite.ts";
import { headerBag, promptText, signedCase, SIGNED_HEADERS, strangerCase, type FuzzCase } from "./cases.ts";

/** Every status that README and the protocol know; 500 is a bug of ours. */
const DOCUMENTED: ReadonlySet<number> = new Set([200, 400, 401, 403, 404, 405, 408, 413, 415, 417, 429, 431, 503]);
/** Either makes it a btauth/1 request, which nobody signed. */
const OTHER_SCHEME = ["x-bittensor-version", "x-bittensor-signature"];
const SILENCE_MS = 20_000;

/** The real prompt codec before an echo: a body is judged as live, a simulation costs nothing. */
export function fuzzedService() {
  return simulationService(echo, {
    accept: (body) => {
      const parsed = parseSimulation(body["simulation_input"], MINER.address);
      return parsed.ok ? { ok: true, work: { ...parsed.request }, cost: 1 } : { ...parsed, status: 400 };
    },
  });
}

/** What the axon said to a case until it hung up. */
export interface Heard {
  /** Of each response, in order; none when it hung up without a word. */
  readonly statuses: readonly number[];
  readonly text: string;
}

export function talk(port: number, chunks: readonly Uint8Array[], halfClosed = false): Promise<Heard> {
  const { promise, resolve, reject } = Promise.withResolvers<Heard>();
  const heard: Buffer[] = [];
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () => {
    for (const chunk of chunks) socket.write(chunk);
    if (halfClosed) socket.end();
  });
  socket.on("end", () => socket.end());
  socket.setTimeout(SILENCE_MS, () => {
    socket.destroy();
    reject(new Error(`the axon neither answered nor hung up within ${SILENCE_MS} ms`));
  });
  socket.on("data", (chunk) => heard.push(chunk));
  socket.on("error", () => undefined); // a reset ends a connection too
  socket.on("close", () => {
    const text = Buffer.concat(heard).toString("latin1");
    resolve({ statuses: statusesOf(text), text });
  });
  return promise;
}

/** Bodies of ours are JSON without line breaks: every status line is at the start of a response. */
function statusesOf(text: string): number[] {
  return [...text.matchAll(/(?:^|\}|\n\r\n)HTTP\/1\.1 (\d{3}) /g)]
    .map(([, status]) => Number(status))
    .filter((s) => s !== 100);
}

/** The bytes of a case on a freshly signed request, and whether its signature no longer covers it. */
export function rendered(axon: TestAxon, fuzz: FuzzCase): { bytes: Uint8Array; forged: boolean } {
  const good = signedCall({ ...axon.ask, uuid: randomUUID(), nonce: nextNonce(), timeoutSeconds: 30 });
  const body = Buffer.from(fuzz.body ?? (good.body as string), "latin1");
  const goodHeaders = fuzz.scheme === "btauth" ? signedBodyHeaders(axon, fuzz, body) : (good.headers ?? {});
  const headers = new Map(Object.entries(goodHeaders).map(([name, value]) => [name, [value]]));
  const before = new Map(headers);
  for (const { kind, name, value } of fuzz.edits) {
    if (kind === "drop") headers.delete(name);
    else headers.set(name, kind === "set" ? [value] : [...(headers.get(name) ?? []), value]);
  }
  const changed = [...SIGNED_HEADERS].some((name) => before.get(name)?.join() !== headers.get(name)?.join());
  const forged = changed || (fuzz.scheme === "synapse" && OTHER_SCHEME.some((name) => headers.has(name)));
  const lines = [...headers].flatMap(([name, values]) => values.map((value) => `${name}: ${value}`));
  const head = [
    `${fuzz.method} ${fuzz.target} HTTP/1.1`,
    ...lines,
    ...framingHeaders(fuzz, body.length),
    "connection: close",
  ];
  const headBytes = Buffer.from(`${head.join("\r\n")}\r\n\r\n`, "latin1");
  return { bytes: Buffer.concat([headBytes, framedBody(fuzz, body)]), forged };
}

function signedBodyHeaders({ ask }: TestAxon, { framing }: FuzzCase, body: Buffer): Record<string, string> {
  const read = { none: 0, "short length": Math.floor(body.length / 2) }[framing as string] ?? body.length;
  return btauthHeaders(ask.keypair, {
    method: "POST",
    target: "/Simulation",
    bodySha256: createHash("sha256").update(body.subarray(0, read)).digest("hex"),
    nonce: nextNonce(),
    receiver: ask.receiverHotkey,
  });
}

function framingHeaders({ framing }: FuzzCase, length: number): string[] {
  switch (framing) {
    case "length":
      return [`content-length: ${length}`];
    case "short length":
      return [`content-length: ${Math.floor(length / 2)}`];
    case "long length":
      return [`content-length: ${length + 10}`];
    case "chunked":
      return ["transfer-encoding: chunked"];
    case "both":
      return [`content-length: ${length}`, "transfer-encoding: chunked"];
    case "none":
      return [];
  }
}

function framedBody({ framing }: FuzzCase, body: Buffer): Uint8Array {
  if (framing !== "chunked" && framing !== "both") return body;
  const size = `${body.length.toString(16)}\r\n`;
  return Buffer.concat([Buffer.from(body.length === 0 ? "" : size), body, Buffer.from("\r\n0\r\n\r\n")]);
}

/** Sends a case and checks what no case may change. Returns the status of the first response, 0 for none. */
export async function fire(axon: TestAxon, fuzz: FuzzCase): Promise<number> {
  const { bytes, forged } = rendered(axon, fuzz);
  const { statuses, text } = await talk(axon.port, [bytes], fuzz.halfClosed);
  for (const status of statuses)
    assert.ok(DOCUMENTED.has(status), `${status} is no documented answer: ${text.slice(0, 500)}`);
  // Whatever follows the first request on its connection was hidden in a body: no signature covers it.
  assert.ok(
    statuses.slice(1).every((status) => status >= 400),
    text.slice(0, 500),
  );
  const [first = 0] = statuses;
  assert.ok(!(forged && first === 200), `a forged request was answered: ${JSON.stringify(fuzz)}`);
  assert.doesNotMatch(text, /\n {4}at |node_modules|\.ts:\d/);
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
  if (first === 200 && fuzz.method !== "HEAD") checkAnswer(text);
  return first;
}

/** An answered prompt is one that the subnet could ask: what the echo repeats is within every limit. */
function checkAnswer(text: string): void {
  const json = JSON.parse(Buffer.from(text.slice(text.indexOf("\r\n\r\n") + 4), "latin1").toString()) as Record<
    string,
    unknown
  >;
  if (json["name"] === "Synapse") return;
  const [, request] = json["simulation_output"] as [number, Record<string, unknown>];
  const { asset, startTime, horizonSeconds, stepSeconds, numSimulations } = request as Record<string, number>;
  assert.ok((ASSET_SYMBOLS as readonly unknown[]).includes(asset));
  for (const value of [startTime, horizonSeconds, stepSeconds, numSimulations])
    assert.ok(Number.isInteger(value) && value! > 0);
  const steps = horizonSeconds! / stepSeconds!;
  assert.ok(Number.isInteger(steps) && steps <= 10_000 && numSimulations! * (steps + 1) <= 3_000_000);
}

/** The axon is as good as before: nothing is in flight, nobody hit a bug, the next prompt is answered. */
export async function checkWhole({ axon, ask }: TestAxon): Promise<void> {
  const stats = axon.stats();
  assert.equal(stats.inFlight, 0);
  assert.equal(stats.refused["internal"], undefined);
  const simulation_input = {
    asset: "BTC",
    start_time: "2026-10-01T12:05:00Z",
    time_increment: 60,
    time_length: 3600,
    num_simulations: 1,
  };
  const answer = await askAxon({ ...ask, body: { simulation_input, simulation_output: null } });
  assert.equal(answer.status, 200, answer.message);
}

/** How many of `cases` got which status. */
export async function fireMany(
  axon: TestAxon,
  cases: { readonly kind: "signed" | "stranger"; readonly count: number; readonly seed: number },
): Promise<Readonly<Record<string, number>>> {
  const tally: Record<string, number> = {};
  const property = fc.asyncProperty(cases.kind === "signed" ? signedCase : strangerCase, async (fuzz) => {
    const status = await fire(axon, fuzz);
    tally[status] = (tally[status] ?? 0) + 1;
  });
  await fc.assert(property, { numRuns: cases.count, seed: cases.seed });
  await checkWhole(axon);
  return tally;
}

/** The parsers alone: never throw, and what they read can be written again. */
export function parseMany(cases: { readonly count: number; readonly seed: number }): void {
  const property = fc.property(headerBag, promptText, fc.uint8Array({ maxLength: 100 }), (headers, prompt, octets) => {
    parseBtauthHeaders(headers);
    const read = parseSynapseHeaders(headers);
    if (read.ok) {
      for (const [name, value] of Object.entries(formatSynapseHeaders("Simulation", read.value))) {
        validateHeaderName(name);
        validateHeaderValue(name, value);
      }
      JSON.parse(`{${synapseJsonMembers("Simulation", read.value)}}`);
    }
    parseJsonBody(octets);
    const body = parseJsonBody(Buffer.from(`{"simulation_input":${prompt}}`));
    if (!body.ok) return;
    assert.match(bodyHash(body.text, ["simulation_input"]), /^[0-9a-f]{64}$/);
    const parsed = parseSimulation(body.value["simulation_input"], MINER.address);
    if (parsed.ok) assert.ok(Object.values(parsed.request).every((value) => typeof value === "string" || value > 0));
    else assert.ok(parsed.message.length < 4000);
  });
  fc.assert(property, { numRuns: cases.count, seed: cases.seed });
}
