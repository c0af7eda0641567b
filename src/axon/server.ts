import { randomUUID } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { Metagraph } from "../chain/metagraph.ts";
import { steadyClock, type Clock } from "../clock.ts";
import type { Config } from "../config/schema.ts";
import { OperationalError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Keypair } from "../wallet/keypair.ts";
import type { AxonContext } from "./call.ts";
import { limitConnections } from "./connections.ts";
import { createDesk } from "./desk.ts";
import { openKnownAddresses, type KnownAddresses } from "./known-addresses.ts";
import { openNonceBook, type NonceBook } from "./nonces.ts";
import { pingService } from "./ping.ts";
import { createWorkQueue } from "./priority-queue.ts";
import { createAddressFilter } from "./sender-address.ts";
import { startSignaturePool, type SignaturePool } from "./signatures.ts";
import { createFairShares } from "./fair-share.ts";
import { createFairQueue } from "./fair-queue.ts";
import { createStrangers, type StrangerRates } from "./strangers.ts";
import type { Exchange, SynapseService } from "./synapse-service.ts";
import { createUnreadAnswers } from "./unread-answers.ts";
import { MAX_CLOCK_STEP_SECONDS, NONCE_SLACK_SECONDS, type Gate } from "./admission.ts";

export interface AxonOptions {
  readonly config: Config["axon"];
  readonly blacklist: Config["blacklist"];
  readonly keypair: Keypair;
  readonly metagraph: Metagraph;
  readonly services: readonly SynapseService[];
  /** Wall clock. */
  readonly clock: Clock;
  /** Of deadlines and timings; the process's own unless given. */
  readonly steadyClock?: Clock;
  readonly logger: Logger;
  /** Journal of accepted nonces, written by this axon alone. */
  readonly nonceFile: string;
  /** Where validators asked from, written by this axon alone. */
  readonly addressFile: string;
  /** How many requests are worked on at the same time. */
  readonly threads: number;
  /** Called once per admitted request and awaited before its response leaves: what a validator has is on record. */
  readonly onExchange: (exchange: Exchange) => unknown;
}

export interface AxonStats {
  readonly answered: number;
  /** Refused requests by code. */
  readonly refused: Readonly<Record<string, number>>;
  readonly refusedByStatus: Readonly<Record<string, number>>;
  readonly inFlight: number;
  readonly queued: number;
  readonly running: number;
  readonly verifying: number;
  readonly connections: number;
  readonly nonces: number;
  readonly millisPerCost: Readonly<Record<string, number>>;
}

export interface Axon {
  readonly port: number;
  readonly address: string;
  readonly inFlight: number;
  stats(): AxonStats;
  /** Stops accepting, lets requests in flight finish for `graceMs`, then aborts them. Settles soon after. */
  close(options: { graceMs: number }): Promise<void>;
}

const MAX_HEADER_BYTES = 16_384;
const HEADERS_TIMEOUT_MS = 10_000;
/** Connections that wait to be accepted; the kernel caps it. Beyond, a validator's SYN is dropped and comes again a second later. */
const BACKLOG = 4096;
const KEEP_ALIVE_TIMEOUT_MS = 15_000;
/** One thread verifies some 2,500 signatures a second. */
const SIGNATURE_THREADS = 1;
/**
 * Signature checks of addresses that no validator asked from or publishes: a flood of forged ones takes a tenth of a core. Without
 * a flood all validators fit into the burst; under one from hundreds of addresses a validator at a new address waits seconds.
 */
const STRANGERS_PACE = { perSecond: 200, burst: 64 };
/** What a stranger may ask at once, of axon.maxRequestsPerIp: the prompts of several minutes. */
const STRANGER_BURST_SECONDS = 20;
/** All of them together get as many requests read as so many; thousands, as newcomers, as many again. */
const STRANGERS_AT_FULL_RATE = 100;
/** What one may ask even then. */
const NEWCOMER = { perSecond: 0.1, burst: 20 };

/** Node looks for overdue requests this often; its own default is 30 s. */
const OVERDUE_CHECK_MS = 1000;

/** Opens the axon. Throws OperationalError: AXON_LISTEN, AXON_ALLOW_IPS, NONCE_JOURNAL, SIGNATURE_THREADS. */
export async function startAxon(options: AxonOptions): Promise<Axon> {
  const { config, clock, logger } = options;
  const allowed = createAddressFilter(config.allowIps, options);
  const signatures = await startSignaturePool({ keypair: options.keypair, threads: SIGNATURE_THREADS, logger });
  const published = createAddressFilter("metagraph", options);
  const known = await openKnownAddresses({ file: options.addressFile, published, clock, logger });
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    connectionsCheckingInterval: OVERDUE_CHECK_MS,
    requireHostHeader: false,
  });
  applyLimits(server, config);
  let nonces: NonceBook;
  try {
    await listen(server, config);
    // Who holds the port may replace the journal: a second axon by mistake ends above. Until startAxon returns nothing
    // waits, so that no connection is taken before everything is in place for it.
    nonces = openNonces(options);
  } catch (error) {
    server.close();
    await signatures.close();
    throw error;
  }
  const gate = createGate(options, { nonces, signatures, known });
  const queue = createWorkQueue({ threads: options.threads, maxQueue: config.maxQueue, clock: gate.steadyClock });
  const publicAddress = { ip: config.externalIp ?? config.ip, port: config.externalPort ?? config.port };
  const strangers = createStrangers(strangerRates(config.maxRequestsPerIp), gate.steadyClock);
  const context: AxonContext = {
    config,
    gate,
    strangers,
    queue,
    shares: createFairShares(),
    publicAddress,
    unread: createUnreadAnswers(),
    uuid: randomUUID(),
  };
  const services = [pingService, ...options.services];
  const desk = createDesk({ context, services, allowed, clock, logger, onExchange: options.onExchange });
  server.on("request", desk.listener);
  server.on("checkContinue", desk.listener); // the body is invited when the request is admitted
  server.on("checkExpectation", desk.listener); // any other expectation is ignored, not answered past the front door
  const limits = { total: config.maxConnections, perAddress: config.maxConnectionsPerIp, known: gate.known };
  const connections = limitConnections(server, { ...limits, strangers });
  const { address, port } = server.address() as AddressInfo;
  if (config.externalPort === null) publicAddress.port = port;
  let closing: Promise<void> | undefined;
  return {
    port,
    address,
    get inFlight() {
      return desk.inFlight();
    },
    stats: () => ({
      ...desk.counts(),
      inFlight: desk.inFlight(),
      ...queue.stats(),
      verifying: gate.verifications.size(),
      connections: connections(),
      nonces: gate.nonces.size(),
    }),
    close: ({ graceMs }) => (closing ??= desk.drain(server, graceMs).then(() => closeGate(gate))),
  };
}

function openNonces({ config, clock, steadyClock, nonceFile, logger }: AxonOptions): NonceBook {
  return openNonceBook({
    file: nonceFile,
    maxNonces: config.maxNonces,
    retentionSeconds: config.maxTimeoutSeconds + NONCE_SLACK_SECONDS + MAX_CLOCK_STEP_SECONDS,
    clock,
    ...(steadyClock && { steadyClock }),
    logger,
  });
}

function createGate(
  options: AxonOptions,
  opened: { nonces: NonceBook; signatures: SignaturePool; known: KnownAddresses },
): Gate {
  const { config, keypair, clock, steadyClock: steady = steadyClock } = options;
  const { maxTimeoutSeconds, nonceFutureSeconds, maxVerifications, maxVerificationsPerIp } = config;
  return {
    ...opened,
    ownHotkey: keypair.address,
    blacklist: options.blacklist,
    maxTimeoutSeconds,
    nonceFutureSeconds,
    metagraph: options.metagraph,
    verifications: createFairQueue({
      concurrency: SIGNATURE_THREADS + 1, // one more, so that the thread never waits for the event loop
      total: maxVerifications,
      perOwner: maxVerificationsPerIp,
      pace: { ...STRANGERS_PACE, clock: steady },
    }),
    clock,
    steadyClock: steady,
  };
}

function strangerRates(perSecond: number): StrangerRates {
  const each = { perSecond, burst: perSecond * STRANGER_BURST_SECONDS };
  const all = { perSecond: each.perSecond * STRANGERS_AT_FULL_RATE, burst: each.burst * STRANGERS_AT_FULL_RATE };
  return { each, all, newcomer: NEWCOMER };
}

async function closeGate(gate: Gate): Promise<void> {
  await gate.signatures.close(); // no verified request can reach the journal after this
  gate.nonces.close();
  await gate.known.close();
}

function applyLimits(server: Server, config: Config["axon"]): void {
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  // Whatever we do not read ourselves (bodies of refused requests) is discarded until then, and cut there.
  server.requestTimeout = HEADERS_TIMEOUT_MS + config.bodyTimeoutMs;
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  server.on("clientError", answerClientError);
}

/** HTTP that Node could not parse never reaches the application. */
function answerClientError(error: Error & { code?: string }, socket: Duplex): void {
  const answered = "bytesWritten" in socket && Number(socket.bytesWritten) > 0;
  if (!socket.writable || answered) {
    socket.destroy();
    return;
  }
  const [status, message] =
    error.code === "HPE_HEADER_OVERFLOW"
      ? ["431 Request Header Fields Too Large", `Headers are larger than ${MAX_HEADER_BYTES} bytes`]
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? ["408 Request Timeout", "The request did not arrive in time"]
        : ["400 Bad Request", "Not a valid HTTP request"];
  const body = JSON.stringify({ message });
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}

async function listen(server: Server, config: Config["axon"]): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  server.once("error", (error) => {
    const message = `Cannot listen on ${config.ip}:${config.port}: choose another --axon.port or stop what holds it`;
    reject(new OperationalError("AXON_LISTEN", message, { cause: error }));
  });
  server.listen({ port: config.port, host: config.ip, backlog: BACKLOG }, () => {
    resolve(undefined);
  });
  await promise;
}
