import axios, { AxiosError, type AxiosResponse } from "axios";
import { isIP } from "node:net";
import { OperationalError } from "../errors.ts";
import { timeLimit } from "../time-limit.ts";
import { isPublicIp, normaliseIp } from "./ip-address.ts";

/** An address is 45 characters at most; a page that says something else need not be read to its end. */
const MAX_RESPONSE_BYTES = 1024;
const TIMEOUT_MS = 5000;
const QUOTED_CHARACTERS = 60;
const VOTES_NEEDED = 2;

export interface ExternalIpOptions {
  /** URLs that answer with the caller's address as plain text. */
  readonly services: readonly string[];
  /** The only kind that is of use: the axon may listen on one alone. Null: either, IPv4 first. */
  readonly family: 4 | 6 | null;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

interface Answer {
  readonly host: string;
  /** Public and normalised; null with what was said or went wrong instead. */
  readonly ip: string | null;
  readonly said: string;
}

/**
 * This machine's public address, as at least two of the services say, none of whom is trusted alone: a wrong address on chain
 * is a miner that nobody reaches, for as long as the rate limit lasts.
 * @throws OperationalError EXTERNAL_IP with every answer; the signal's reason when aborted
 */
export async function detectExternalIp(options: ExternalIpOptions): Promise<string> {
  const { family, signal } = options;
  const answers = await Promise.all(options.services.map((service) => ask(service, options)));
  signal?.throwIfAborted();
  const agreed = agreedIps(answers);
  const families = family === null ? [4, 6] : [family];
  for (const version of families) {
    const [ip, ...others] = agreed.filter((candidate) => isIP(candidate) === version);
    if (ip !== undefined && others.length === 0) return ip;
    if (ip !== undefined) break; // two camps of equal standing
  }
  const said = answers.map(({ host, said: text }) => `${host}: ${text}`);
  throw new OperationalError(
    "EXTERNAL_IP",
    `This machine's public address: expected two services to agree on one, found ${said.join("; ") || "no services"}. ` +
      "Set --axon.external_ip",
    { details: { answers: said } },
  );
}

/** Addresses that two different hosts said; a host that is listed twice is one. */
function agreedIps(answers: readonly Answer[]): readonly string[] {
  const hosts = new Map<string, Set<string>>();
  for (const { ip, host } of answers) {
    if (ip !== null) hosts.set(ip, (hosts.get(ip) ?? new Set()).add(host));
  }
  return [...hosts].filter(([, voters]) => voters.size >= VOTES_NEEDED).map(([ip]) => ip);
}

async function ask(service: string, options: ExternalIpOptions): Promise<Answer> {
  const { family, timeoutMs = TIMEOUT_MS } = options;
  const { host } = new URL(service);
  using limit = timeLimit(timeoutMs, options.signal);
  try {
    const response = await axios.get<string>(service, {
      headers: { Accept: "text/plain" },
      signal: limit.signal,
      ...(family === null ? {} : { family }),
      responseType: "text",
      transformResponse: (text: string) => text,
      maxContentLength: MAX_RESPONSE_BYTES,
      // Elsewhere is another service, and may be the same one for all.
      maxRedirects: 0,
      // Through a proxy the services would see the proxy's address.
      proxy: false,
      validateStatus: () => true,
    });
    return { host, ...judge(response) };
  } catch (error) {
    if (!(error instanceof AxiosError)) throw error;
    return { host, ip: null, said: limit.isOver ? `no answer within ${timeoutMs} ms` : failureOf(error) };
  }
}

function judge({ status, data }: AxiosResponse<string>): Omit<Answer, "host"> {
  if (status !== 200) return { ip: null, said: `HTTP ${status}` };
  const text = data.trim();
  const ip = isIP(text) === 0 ? undefined : normaliseIp(text);
  if (ip === undefined)
    return { ip: null, said: `not an address: ${JSON.stringify(text.slice(0, QUOTED_CHARACTERS))}` };
  return isPublicIp(ip) ? { ip, said: ip } : { ip: null, said: `${ip}, which is not a public address` };
}

function failureOf(error: AxiosError): string {
  if (error.message.startsWith("maxContentLength")) return `more than ${MAX_RESPONSE_BYTES} bytes`;
  return `connection failed (${error.code ?? "unknown"})`;
}
