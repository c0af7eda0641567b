import { createHash } from "node:crypto";

/**
 * `computed_body_hash`: hex sha3-256 of the concatenated hex sha3-256 digests of Python's `str(field)` for each of the
 * synapse's required hash fields, in their order.
 *
 * Python's spelling is rebuilt from the JSON text: `1` is an int and `1.0` a float, so the text of every number counts.
 * Strings stand for themselves at the top and as `repr` inside lists and dicts; null is None. A field that the sender's
 * class holds as a nested model, tuple, set or bytes is spelled by its JSON form here, which Python would not do; and
 * dict keys that look like array indices come first, as JavaScript orders them.
 */
export function bodyHash(bodyText: string, fields: readonly string[]): string {
  const values = fields.length === 0 ? {} : parseWithNumberText(bodyText);
  const digests = fields.map((field) => sha3(pythonStr(Object.hasOwn(values, field) ? (values[field] ?? null) : null)));
  return sha3(digests.join(""));
}

function sha3(text: string): string {
  return createHash("sha3-256").update(text, "utf8").digest("hex");
}

/** A JSON number as it was written. */
class NumberText {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

type JsonValue = null | boolean | string | NumberText | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** `JSON.parse` hands revivers the source text of primitives (ES2026, V8 11.4 and later). */
type SourceReviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;

function parseWithNumberText(bodyText: string): Readonly<Record<string, JsonValue>> {
  const reviver: SourceReviver = (_key, value, context) =>
    typeof value === "number" ? new NumberText(context.source ?? String(value)) : value;
  return JSON.parse(bodyText, reviver as (key: string, value: unknown) => unknown) as Record<string, JsonValue>;
}

function pythonStr(value: JsonValue): string {
  return typeof value === "string" ? value : pythonRepr(value);
}

function pythonRepr(value: JsonValue): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return pythonStringRepr(value);
  if (value instanceof NumberText) return pythonNumber(value.source);
  if (isList(value)) return `[${value.map(pythonRepr).join(", ")}]`;
  const members = Object.entries(value).map(([key, member]) => `${pythonStringRepr(key)}: ${pythonRepr(member)}`);
  return `{${members.join(", ")}}`;
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function pythonNumber(source: string): string {
  return /[.eE]/.test(source) ? pythonFloat(Number(source)) : BigInt(source).toString();
}

/** Python's `repr(float)`: the shortest digits that round-trip, with an exponent below 1e-4 and from 1e16. */
export function pythonFloat(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const magnitude = Math.abs(value);
  if (magnitude !== 0 && (magnitude < 1e-4 || magnitude >= 1e16)) {
    const [mantissa = "", exponent = ""] = value.toExponential().split("e");
    return `${mantissa}e${exponent.charAt(0)}${exponent.slice(1).padStart(2, "0")}`;
  }
  const text = String(value);
  return text.includes(".") ? text : `${text}.0`;
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function pythonStringRepr(value: string): string {
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  let body = "";
  for (const character of value) {
    if (character === quote) body += `\\${character}`;
    else body += SHORT_ESCAPES[character] ?? (isPrintable(character) ? character : hexEscape(character));
  }
  return quote + body + quote;
}

/** Python's `str.isprintable` for one character. */
function isPrintable(character: string): boolean {
  return character === " " || !/[\p{C}\p{Z}]/u.test(character);
}

function hexEscape(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, "0")}`;
  if (code <= 0xffff) return `\\u${code.toString(16).padStart(4, "0")}`;
  return `\\U${code.toString(16).padStart(8, "0")}`;
}
