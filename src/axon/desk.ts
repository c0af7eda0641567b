import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import { Server as NetServer } from "node:net";
import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Response } from "express";
import type { Clock } from "../clock.ts";
import type { Logger } from "../log.ts";
import { withinTime } from "../time-limit.ts";
import { tooManyRequests } from "./admission.ts";
import { handleCall, refuseEarly, type AbortReason, type AxonContext, type Call } from "./call.ts";
import { atFrontDoor } from "./front-door.ts";
import { refuse, type Refusal } from "./refusal.ts";
import { bareRefusal, byteLength, send } from "./response.ts";
import { peerIp } from "./sender-address.ts";
import type { Exchange, SynapseService } from "./synapse-service.ts";

/** How long requests that a shutdown aborts have to say 503. */
const ABORT_GRACE_MS = 500;

export interface DeskOptions {
  readonly context: AxonContext;
  readonly services: readonly SynapseService[];
  readonly allowed: (ip: string) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /**
   * Awaited before an answer leaves, while its client can still wait: its recording must not die with us when a validator
   * has it.
   */
  readonly onExchange: (exchange: Exchange) => unknown;
}

export interface Counts {
  readonly answered: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly refusedByStatus: Readonly<Record<string, number>>;
}

/** Where requests come in and leave. */
export interface Desk {
  readonly listener: RequestListener;
  inFlight(): number;
  counts(): Counts;
  /** Stops the server: no new requests, `graceMs` for those in flight, then aborts and closes every connection. */
  drain(server: Server, graceMs: number): Promise<void>;
}

/** A call before its route is known. */
type Arrival = Omit<Call, "service">;

export function createDesk(options: DeskOptions): Desk {
  const { context, allowed, clock, logger, onExchange } = options;
  const [open, counter] = [createOpenCalls(), createCounter()];
  let closing = false;

  const turnAway = (call: Arrival, name: string, refusal: Refusal): void => {
    counter.count(refusal.code, refusal.status);
    const outgoing = refuseEarly(context, call, name, refusal);
    send(call.response, outgoing, { close: closing || refusal.closes === true });
  };
  const serve = async (call: Call): Promise<void> => {
    const settled = await handleCall(context, call);
    const { outgoing, code, sender, exchange } = settled;
    counter.count(code, outgoing.status);
    logger.debug({ synapse: call.service.name, ip: call.ip, status: outgoing.status, code }, "Request settled");
    if (exchange !== undefined) await inTime(onExchange(exchange()), context.gate.steadyClock, settled.deadlineMs);
    if (!call.response.destroyed) {
      const release = context.unread.hold(sender?.hotkey ?? "", byteLength(outgoing));
      try {
        await deliver(call, context.config.maxTimeoutSeconds * 1000, () => {
          send(call.response, outgoing, { close: closing || settled.closes });
        });
      } finally {
        release();
      }
    }
  };
  const guard: RequestHandler = (request, response, next) => {
    const call = open.begin(request, response, { wall: clock, steady: context.gate.steadyClock });
    response.locals["call"] = call;
    if (!allowed(call.ip)) turnAway(call, "", refuse(403, "address", "Forbidden. Sender address is not allowed."));
    else if (closing) turnAway(call, "", refuse(503, "shutdown", "The axon is shutting down"));
    else next();
  };
  // Express tells error handlers by their four parameters.
  // eslint-disable-next-line @typescript-eslint/no-unused-vars
  const failed: ErrorRequestHandler = (error: unknown, request, response, _next) => {
    logger.error({ path: request.path.slice(0, 128), err: error }, "Request failed with an internal error");
    if (response.headersSent || response.destroyed) response.destroy();
    else turnAway(arrival(response), "", refuse(500, "internal", "Internal error"));
  };

  const app = route(options.services, { guard, serve, turnAway }).use(failed);
  const tooFast = bareRefusal(tooManyRequests());
  return {
    listener: atFrontDoor(context, {
      enter: app,
      tooFast: (response) => {
        counter.count("too_many_requests", tooFast.status);
        send(response, tooFast, { close: closing });
      },
    }),
    inFlight: () => open.size(),
    counts: () => counter.counts(),
    drain: async (server, graceMs) => {
      closing = true;
      // An http.Server would also cut what it takes for idle: connections whose answer is written, but not read yet.
      const closed = new Promise<void>((resolve) => {
        NetServer.prototype.close.call(server, () => {
          resolve();
        });
      });
      await open.settle(graceMs, clock);
      if (open.size() > 0) logger.warn({ inFlight: open.size() }, "Requests were cut off at shutdown");
      server.closeAllConnections();
      await closed;
    },
  };
}

/** One route per synapse; the SDK's clients ask by POST, a ping may come by GET. */
function route(
  services: readonly SynapseService[],
  way: {
    guard: RequestHandler;
    serve: (call: Call) => Promise<void>;
    turnAway: (call: Arrival, name: string, refusal: Refusal) => void;
  },
): Express {
  const { guard, serve, turnAway } = way;
  const app = express().disable("x-powered-by").disable("etag").set("query parser", false);
  app.enable("case sensitive routing").enable("strict routing").use(guard);
  for (const service of services) {
    app.all(`/${service.name}`, async (request, response) => {
      if (request.method === "POST" || request.method === "GET") await serve({ ...arrival(response), service });
      else turnAway(arrival(response), service.name, refuse(405, "method", "Use POST"));
    });
  }
  return app.use((request, response) => {
    const message = `Synapse name '${request.path.slice(1, 65)}' not found`;
    turnAway(arrival(response), "", refuse(404, "unknown_synapse", message));
  });
}

function arrival(response: Response): Arrival {
  return response.locals["call"] as Arrival;
}

interface OpenCalls {
  begin(request: IncomingMessage, response: ServerResponse, clocks: { wall: Clock; steady: Clock }): Arrival;
  size(): number;
  /** Waits for the open calls, aborting them after `graceMs`. */
  settle(graceMs: number, clock: Clock): Promise<void>;
}

function createOpenCalls(): OpenCalls {
  const open = new Set<Arrival>();
  const empty = Promise.withResolvers<undefined>();
  let settling = false;
  const checkEmpty = (): void => {
    if (settling && open.size === 0) empty.resolve(undefined);
  };
  return {
    begin: (request, response, { wall, steady }) => {
      const ip = peerIp(request.socket);
      const [receivedAtMs, startedMs] = [wall.nowMs(), steady.nowMs()];
      const call = { request, response, ip, receivedAtMs, startedMs, abort: new AbortController() };
      open.add(call);
      response.once("close", () => {
        if (!response.writableFinished) call.abort.abort("client" satisfies AbortReason);
        open.delete(call);
        checkEmpty();
      });
      return call;
    },
    size: () => open.size,
    settle: async (graceMs, clock) => {
      settling = true;
      checkEmpty();
      await withinTime(empty.promise, { clock, ms: graceMs, late: () => undefined });
      for (const call of open) call.abort.abort("shutdown" satisfies AbortReason);
      await withinTime(empty.promise, { clock, ms: ABORT_GRACE_MS, late: () => undefined });
    },
  };
}

interface Counter {
  count(code: string, status: number): void;
  counts(): Counts;
}

function createCounter(): Counter {
  const refused = new Map<string, number>();
  const refusedByStatus = new Map<string, number>();
  let answered = 0;
  const increment = (map: Map<string, number>, key: string): void => {
    map.set(key, (map.get(key) ?? 0) + 1);
  };
  return {
    count: (code, status) => {
      if (status === 200) {
        answered += 1;
        return;
      }
      increment(refused, code);
      increment(refusedByStatus, String(status));
    },
    counts: () => ({
      answered,
      refused: Object.fromEntries(refused),
      refusedByStatus: Object.fromEntries(refusedByStatus),
    }),
  };
}

/** Of a client's patience, what stays for the way of the answer. */
const SEND_RESERVE_MS = 250;

/** Resolves with `work`, or when an answer that waits any longer would be late. */
function inTime(work: unknown, clock: Clock, deadlineMs: number): Promise<unknown> {
  return withinTime(work, { clock, ms: deadlineMs - SEND_RESERVE_MS - clock.nowMs(), late: () => undefined });
}

/**
 * Resolves when the response has left or its connection is gone. A validator that hears every miner at once reads slowly:
 * only when no timeout could still be running, the connection is cut.
 */
async function deliver(call: Call, readTimeoutMs: number, write: () => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const tooSlow = setTimeout(() => call.request.socket.destroy(), readTimeoutMs);
  call.response.once("close", () => {
    clearTimeout(tooSlow);
    resolve(undefined);
  });
  write();
  await promise;
}
