/**
 * The attackers of a benchmark, in a process of their own: sends `perSecond` requests from many addresses of the loopback,
 * in turn one without a signature, one of a hotkey nobody knows and one forged under a real validator's hotkey, by the
 * schemes in turn. Prints what came of them as one JSON line at SIGTERM.
 */
import { createHash, randomUUID } from "node:crypto";
import { connect, type Socket } from "node:net";
import { json } from "node:stream/consumers";
import { btauthHeaders } from "../../src/bittensor/btauth.ts";
import { signedRequest, type SignedRequest } from "../../src/bittensor/dendrite.ts";
import { keypairFromSeed, type Keypair } from "../../src/wallet/keypair.ts";
import { nextNonce } from "../support/dendrite.ts";

export interface FloodPlan {
  readonly port: number;
  readonly receiver: string;
  /** Whose hotkey the forged requests claim; hex seed. */
  readonly validator: string;
  readonly perSecond: number;
  readonly addresses: number;
  /** Connections of each address. */
  readonly sockets: number;
  /** Requests on their way on one connection; beyond it the sender skips its turn. The axon cuts strangers at the second. */
  readonly pipelined: number;
  /** Forged requests alone: each costs a place and a check. */
  readonly forged: boolean;
}

export interface FloodResult {
  readonly sent: number;
  readonly seconds: number;
  readonly statuses: Readonly<Record<string, number>>;
}

const TICK_MS = 5;
/** Ticks that may be made up for at once: a client that had to wait for a core must not send what a hundred machines would not. */
const MAX_LATE_TICKS = 4;
/** Of a nonce: forged requests are made anew before it is too old. */
const RENEW_MS = 2000;

interface Line {
  socket: Socket;
  pending: number;
}

const plan = (await json(process.stdin)) as FloodPlan;
const statuses: Record<string, number> = {};
let sent = 0;

function request(keypair: Keypair): SignedRequest {
  const simulation_input = {
    asset: "BTC",
    start_time: "2026-10-01T12:05:00Z",
    time_increment: 300,
    time_length: 86_400,
    num_simulations: 1000,
  };
  return signedRequest({
    keypair,
    receiverHotkey: plan.receiver,
    synapse: "Simulation",
    body: { simulation_input, simulation_output: null },
    timeoutSeconds: 110,
    nonce: nextNonce(),
    uuid: randomUUID(),
  });
}

function bytesOf(headers: Readonly<Record<string, string>>, body: string): Buffer {
  const lines = Object.entries({ ...headers, "content-length": String(Buffer.byteLength(body)) });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return Buffer.from(`POST /Simulation HTTP/1.1\r\n${head}\r\n${body}`);
}

/** A btauth/1 request, whose body is read before its signature can be checked, of one key under the name of another. */
function forgedBtauth(signer: Keypair, name: string, body: string): Buffer {
  const headers = btauthHeaders(signer, {
    method: "POST",
    target: "/Simulation",
    bodySha256: createHash("sha256").update(body).digest("hex"),
    nonce: nextNonce(),
    receiver: plan.receiver,
  });
  return bytesOf({ ...headers, "X-Bittensor-Hotkey": name }, body);
}

/** Forged ones carry a signature that another key made: only the whole check tells it from the validator's. */
function hostileRequests(): readonly Buffer[] {
  const [validator, stranger] = [
    keypairFromSeed(Buffer.from(plan.validator, "hex")),
    keypairFromSeed(new Uint8Array(32).fill(99)),
  ];
  const [{ headers, body }, strange] = [request(validator), request(stranger)];
  const signature = "bt_header_dendrite_signature";
  const forged = bytesOf({ ...headers, [signature]: strange.headers[signature]! }, body);
  if (plan.forged) return [forged];
  const unsigned = bytesOf({ ...headers, [signature]: "" }, body);
  const unregistered = bytesOf(strange.headers, strange.body);
  // No more than a third is forged: those wait for their paced check, and this client's connections with them.
  return [unsigned, unregistered, forged, unsigned, unregistered, forgedBtauth(stranger, validator.address, body)];
}

function open(line: Line, localAddress: string): void {
  line.pending = 0;
  line.socket = connect({ port: plan.port, host: "127.0.0.1", localAddress });
  line.socket.setNoDelay(true);
  line.socket.on("data", (chunk) => {
    for (const [, status = ""] of chunk.toString("latin1").matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
      statuses[status] = (statuses[status] ?? 0) + 1;
      line.pending -= 1;
    }
  });
  line.socket.on("error", () => undefined);
  line.socket.on("close", () => {
    statuses["closed"] = (statuses["closed"] ?? 0) + 1;
    setTimeout(() => {
      open(line, localAddress);
    }, TICK_MS);
  });
}

const lines: Line[] = [];
for (let address = 0; address < plan.addresses; address++) {
  const localAddress = `127.0.${2 + Math.floor(address / 250)}.${1 + (address % 250)}`;
  for (let index = 0; index < plan.sockets; index++) {
    const line = { pending: 0 } as Line;
    open(line, localAddress);
    lines.push(line);
  }
}
let requests = hostileRequests();
setInterval(() => {
  requests = hostileRequests();
}, RENEW_MS).unref();
const startMs = performance.now();
let turn = 0;
let due = 0;
let tickMs = startMs;
setInterval(() => {
  const nowMs = performance.now();
  due += (Math.min(nowMs - tickMs, MAX_LATE_TICKS * TICK_MS) / 1000) * plan.perSecond;
  tickMs = nowMs;
  for (let tries = 0; sent < due && tries < lines.length; tries++) {
    const line = lines[turn++ % lines.length]!;
    if (!line.socket.writable || line.socket.connecting || line.pending >= plan.pipelined) continue;
    line.pending += 1;
    line.socket.write(requests[sent++ % requests.length]!);
  }
}, TICK_MS);
process.on("SIGTERM", () => {
  const result: FloodResult = { sent, seconds: (performance.now() - startMs) / 1000, statuses };
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
});
process.stdout.write('{"ready":true}\n');
