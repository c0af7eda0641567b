import { z } from "zod";

/** One HTTP request as it was captured; header names in lower case. */
export interface RawRequest {
  readonly method: string;
  /** Request target with its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export type ParsedRawRequest =
  { readonly ok: true; readonly request: RawRequest } | { readonly ok: false; readonly message: string };

/** Header names as RFC 9110 has them. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const REQUEST_LINE = /^([A-Za-z]+) (\S+)(?: HTTP\/\d(?:\.\d)?)?$/;
const EXPECTED =
  "expected HTTP text (request line, headers, blank line, body) or JSON with method, path, headers and body";

const jsonRequest = z.strictObject({
  method: z.string().regex(/^[A-Za-z]+$/),
  path: z.string().startsWith("/"),
  headers: z.record(z.string().regex(TOKEN), z.union([z.string(), z.number(), z.boolean()])),
  body: z.union([z.string(), z.record(z.string(), z.unknown())]).optional(),
});

/** A captured request: raw HTTP/1.1 text with CRLF or LF, or JSON; a JSON body may be text or the object itself. */
export function parseRawRequest(bytes: Uint8Array): ParsedRawRequest {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const start = file.findIndex((byte) => !isBlank(byte));
  if (start < 0) return { ok: false, message: `${EXPECTED}, found nothing` };
  return file[start] === 0x7b ? parseJson(file) : parseHttp(file.subarray(start));
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

function parseJson(file: Buffer): ParsedRawRequest {
  let json: unknown;
  try {
    json = JSON.parse(file.toString("utf8"));
  } catch {
    return { ok: false, message: `${EXPECTED}, found broken JSON` };
  }
  const parsed = jsonRequest.safeParse(json);
  if (!parsed.success) return { ok: false, message: z.prettifyError(parsed.error).replaceAll("\n", " ") };
  const { method, path, headers, body = "" } = parsed.data;
  const entries = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]);
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return {
    ok: true,
    request: {
      method: method.toUpperCase(),
      path,
      headers: joinHeaders(entries),
      body: new TextEncoder().encode(text),
    },
  };
}

function parseHttp(file: Buffer): ParsedRawRequest {
  const end = /\r?\n\r?\n/.exec(file.toString("latin1"));
  const head = file.subarray(0, end?.index ?? file.length).toString("latin1");
  const [requestLine = "", ...lines] = head.replace(/\r?\n[ \t]+/g, " ").split(/\r?\n/);
  const match = REQUEST_LINE.exec(requestLine.trimEnd());
  if (match === null) return { ok: false, message: `${EXPECTED}, found no request line` };
  const entries: [string, string][] = [];
  for (const [index, line] of lines.entries()) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0));
    if (line === "" && index === lines.length - 1) continue; // the last line of a file without a body
    if (!TOKEN.test(name)) return { ok: false, message: `expected "name: value" in header line ${index + 1}` };
    entries.push([name, line.slice(colon + 1).trim()]);
  }
  const headers = joinHeaders(entries);
  if (headers["transfer-encoding"] !== undefined) {
    return {
      ok: false,
      message: "expected the plain body, found transfer-encoding; decode the body and drop the header",
    };
  }
  const rest = end === null ? Buffer.alloc(0) : file.subarray(end.index + end[0].length);
  const path = originForm(match[2]!);
  if (path === null) return { ok: false, message: `${EXPECTED}, found the target ${match[2]!.slice(0, 80)}` };
  return {
    ok: true,
    request: { method: match[1]!.toUpperCase(), path, headers, body: withoutEditorsNewline(rest, headers) },
  };
}

/** `http://host/path` counts as `/path`, as proxies and captures write it. */
function originForm(target: string): string | null {
  if (target.startsWith("/")) return target;
  if (!URL.canParse(target)) return null;
  const { pathname, search } = new URL(target);
  return pathname.startsWith("/") ? pathname + search : null;
}

function joinHeaders(entries: readonly (readonly [string, string])[]): Record<string, string> {
  const joined = new Map<string, string>();
  for (const [name, value] of entries) {
    const before = joined.get(name.toLowerCase());
    joined.set(name.toLowerCase(), before === undefined ? value : `${before}, ${value}`);
  }
  return Object.fromEntries(joined);
}

/** Exact bytes matter to a signed body; the white space that an editor adds at the end of a file is not among them. */
function withoutEditorsNewline(body: Buffer, headers: Readonly<Record<string, string>>): Uint8Array {
  const length = /^\d{1,9}$/.test(headers["content-length"] ?? "") ? Number(headers["content-length"]) : body.length;
  const isPadded = length < body.length && body.subarray(length).every(isBlank);
  return new Uint8Array(isPadded ? body.subarray(0, length) : body);
}
