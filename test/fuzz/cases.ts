import fc from "fast-check";
import { SDK_HEADERS } from "../support/dendrite-sdk-request.ts";

/** Hostile requests as data: what to change in a good one, and how its bytes are framed. */
export interface FuzzCase {
  /** Of the good request; a btauth/1 one signs its body as it arrives. */
  readonly scheme: "synapse" | "btauth";
  readonly method: string;
  readonly target: string;
  readonly edits: readonly HeaderEdit[];
  /** Latin-1, one character a byte; null keeps the good body. */
  readonly body: string | null;
  readonly framing: "length" | "chunked" | "short length" | "long length" | "none" | "both";
  /** Whether the sender says that it will send no more, as soon as it has. */
  readonly halfClosed: boolean;
}

export interface HeaderEdit {
  readonly kind: "set" | "drop" | "repeat";
  readonly name: string;
  readonly value: string;
}

/** Headers that the signature covers; the sender's own address of our hotkey is not among them. */
export const SIGNED_HEADERS: ReadonlySet<string> = new Set([
  "bt_header_dendrite_nonce",
  "bt_header_dendrite_uuid",
  "bt_header_dendrite_hotkey",
  "bt_header_dendrite_signature",
  "computed_body_hash",
]);

/** The edges where integers, floats and 64 bits end. */
const NUMBERS = [
  ...["0", "-0", "1", "-1", "1e308", "1e309", "-1e308", "5e-324", "0.1", "NaN", "inf", "None", "0x10", "1_000", "+5"],
  ...["9007199254740991", "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615"],
  ...["18446744073709551616", "99999999999999999999", "100000000000000000000", "1".repeat(400), "00000000000000000001"],
];
const TEXTS = [
  ...[
    "",
    " ",
    "\t",
    "null",
    "undefined",
    "__proto__",
    "constructor",
    "../../etc/passwd",
    "%00",
    "a\u0000b",
    "\u00ff\u00fe",
  ],
  ...["\u00e9", "\u00c0\u00ae", "a, b", "x".repeat(65), "x".repeat(129), "x".repeat(257), "x".repeat(5000), "${7*7}"],
  ...["\u001b[31m", "a\u007fb", "a\u000bb", "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY", `0x${"0".repeat(128)}`],
];

const headerName = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...Object.keys(SDK_HEADERS)) },
  fc.constantFrom("content-encoding", "expect", "upgrade", "host", "x-bittensor-version", "accept-encoding"),
  fc.constantFrom(
    "x-bittensor-signature",
    "x-bittensor-nonce",
    "transfer-encoding",
    "cookie",
    "__proto__",
    "constructor",
  ),
  fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_-]{0,40}$/),
);

const bytes = fc.uint8Array({ maxLength: 64 }).map((octets) => Buffer.from(octets).toString("latin1"));

/** Any bytes a line of a header may hold: what ends the line would only begin another header. */
const headerValue = fc
  .oneof(fc.constantFrom(...NUMBERS), fc.constantFrom(...TEXTS), bytes)
  .map((text) => text.replace(/[\r\n]/g, "?"));

const edit: fc.Arbitrary<HeaderEdit> = fc.record({
  kind: fc.constantFrom("set", "set", "set", "drop", "repeat"),
  name: headerName,
  value: headerValue,
});

/** JSON text of a member: JSON.stringify would lose -0, 1e308 and what JavaScript cannot hold. */
const memberText = fc.oneof(
  fc.constantFrom(...NUMBERS.filter((text) => /^-?\d/.test(text))),
  fc.constantFrom(
    '"BTC"',
    '"ETH\\u0000"',
    '"2026-10-01T12:05:00+00:00"',
    '"2026-02-30T00:00:00Z"',
    '"9999-12-31T23:59:59Z"',
  ),
  fc.constantFrom("null", "true", "[]", "{}", '[["BTC"]]', '{"valueOf":1}', '"\\ud800"', '"' + "9".repeat(3000) + '"'),
  fc.constantFrom("60", "300", "3600", "86400", "1000", "10000"),
  fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value)),
);

const FIELDS = ["asset", "start_time", "time_increment", "time_length", "num_simulations"] as const;
const memberName = fc.constantFrom(
  ...FIELDS,
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "",
);

const GOOD_INPUT: Readonly<Record<string, string>> = {
  asset: '"BTC"',
  start_time: '"2026-10-01T12:05:00+00:00"',
  time_increment: "60",
  time_length: "3600",
  num_simulations: "10",
};

/** A prompt with some of its members replaced, added, or written twice. */
export const promptText = fc.array(fc.tuple(memberName, memberText), { maxLength: 3 }).map((changes) => {
  const members = [...Object.entries(GOOD_INPUT), ...changes];
  return `{${members.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`;
});

const BOMBS = [
  "[".repeat(60_000),
  '{"a":'.repeat(10_000),
  `{"simulation_input":${"[".repeat(62)}${"]".repeat(62)}}`,
  `{"simulation_input":{${Array.from({ length: 4000 }, (_, index) => `"k${index}":0`).join(",")}}}`,
  `{"simulation_input":[${"0,".repeat(30_000)}0]}`,
  `{"simulation_input":{"asset":"${"\\u0041".repeat(10_000)}"}}`,
  `{"simulation_input":{"num_simulations":${"1".repeat(60_000)}}}`,
  '{"simulation_input":{}'.padEnd(60_000, " "),
  '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"simulation_input":{"__proto__":{"polluted":1}}}',
  "\u00ef\u00bb\u00bf{}",
  '{"simulation_input":"\u00ff\u00fe"}',
  '{"simulation_input":"\u00ed\u00a0\u0080"}',
  "a".repeat(70_000),
];

const body: fc.Arbitrary<string | null> = fc.oneof(
  { weight: 2, arbitrary: fc.constant(null) },
  { weight: 6, arbitrary: promptText.map((text) => `{"simulation_input":${text},"simulation_output":null}`) },
  { weight: 1, arbitrary: fc.constantFrom(...BOMBS) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((octets) => Buffer.from(octets).toString("latin1")) },
  { weight: 1, arbitrary: promptText.map((text) => `{"simulation_input":${text}`.slice(0, -3)) },
);

const framing = fc.oneof(
  { weight: 10, arbitrary: fc.constant("length" as const) },
  fc.constantFrom(
    "chunked" as const,
    "short length" as const,
    "long length" as const,
    "none" as const,
    "both" as const,
  ),
);

const halfClosed = fc.oneof({ weight: 15, arbitrary: fc.constant(false) }, fc.constant(true));

/** Good headers, hostile body: what a validator's key, or whoever holds a captured request, can do. */
export const signedCase: fc.Arbitrary<FuzzCase> = fc.record({
  scheme: fc.constantFrom("synapse", "btauth"),
  method: fc.constant("POST"),
  target: fc.constant("/Simulation"),
  edits: fc.constant([]),
  body,
  framing,
  halfClosed,
});

/** Anything changed: what a stranger can do. */
export const strangerCase: fc.Arbitrary<FuzzCase> = fc.record({
  scheme: fc.constant("synapse"),
  method: fc.oneof(
    { weight: 8, arbitrary: fc.constant("POST") },
    fc.constantFrom("GET", "PUT", "HEAD", "OPTIONS", "BREW"),
  ),
  target: fc.oneof(
    { weight: 8, arbitrary: fc.constant("/Simulation") },
    fc.constantFrom(
      "/",
      "/Synapse",
      "/simulation",
      "//Simulation",
      "/Simulation/..",
      "/%ff",
      "/Simulation?a[b]=c",
      "*",
    ),
    fc.constantFrom("http://other.example/Simulation", "/__proto__", "/constructor", `/${"x".repeat(3000)}`, "/\u00e9"),
  ),
  edits: fc.array(edit, { minLength: 1, maxLength: 4 }),
  body,
  framing,
  halfClosed,
});

export const headerBag = fc.dictionary(
  fc.oneof(headerName, fc.string()),
  fc.oneof(headerValue, fc.string({ unit: "binary" }), fc.array(headerValue, { maxLength: 3 })),
);
