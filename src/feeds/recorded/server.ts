import express, { type Express, type Request, type Response } from "express";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { z } from "zod";
import { rehearsalClock, systemClock, type Clock } from "../../clock.ts";
import { describeError, isErrno, OperationalError } from "../../errors.ts";
import { ASSET_SYMBOLS, type AssetSymbol } from "../../market/assets.ts";
import type { Candle } from "../../market/candle.ts";
import { unixMillis } from "../../units.ts";
import type { CandleRange } from "../feed.ts";
import { API_HANDLERS, type ApiReply } from "./apis.ts";
import { CandleArchive } from "./archive.ts";
import { API_NAMES, FaultBoard, faultSchema, type ApiName, type Fault, type FaultInput } from "./faults.ts";
import { Tape } from "./tape.ts";

export interface RecordedMarketOptions {
  /** Folder of recordings; null: everything is generated. */
  readonly dir: string | null;
  readonly seed: number;
  /** With `start` candles play at their recorded time; without, they are moved by whole weeks to now. */
  readonly clock?: { readonly start?: string | null; readonly speed?: number };
  /** Takes the place of the clock that `clock` describes (tests). */
  readonly timeSource?: Clock;
  /** In the order of API_NAMES; 0 or absent is a free port. */
  readonly ports?: readonly number[];
}

export interface AssetSource {
  readonly asset: AssetSymbol;
  readonly kind: "recorded" | "generated";
  readonly description: string;
}

/** One answered request; the newest ones are kept. */
export interface MarketRequest {
  readonly api: ApiName;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly assets: readonly AssetSymbol[];
  /** 0: the connection was cut. */
  readonly status: number;
  /** Market time. */
  readonly atMs: number;
}

export interface RecordedMarket {
  /** Base URLs as the settings of the same names want them. */
  readonly urls: Readonly<Record<ApiName, string>>;
  readonly clock: Clock;
  /** What other processes need to share the clock; null when it is real time. */
  readonly rehearsal: { readonly start: string; readonly origin: string; readonly speed: number } | null;
  readonly requests: readonly MarketRequest[];
  sources(): readonly AssetSource[];
  /** What was, is and will be: all candles of the range, whatever the clock says and without faults. */
  candles(asset: AssetSymbol, range: CandleRange): readonly Candle[];
  setFault(api: ApiName, fault: FaultInput): void;
  clearFaults(api?: ApiName): void;
  close(): Promise<void>;
}

const MAX_LOGGED_REQUESTS = 10_000;
const HOST = "127.0.0.1";

/** Where recordings are looked for when the configuration names no folder; null when there are none. */
export function findMarketDir(configured: string | null): string | null {
  if (configured !== null) return configured;
  const beside = resolve(import.meta.dirname, "../../../../shared/market");
  return existsSync(beside) ? beside : null;
}

/** Local HTTP servers that speak the public APIs, one listener each, on this machine only. */
export async function startRecordedMarket(options: RecordedMarketOptions): Promise<RecordedMarket> {
  const { clock, rehearsal } = chooseClock(options);
  const faults = new FaultBoard();
  const archive = options.dir === null ? null : new CandleArchive(options.dir, "1m", { skipsBadFiles: true });
  const tape = new Tape({
    clock,
    faults,
    choice: {
      archive,
      seed: options.seed,
      startSeconds: clock.nowMs() / 1000,
      timing: typeof options.clock?.start === "string" ? "recorded" : "retimed",
    },
  });
  const requests: MarketRequest[] = [];
  const closing = new AbortController();
  const listeners: Server[] = [];
  const close = async (): Promise<void> => {
    closing.abort();
    await Promise.all(listeners.map(closeServer));
  };
  const listen = async (api: ApiName, port: number): Promise<[ApiName, string]> => {
    const server = createServer(apiServer(api, { tape, faults, requests, closing: closing.signal }));
    listeners.push(server);
    const base = await listenOn(server, port);
    return [api, api === "pythHistory" ? `${base}/v1/fixed_rate@200ms` : base];
  };
  try {
    const urls = await Promise.all(API_NAMES.map((api, index) => listen(api, options.ports?.[index] ?? 0)));
    return {
      urls: Object.fromEntries(urls) as Record<ApiName, string>,
      clock,
      rehearsal,
      requests,
      sources: () =>
        ASSET_SYMBOLS.map((asset) => {
          const { kind, description } = tape.track(asset);
          return { asset, kind, description };
        }),
      candles: (asset, range) => tape.track(asset).range(range.from, range.to),
      setFault: (api, fault) => {
        faults.set(api, fault, tape.nowSeconds());
      },
      clearFaults: (api) => {
        for (const name of api === undefined ? API_NAMES : [api]) faults.clear(name);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function chooseClock(options: RecordedMarketOptions): Pick<RecordedMarket, "clock" | "rehearsal"> {
  if (options.timeSource) return { clock: options.timeSource, rehearsal: null };
  const originMs = systemClock.nowMs();
  const start = options.clock?.start ?? null;
  const startMs = start === null ? originMs : unixMillis(Date.parse(start));
  const speed = options.clock?.speed ?? 1;
  if (startMs === originMs && speed === 1) return { clock: systemClock, rehearsal: null };
  const rehearsal = { start: new Date(startMs).toISOString(), origin: new Date(originMs).toISOString(), speed };
  return { clock: rehearsalClock({ startMs, originMs, speed }), rehearsal };
}

async function listenOn(server: Server, port: number): Promise<string> {
  try {
    server.listen(port, HOST);
    await once(server, "listening");
  } catch (error) {
    const reason = isErrno(error, "EADDRINUSE") ? "is taken" : describeError(error);
    throw new OperationalError("market/listen_failed", `port ${port} ${reason}`, { details: { port }, cause: error });
  }
  return `http://${HOST}:${(server.address() as AddressInfo).port}`;
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}

interface ApiContext {
  readonly tape: Tape;
  readonly faults: FaultBoard;
  readonly requests: MarketRequest[];
  readonly closing: AbortSignal;
}

function apiServer(api: ApiName, context: ApiContext): Express {
  const { tape, faults, requests } = context;
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.use(express.json({ limit: "64kb", strict: false }));
  app.get("/__faults", (_request, response) => {
    response.json(faults.list(api));
  });
  app.post("/__faults", (request: Request, response: Response) => {
    const parsed = z.union([faultSchema.transform((fault) => [fault]), z.array(faultSchema)]).safeParse(request.body);
    if (!parsed.success) {
      response.status(400).json({ error: z.prettifyError(parsed.error) });
      return;
    }
    for (const fault of parsed.data) faults.set(api, fault, tape.nowSeconds());
    response.json(faults.list(api));
  });
  app.delete("/__faults", (_request, response) => {
    faults.clear(api);
    response.json([]);
  });
  app.use(async (request: Request, response: Response) => {
    const { method, path } = request;
    const query = new URL(request.originalUrl, `http://${HOST}`).searchParams;
    const reply = API_HANDLERS[api]({ method, path, query, body: request.body as unknown }, tape);
    const status = await answer(response, reply, { api, ...context });
    requests.push({
      api,
      method,
      path: request.originalUrl,
      assets: reply.assets,
      status,
      atMs: tape.nowSeconds() * 1000,
    });
    if (requests.length > MAX_LOGGED_REQUESTS) requests.splice(0, requests.length - MAX_LOGGED_REQUESTS);
  });
  app.use((error: unknown, _request: Request, response: Response, next: (error: unknown) => void) => {
    // express.json marks what it could not read with a 4xx; anything else is ours, such as a damaged recording.
    const status = error instanceof Error && "status" in error && typeof error.status === "number" ? error.status : 500;
    if (response.headersSent) next(error);
    else response.status(status).json({ error: describeError(error) });
  });
  return app;
}

/** Sends the reply as the faults in force let it out; returns the status, 0 when the connection was cut. */
async function answer(
  response: Response,
  reply: ApiReply,
  context: { api: ApiName; faults: FaultBoard; closing: AbortSignal },
): Promise<number> {
  const { api, faults, closing } = context;
  const find = <Kind extends Fault["kind"]>(kind: Kind): Extract<Fault, { kind: Kind }> | undefined =>
    faults.find(api, kind, reply.assets)?.fault;
  const [delay, limit, cut] = [find("delay"), find("rate_limit"), find("cut")];
  const [geoBlock, serverError, badJson] = [find("geo_block"), find("server_error"), find("bad_json")];
  faults.spend(api, reply.assets);
  if (delay) await systemClock.sleep(delay.delayMs, closing);
  const text = JSON.stringify(reply.body);
  if (limit) {
    if (limit.retryAfter !== undefined) response.set("Retry-After", String(limit.retryAfter));
    return send(response, 429, '{"error":"too many requests"}');
  }
  if (geoBlock) return send(response, 451, '{"code":0,"msg":"Service unavailable from a restricted location"}');
  if (serverError) return send(response, serverError.status, '{"error":"internal error"}');
  if (cut) {
    response.writeHead(reply.status, { "content-type": "application/json", "content-length": text.length + 1000 });
    response.write(text.slice(0, Math.ceil(text.length / 2)), () => response.socket?.destroy());
    return 0;
  }
  return send(response, reply.status, badJson ? `${text.slice(0, text.length / 2)}<html>` : text);
}

function send(response: Response, status: number, text: string): number {
  response.status(status).type("application/json").send(text);
  return status;
}
