/**
 * The headers of a synapse request or response (Bittensor SDK 7.2 to 10.x). Wire spellings stay in this file.
 */

/** Node's shape of HTTP headers. */
export type HeaderBag = Readonly<Record<string, string | readonly string[] | undefined>>;

/** One end of a call as the SDK's `TerminalInfo` describes it; absent fields are null on the wire. */
export interface Terminal {
  readonly statusCode?: number | undefined;
  readonly statusMessage?: string | undefined;
  readonly processTimeSeconds?: number | undefined;
  readonly ip?: string | undefined;
  readonly port?: number | undefined;
  readonly version?: number | undefined;
  /** Unix nanoseconds, above 2^53. */
  readonly nonce?: bigint | undefined;
  readonly uuid?: string | undefined;
  readonly hotkey?: string | undefined;
  readonly signature?: string | undefined;
}

const TERMINAL_WIRE: readonly (readonly [string, keyof Terminal])[] = [
  ["status_code", "statusCode"],
  ["status_message", "statusMessage"],
  ["process_time", "processTimeSeconds"],
  ["ip", "ip"],
  ["port", "port"],
  ["version", "version"],
  ["nonce", "nonce"],
  ["uuid", "uuid"],
  ["hotkey", "hotkey"],
  ["signature", "signature"],
];

/** What the SDK's axon answers within when a request names no timeout. */
const DEFAULT_TIMEOUT_SECONDS = 12;

export interface SynapseHeaders {
  readonly timeoutSeconds: number;
  readonly headerSize: number;
  readonly totalSize: number;
  /** Empty when absent. */
  readonly computedBodyHash: string;
  readonly axon: Terminal;
  readonly dendrite: Terminal;
}

/** What a response mirrors of a request whose headers could not be read. */
export const UNREAD_HEADERS: SynapseHeaders = {
  timeoutSeconds: DEFAULT_TIMEOUT_SECONDS,
  headerSize: 0,
  totalSize: 0,
  computedBodyHash: "",
  axon: {},
  dendrite: {},
};

export type Parsed<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly message: string };

class HeaderProblem extends Error {}

/** No character that could break a journal line, a log line or a response header. */
const VISIBLE_ASCII = /^[\x21-\x7e]*$/;
const DECIMAL = /^\+?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const MAX_SAFE_DIGITS = 15;

type Field = (name: string) => string | undefined;

function fieldReader(headers: HeaderBag): Field {
  const byName = new Map<string, string>();
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) byName.set(name.toLowerCase(), typeof value === "string" ? value : value.join(", "));
  }
  return (name) => byName.get(name)?.trim();
}

/** Visible ASCII of at most `maxLength` characters; empty counts as absent. */
function text(field: Field, name: string, maxLength: number): string | undefined {
  const value = field(name);
  if (value === undefined || value === "") return undefined;
  if (value.length > maxLength) throw new HeaderProblem(`${name}: longer than ${maxLength} characters`);
  if (!VISIBLE_ASCII.test(value)) throw new HeaderProblem(`${name}: unexpected characters`);
  return value;
}

function digits(field: Field, name: string, maxDigits: number): string | undefined {
  const value = field(name);
  if (value === undefined) return undefined;
  if (!/^\d+$/.test(value) || value.length > maxDigits) {
    throw new HeaderProblem(`${name}: expected a whole number of at most ${maxDigits} digits`);
  }
  return value;
}

function integer(field: Field, name: string, maxDigits: number): number | undefined {
  const value = digits(field, name, maxDigits);
  return value === undefined ? undefined : Number(value);
}

function timeout(field: Field): number {
  const value = field("timeout");
  if (value === undefined) return DEFAULT_TIMEOUT_SECONDS;
  const seconds = value.length <= 32 && DECIMAL.test(value) ? Number(value) : Number.NaN;
  if (!Number.isFinite(seconds)) throw new HeaderProblem("timeout: expected seconds as a decimal number, 0 or more");
  return seconds;
}

function terminal(field: Field, prefix: string): Terminal {
  const nonce = digits(field, `${prefix}nonce`, 20);
  return {
    ip: text(field, `${prefix}ip`, 64),
    port: integer(field, `${prefix}port`, 5),
    version: integer(field, `${prefix}version`, MAX_SAFE_DIGITS),
    nonce: nonce === undefined ? undefined : BigInt(nonce),
    uuid: text(field, `${prefix}uuid`, 128),
    hotkey: text(field, `${prefix}hotkey`, 64),
    signature: text(field, `${prefix}signature`, 256),
  };
}

/**
 * Reads a request's headers; names in any case. Absent fields stay absent (the admission words those refusals); a field
 * that is there and unreadable fails the whole. `bt_header_input_obj_*` says nothing that the body does not, so it is
 * ignored. Never throws.
 */
export function parseSynapseHeaders(headers: HeaderBag): Parsed<SynapseHeaders> {
  const field = fieldReader(headers);
  try {
    text(field, "name", 128);
    const value = {
      timeoutSeconds: timeout(field),
      headerSize: integer(field, "header_size", MAX_SAFE_DIGITS) ?? 0,
      totalSize: integer(field, "total_size", MAX_SAFE_DIGITS) ?? 0,
      computedBodyHash: text(field, "computed_body_hash", 128) ?? "",
      axon: terminal(field, "bt_header_axon_"),
      dendrite: terminal(field, "bt_header_dendrite_"),
    };
    return { ok: true, value };
  } catch (error) {
    if (error instanceof HeaderProblem) return { ok: false, message: error.message };
    throw error;
  }
}

/** Header values carry visible ASCII only; messages may quote a hostile body. */
function headerSafe(value: string): string {
  return value.replace(/[^\x20-\x7e]/g, "?").slice(0, 512);
}

/** Header names, made once: they are written for every refused request of a flood. */
const AXON_HEADERS = headerNames("bt_header_axon_");
const DENDRITE_HEADERS = headerNames("bt_header_dendrite_");

function headerNames(prefix: string): [string, keyof Terminal][] {
  return TERMINAL_WIRE.map(([wire, key]) => [prefix + wire, key]);
}

function addTerminal(headers: Record<string, string>, names: typeof AXON_HEADERS, end: Terminal): void {
  for (const [name, key] of names) {
    const value = end[key];
    if (value !== undefined) headers[name] = headerSafe(String(value));
  }
}

/** Python's `str(float)` for the everyday range of timeouts: `12` is written `12.0`. */
function formatSeconds(seconds: number): string {
  return Number.isInteger(seconds) && seconds < 1e16 ? seconds.toFixed(1) : String(seconds);
}

export function formatSynapseHeaders(name: string, synapse: SynapseHeaders): Record<string, string> {
  const headers: Record<string, string> = { name, timeout: formatSeconds(synapse.timeoutSeconds) };
  addTerminal(headers, AXON_HEADERS, synapse.axon);
  addTerminal(headers, DENDRITE_HEADERS, synapse.dendrite);
  headers["header_size"] = String(synapse.headerSize);
  headers["total_size"] = String(synapse.totalSize);
  headers["computed_body_hash"] = synapse.computedBodyHash;
  return headers;
}

/** JSON text of a terminal with all ten fields; the nonce keeps every digit. */
export function terminalJson(end: Terminal): string {
  const members = TERMINAL_WIRE.map(([wire, key]) => {
    const value = end[key] ?? null;
    return `${JSON.stringify(wire)}:${typeof value === "bigint" ? value.toString() : JSON.stringify(value)}`;
  });
  return `{${members.join(",")}}`;
}

/** The fields that every synapse has, as members of a JSON object without its braces. */
export function synapseJsonMembers(name: string, synapse: SynapseHeaders): string {
  return [
    `"name":${JSON.stringify(name)}`,
    `"timeout":${formatSeconds(synapse.timeoutSeconds)}`,
    `"total_size":${String(synapse.totalSize)}`,
    `"header_size":${String(synapse.headerSize)}`,
    `"dendrite":${terminalJson(synapse.dendrite)}`,
    `"axon":${terminalJson(synapse.axon)}`,
    `"computed_body_hash":${JSON.stringify(synapse.computedBodyHash)}`,
  ].join(",");
}
