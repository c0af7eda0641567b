import { z } from "zod";

/** What a flag's text becomes before the schema judges it. */
type ValueKind = "boolean" | "number" | "string";

/** One leaf of a schema that a flag can set. */
export interface Flag {
  /** Without the leading dashes: `axon.external_ip`, or `one-shot` for a command's own options. */
  readonly name: string;
  readonly alias: string | undefined;
  readonly env: string | undefined;
  readonly secret: boolean;
  readonly path: readonly string[];
  readonly kind: ValueKind;
  readonly nullable: boolean;
  /** A list of texts: every repetition of the flag adds one. */
  readonly repeatable: boolean;
  readonly description: string;
  /** Accepted words, for help. */
  readonly choices: readonly string[] | undefined;
}

interface Leaf {
  readonly kind: ValueKind;
  readonly nullable: boolean;
  readonly repeatable: boolean;
  readonly choices: readonly string[] | undefined;
}

const PLAIN = { nullable: false, repeatable: false, choices: undefined } as const;

function snakeCase(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function kebabCase(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** What kind of text sets this schema; null when no flag can (records, arrays of anything but text). */
function leafOf(schema: z.core.$ZodType): Leaf | null {
  if (schema instanceof z.ZodNullable) {
    const inner = leafOf(schema.unwrap());
    return inner && { ...inner, nullable: true };
  }
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return leafOf(schema.unwrap());
  if (schema instanceof z.ZodArray) {
    const element = leafOf(schema.element);
    return element?.kind === "string" ? { ...element, repeatable: true } : null;
  }
  if (schema instanceof z.ZodBoolean) return { ...PLAIN, kind: "boolean" };
  if (schema instanceof z.ZodNumber) return { ...PLAIN, kind: "number" };
  if (schema instanceof z.ZodEnum) {
    return { ...PLAIN, kind: "string", choices: schema.options.map(String) };
  }
  if (schema instanceof z.ZodString || schema instanceof z.ZodURL) {
    return { ...PLAIN, kind: "string" };
  }
  if (schema instanceof z.ZodStringFormat || schema instanceof z.ZodUnion) {
    return { ...PLAIN, kind: "string" };
  }
  return null;
}

/** Every leaf of `schema` as a flag; nested keys are dotted and in snake case, as miners know them. */
export function flagsOf(schema: z.ZodObject, prefix: readonly string[] = []): Flag[] {
  return Object.entries(schema.shape as Record<string, z.core.$ZodType>).flatMap(([key, child]) => {
    const path = [...prefix, key];
    if (child instanceof z.ZodObject) return flagsOf(child, path);
    const leaf = leafOf(child);
    if (leaf === null) return [];
    const meta = metaOf(child);
    return [
      {
        ...leaf,
        path,
        name: path.map(snakeCase).join("."),
        alias: meta.alias,
        env: meta.env,
        secret: meta.secret ?? false,
        description: meta.description ?? "",
      },
    ];
  });
}

/** A command's own options: one word each, in kebab case. */
export function optionFlagsOf(schema: z.ZodObject): Flag[] {
  return flagsOf(schema).map((flag) => ({ ...flag, name: kebabCase(flag.path[0] ?? flag.name) }));
}

function metaOf(schema: z.core.$ZodType): z.core.GlobalMeta {
  const own = z.globalRegistry.get(schema) ?? {};
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return { ...metaOf(schema.unwrap()), ...own };
  return own;
}

export type ParsedText =
  { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly expected: string };

const TRUE_WORDS = new Set(["true", "1", "yes", "on"]);
const FALSE_WORDS = new Set(["false", "0", "no", "off"]);
const NUMBER_PATTERN = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

function isBooleanWord(text: string): boolean {
  const word = text.toLowerCase();
  return TRUE_WORDS.has(word) || FALSE_WORDS.has(word);
}

/** The value that `text` spells for this flag; the schema checks its range afterwards. */
export function parseFlagText(flag: Flag, text: string): ParsedText {
  if (flag.nullable && ["null", "none"].includes(text.toLowerCase())) return { ok: true, value: null };
  switch (flag.kind) {
    case "boolean":
      if (!isBooleanWord(text)) return { ok: false, expected: expectedOf(flag) };
      return { ok: true, value: TRUE_WORDS.has(text.toLowerCase()) };
    case "number":
      if (!NUMBER_PATTERN.test(text)) return { ok: false, expected: expectedOf(flag) };
      return { ok: true, value: Number(text) };
    case "string":
      return { ok: true, value: text };
  }
}

export interface ParsedArguments {
  /** Flag → its text, in the order given; a bare boolean flag reads "true". */
  readonly values: readonly { readonly flag: Flag; readonly text: string }[];
  readonly positionals: readonly string[];
  readonly problems: readonly string[];
}

/**
 * Splits an argument list into flags and positionals: `--flag value`, `--flag=value`, booleans with or without a value.
 * Never throws; everything unknown or incomplete is a problem. (node:util's parseArgs splits `--flag -5` into two flags
 * and knows no optional values.)
 */
export function parseArguments(args: readonly string[], flags: readonly Flag[]): ParsedArguments {
  const byName = new Map(
    flags.flatMap((flag) => [flag.name, ...(flag.alias ? [flag.alias] : [])].map((n) => [n, flag])),
  );
  const values: { flag: Flag; text: string }[] = [];
  const positionals: string[] = [];
  const problems: string[] = [];
  const terminator = args.indexOf("--");
  const own = terminator < 0 ? args : args.slice(0, terminator);
  for (let index = 0; index < own.length; index += 1) {
    const argument = own[index]!;
    if (!argument.startsWith("-") || argument === "-") {
      positionals.push(argument);
      continue;
    }
    const equals = argument.indexOf("=");
    const name = argument.slice(0, equals < 0 ? undefined : equals).replace(/^--/, "");
    const flag = byName.get(name);
    const next = own[index + 1];
    if (!flag) {
      problems.push(`--${name.replace(/^-/, "")}: unknown flag${suggestion(name, [...byName.keys()])}`);
      if (equals < 0 && next !== undefined && !next.startsWith("--")) index += 1;
    } else if (equals >= 0) {
      values.push({ flag, text: argument.slice(equals + 1) });
    } else if (next !== undefined && (flag.kind === "boolean" ? isBooleanWord(next) : !next.startsWith("--"))) {
      values.push({ flag, text: next });
      index += 1;
    } else if (flag.kind === "boolean") {
      values.push({ flag, text: "true" });
    } else {
      problems.push(`--${name}: expected ${expectedOf(flag)} after it, found nothing`);
    }
  }
  if (terminator >= 0) positionals.push(...args.slice(terminator + 1));
  return { values, positionals, problems };
}

/** What a flag takes, in words. */
export function expectedOf(flag: Flag): string {
  if (flag.choices) return `one of ${flag.choices.join(", ")}`;
  return { boolean: "true or false", number: "a number", string: "a value" }[flag.kind];
}

function suggestion(name: string, known: readonly string[]): string {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  const close = known.find((candidate) => plain(candidate) === plain(name) || candidate.endsWith(`.${name}`));
  return close === undefined ? " (see --help)" : ` (did you mean --${close}?)`;
}
