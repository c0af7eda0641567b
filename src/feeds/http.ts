import axios, { AxiosError, type AxiosResponse } from "axios";
import type { Clock } from "../clock.ts";
import type { HostLimits } from "../config/schema.ts";
import { OperationalError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { timeLimit } from "../time-limit.ts";
import { Circuit, type Permit } from "./circuit.ts";
import { RateWindow } from "./rate-window.ts";

/** Five thousand candles are about 700 kB of JSON; anything far beyond is not an answer. */
const MAX_RESPONSE_BYTES = 8 * 1024 * 1024;
/** Bulk history leaves room in the window for the prices that validators wait for. */
const BULK_SHARE = 0.8;
const PRICE_SHARE = 0.95;
/** The longest pauses that a host may ask for; 418 is a ban, and Binance's last up to three days. */
const MAX_RATE_LIMIT_MS = 3_600_000;
const MAX_BAN_MS = 3 * 86_400_000;

export interface HostSettings {
  /** For messages and logs. */
  readonly name: string;
  readonly baseUrl: string;
  readonly limits: HostLimits;
  /** The published limit: `weight` within any `windowMs`. */
  readonly rate: { readonly weight: number; readonly windowMs: number };
  /** What a 429 without Retry-After means for this host; null: an ordinary back-off. */
  readonly silentRetryAfterMs: number | null;
  readonly bearerToken: string | null;
}

export interface HostDeps {
  /** Real time: timeouts, back-off, circuits and rate limits do not follow a rehearsal. */
  readonly wallClock: Clock;
  /** Uniform in [0, 1), for jitter. */
  readonly random: () => number;
  readonly logger: Logger;
}

export interface HostRequest {
  readonly method: "GET" | "POST";
  /** Appended to the base URL. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number>>;
  readonly body?: unknown;
  readonly weight: number;
  /** "price": one try, ahead of bulk traffic. "bulk": retried. */
  readonly urgency: "price" | "bulk";
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

interface Failure {
  readonly error: OperationalError;
  /** How long to wait before another try; null when trying again is pointless. */
  readonly retryInMs: number | null;
}

type Outcome = { readonly ok: true; readonly value: unknown } | ({ readonly ok: false } & Failure);

/**
 * One HTTP host: rate window, circuit, timeout, bounded retries. Everything it throws is an OperationalError without
 * headers, bodies or the transport's own error, so that no key can reach a log.
 */
export class Host {
  readonly #settings: HostSettings;
  readonly #deps: HostDeps;
  readonly #circuit: Circuit;
  readonly #window: RateWindow;
  readonly #hostname: string;

  constructor(settings: HostSettings, deps: HostDeps) {
    const { limits, rate, baseUrl } = settings;
    this.#settings = { ...settings, baseUrl: baseUrl.replace(/\/+$/, "") };
    this.#deps = deps;
    this.#hostname = new URL(baseUrl).hostname;
    this.#circuit = new Circuit({ failures: limits.circuitFailures, openMs: limits.circuitOpenMs });
    this.#window = new RateWindow({ windowMs: rate.windowMs, capacity: rate.weight, clock: deps.wallClock });
  }

  /** The parsed JSON of a 2xx answer. */
  async request(request: HostRequest): Promise<unknown> {
    const tries = request.urgency === "price" ? 1 : this.#settings.limits.maxAttempts;
    for (let attempt = 1; ; attempt += 1) {
      const permit = await this.#admit(request);
      const outcome = await this.#attempt(request, permit, attempt);
      if (outcome.ok) return outcome.value;
      const { error, retryInMs } = outcome;
      if (retryInMs === null || attempt >= tries || this.#circuit.openUntilMs !== null) throw error;
      this.#deps.logger.debug(
        { host: this.#settings.name, code: error.code, attempt, retryInMs },
        "Request is retried",
      );
      await this.#abortable(request, () => this.#deps.wallClock.sleep(retryInMs, request.signal));
    }
  }

  /** Waits for room in the rate window. An open circuit refuses at once, and what it refuses takes no weight. */
  async #admit(request: HostRequest): Promise<Permit> {
    const share = request.urgency === "price" ? PRICE_SHARE : BULK_SHARE;
    for (;;) {
      if (request.signal?.aborted === true) throw this.#aborted();
      const permit = this.#circuit.admit(this.#deps.wallClock.nowMs());
      if (permit === null) throw this.#circuitOpen();
      const waitMs = this.#window.take(request.weight, share);
      if (waitMs === 0) return permit;
      this.#circuit.release(permit);
      await this.#abortable(request, () => this.#deps.wallClock.sleep(waitMs, request.signal));
    }
  }

  async #abortable(request: HostRequest, wait: () => Promise<void>): Promise<void> {
    try {
      await wait();
    } catch (error) {
      if (request.signal?.aborted === true) throw this.#aborted();
      throw error;
    }
  }

  async #attempt(request: HostRequest, permit: Permit, attempt: number): Promise<Outcome> {
    const timeoutMs = request.timeoutMs ?? this.#settings.limits.timeoutMs;
    using limit = timeLimit(timeoutMs, request.signal);
    let response: AxiosResponse<unknown>;
    try {
      response = await this.#send(request, limit.signal);
    } catch (error) {
      // A caller's time limit says something about the host; its change of mind does not.
      const outOfTime = request.signal?.reason instanceof DOMException && request.signal.reason.name === "TimeoutError";
      if (request.signal?.aborted === true && !outOfTime) {
        this.#circuit.release(permit);
        return { ok: false, error: this.#aborted(), retryInMs: null };
      }
      if (request.signal?.aborted === true) {
        const late = this.#error("feed/timeout", "no answer within the caller's time", {});
        const outcome = this.#hostFailed(late, permit, attempt);
        return outcome.ok ? outcome : { ...outcome, retryInMs: null };
      }
      const failure = limit.isOver
        ? this.#error("feed/timeout", `no answer within ${timeoutMs} ms`, { timeoutMs })
        : this.#transportError(error);
      return this.#hostFailed(failure, permit, attempt);
    }
    return this.#judge(response, permit, attempt);
  }

  #send(request: HostRequest, signal: AbortSignal): Promise<AxiosResponse<unknown>> {
    const { baseUrl, bearerToken } = this.#settings;
    return axios.request<unknown>({
      method: request.method,
      url: baseUrl + request.path,
      params: request.query,
      data: request.body,
      headers: bearerToken === null ? {} : { Authorization: `Bearer ${bearerToken}` },
      signal,
      responseType: "text",
      transformResponse: (data: unknown) => data,
      maxContentLength: MAX_RESPONSE_BYTES,
      maxRedirects: 0,
      validateStatus: () => true,
      // A recorded market on this machine is never behind the proxy that the environment may name.
      ...(this.#hostname === "127.0.0.1" || this.#hostname === "localhost" ? { proxy: false } : {}),
    });
  }

  #judge(response: AxiosResponse<unknown>, permit: Permit, attempt: number): Outcome {
    const { status } = response;
    if (status === 429 || status === 418) return this.#rateLimited(response, permit, attempt);
    if (status >= 500) {
      return this.#hostFailed(this.#error("feed/http_status", `answered HTTP ${status}`, { status }), permit, attempt);
    }
    let value: unknown;
    if (status >= 200 && status < 300) {
      try {
        value = JSON.parse(String(response.data));
      } catch {
        return this.#hostFailed(
          this.#error("feed/bad_json", "answered something that is not JSON", {}),
          permit,
          attempt,
        );
      }
    }
    this.#circuit.succeed(permit);
    if (status >= 200 && status < 300) return { ok: true, value };
    const error =
      status === 451
        ? this.#error("feed/geo_blocked", "refuses this region (HTTP 451)", { status })
        : this.#error("feed/http_status", `answered HTTP ${status}`, { status });
    return { ok: false, error, retryInMs: null };
  }

  #rateLimited(response: AxiosResponse<unknown>, permit: Permit, attempt: number): Outcome {
    const { limits, silentRetryAfterMs, name } = this.#settings;
    const nowMs = this.#deps.wallClock.nowMs();
    const header: unknown = response.headers["retry-after"];
    const askedMs = parseRetryAfter(header, nowMs) ?? silentRetryAfterMs;
    const capMs = response.status === 418 ? MAX_BAN_MS : MAX_RATE_LIMIT_MS;
    const retryAfterMs = askedMs === null ? null : Math.min(askedMs, capMs);
    const details = { status: response.status, retryAfterMs };
    const error = this.#error("feed/rate_limited", `asks for fewer requests (HTTP ${response.status})`, details);
    if (retryAfterMs !== null && retryAfterMs > limits.maxRetryAfterMs) {
      this.#circuit.open(nowMs, retryAfterMs);
      this.#deps.logger.warn({ host: name, retryAfterMs }, "Host asks for a long pause, circuit opened");
      return { ok: false, error, retryInMs: null };
    }
    // A short pause is the host at work, not the host failing.
    this.#circuit.succeed(permit);
    return { ok: false, error, retryInMs: Math.max(retryAfterMs ?? 0, this.#backOffMs(attempt)) };
  }

  #hostFailed(error: OperationalError, permit: Permit, attempt: number): Outcome {
    const { name, limits } = this.#settings;
    if (this.#circuit.fail(permit, this.#deps.wallClock.nowMs())) {
      this.#deps.logger.warn({ host: name, code: error.code, openMs: limits.circuitOpenMs }, "Host circuit opened");
    }
    return { ok: false, error, retryInMs: this.#backOffMs(attempt) };
  }

  /** Doubled with every try, jittered down to half. */
  #backOffMs(attempt: number): number {
    return this.#settings.limits.retryBaseMs * 2 ** (attempt - 1) * (0.5 + this.#deps.random() / 2);
  }

  /** The transport's error holds the request with its headers: only its code gets out. */
  #transportError(error: unknown): OperationalError {
    if (!(error instanceof AxiosError)) throw error;
    if (error.message.startsWith("maxContentLength")) {
      return this.#error("feed/too_large", `answered more than ${MAX_RESPONSE_BYTES} bytes`, {});
    }
    const errno = error.code ?? "unknown";
    return this.#error("feed/connection", `connection failed (${errno})`, { errno });
  }

  #aborted(): OperationalError {
    return this.#error("feed/aborted", "the request was given up", {});
  }

  #circuitOpen(): OperationalError {
    const retryAtMs = this.#circuit.openUntilMs;
    return this.#error("feed/circuit_open", "is left alone after failures", { retryAtMs });
  }

  #error(code: string, message: string, details: Record<string, unknown>): OperationalError {
    const { name } = this.#settings;
    return new OperationalError(code, `${name} ${message}`, { details: { host: name, ...details } });
  }
}

/** A Retry-After header (seconds or HTTP-date) as milliseconds from now; null when absent or unreadable. */
export function parseRetryAfter(header: unknown, nowMs: number): number | null {
  if (typeof header !== "string") return null;
  const text = header.trim();
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  // Date.parse alone reads far too much, "-5" among it.
  const atMs = /^[A-Za-z]{3,9},? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs);
}
