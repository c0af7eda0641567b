import { readFileSync } from "node:fs";
import path from "node:path";
import { parseEnv } from "node:util";
import { z } from "zod";
import { describeError, isErrno, UsageError } from "../errors.ts";
import { expectedOf, flagsOf, optionFlagsOf, parseArguments, parseFlagText, type Flag } from "./flags.ts";
import { configSchema, type Config } from "./schema.ts";

/** Where the repository lives: configuration, models and the default state folder are found from here. */
export const PACKAGE_ROOT = path.resolve(import.meta.dirname, "../..");

const TESTNET_NETUID = 247;

export const CONFIG_FLAGS: readonly Flag[] = flagsOf(configSchema);

const CONFIG_FILE_FLAG: Flag = {
  name: "config",
  alias: undefined,
  env: "SYNTH_CONFIG",
  secret: false,
  path: ["config"],
  kind: "string",
  nullable: false,
  repeatable: false,
  description: "JSON file with settings that differ from config/default.json",
  choices: undefined,
};

export const GENERAL_FLAGS: readonly Flag[] = [CONFIG_FILE_FLAG];

export interface LoadRequest {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly options: z.ZodObject;
  readonly positionals: readonly string[];
  /** Configuration files of the command itself, laid over default.json. */
  readonly configFiles: readonly string[];
  /** Problems between a command's own options. */
  readonly check?: (asked: { options: Record<string, unknown>; positionals: readonly string[] }) => readonly string[];
}

export interface Loaded {
  readonly config: Config;
  readonly configFiles: readonly string[];
  readonly options: Record<string, unknown>;
  readonly positionals: readonly string[];
}

type Tree = Record<string, unknown>;

/**
 * Settings from, in rising order: config/default.json, config/testnet.json (when the netuid is 247), the command's own
 * file, `--config FILE`, the environment (`.env` in the working directory included), flags.
 * @throws UsageError that lists every problem of all of them at once.
 */
export function loadConfig(request: LoadRequest): Loaded {
  const problems: string[] = [];
  const optionFlags = optionFlagsOf(request.options);
  const parsed = parseArguments(request.args, [...optionFlags, ...GENERAL_FLAGS, ...CONFIG_FLAGS]);
  problems.push(...parsed.problems, ...positionalProblems(parsed.positionals, request.positionals));

  const optionTree: Tree = {};
  const flagTree: Tree = {};
  for (const { flag, text } of parsed.values) {
    assign(optionFlags.includes(flag) ? optionTree : flagTree, { flag, text, problems, spelling: `--${flag.name}` });
  }
  const env = { ...readEnvFile(path.join(request.cwd, ".env"), problems), ...withoutUndefined(request.env) };
  const envTree: Tree = {};
  for (const flag of [...CONFIG_FLAGS, ...GENERAL_FLAGS]) {
    const text = flag.env === undefined ? undefined : env[flag.env];
    if (text) assign(envTree, { flag, text, problems, spelling: flag.env! });
  }

  const files = ["config/default.json", ...request.configFiles].map((file) => path.join(PACKAGE_ROOT, file));
  const extra = flagTree["config"] ?? envTree["config"];
  if (typeof extra === "string") files.push(path.resolve(request.cwd, extra));
  delete flagTree["config"];
  delete envTree["config"];
  let trees = files.map((file) => readConfigFile(file, problems));
  if (mergeAll([...trees, envTree, flagTree])["netuid"] === TESTNET_NETUID) {
    const testnet = path.join(PACKAGE_ROOT, "config/testnet.json");
    files.splice(1, 0, testnet);
    trees = files.map((file) => readConfigFile(file, []));
  }
  const origins: Origin[] = [
    ...files.map((file, index) => ({ name: file, tree: trees[index]!, flags: false })),
    { name: "environment", tree: envTree, flags: true },
    { name: "flags", tree: flagTree, flags: true },
  ];
  const config = configSchema.safeParse(mergeAll(origins.map((origin) => origin.tree)));
  if (!config.success) problems.push(...config.error.issues.flatMap((issue) => describeIssue(issue, origins)));
  const options = z.strictObject(request.options.shape).safeParse(optionTree);
  if (!options.success)
    problems.push(...options.error.issues.map((issue) => describeOption(issue, optionFlags, optionTree)));
  if (options.success && request.check) {
    problems.push(...request.check({ options: options.data, positionals: parsed.positionals }));
  }
  if (problems.length > 0 || !config.success || !options.success) throw new UsageError([...new Set(problems)]);
  return {
    config: deepFreeze(config.data),
    configFiles: files,
    options: options.data,
    positionals: parsed.positionals,
  };
}

interface Origin {
  readonly name: string;
  readonly tree: Tree;
  /** True where the value was spelt as a flag or an environment variable. */
  readonly flags: boolean;
}

function positionalProblems(found: readonly string[], wanted: readonly string[]): string[] {
  const many = wanted.some((name) => name.endsWith("*"));
  const required = wanted.filter((name) => !/[?*]$/.test(name));
  if (found.length < required.length) {
    return required.slice(found.length).map((name) => `${name}: expected this argument, found nothing`);
  }
  return many ? [] : found.slice(wanted.length).map((text) => `"${text}": unexpected argument (see --help)`);
}

function assign(tree: Tree, entry: { flag: Flag; text: string; problems: string[]; spelling: string }): void {
  const { flag, text, problems, spelling } = entry;
  const parsed = parseFlagText(flag, text);
  if (!parsed.ok) {
    problems.push(`${spelling}: expected ${parsed.expected}, found ${show(flag, text) ?? "nothing"}`);
    return;
  }
  const before = flag.repeatable ? getPath(tree, flag.path) : undefined;
  const values = Array.isArray(before) ? (before as unknown[]) : [];
  setPath(tree, flag.path, flag.repeatable ? [...values, parsed.value] : parsed.value);
}

function show(flag: Flag | undefined, value: unknown): string | undefined {
  return flag?.secret ? "a value that is not shown" : JSON.stringify(value);
}

function describeIssue(issue: z.core.$ZodIssue, origins: readonly Origin[]): string[] {
  const keys = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const origin = [...origins].reverse().find(({ tree }) => getPath(tree, [...keys, key]) !== undefined);
      return `${[...keys, key].join(".")}: unknown key in ${origin?.name ?? "the configuration"}`;
    });
  }
  const flag = CONFIG_FLAGS.find((candidate) => candidate.path.join(".") === keys.join("."));
  const origin = [...origins].reverse().find(({ tree }) => getPath(tree, keys) !== undefined);
  const value = origin ? getPath(origin.tree, keys) : undefined;
  let spelling = `${keys.join(".")} in ${origin?.name ?? "the configuration"}`;
  if (origin?.flags && flag) spelling = origin.name === "flags" ? `--${flag.name}` : (flag.env ?? keys.join("."));
  return [`${spelling}: ${expectation(issue, flag)}, found ${show(flag, value) ?? "nothing"}`];
}

function describeOption(issue: z.core.$ZodIssue, flags: readonly Flag[], tree: Tree): string {
  const flag = flags.find((candidate) => candidate.path[0] === issue.path[0]);
  const own = flag && getPath(tree, flag.path);
  // Of a list, the entry that is wrong.
  const found = Array.isArray(own) && typeof issue.path[1] === "number" ? (own[issue.path[1]] as unknown) : own;
  return `--${flag?.name ?? issue.path.join(".")}: ${expectation(issue, flag)}, found ${show(flag, found) ?? "nothing"}`;
}

function expectation(issue: z.core.$ZodIssue, flag: Flag | undefined): string {
  if (flag?.choices) return `expected ${expectedOf(flag)}`;
  const text = issue.message.replace(/^(Invalid input|Too (big|small)): /, "");
  return text.startsWith("expected") ? text : `expected ${text}`;
}

function readConfigFile(file: string, problems: string[]): Tree {
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Tree;
    problems.push(`${file}: expected a JSON object`);
  } catch (error) {
    problems.push(`${file}: expected a readable JSON file (${describeError(error)})`);
  }
  return {};
}

function readEnvFile(file: string, problems: string[]): Record<string, string> {
  try {
    return withoutUndefined(parseEnv(readFileSync(file, "utf8")));
  } catch (error) {
    if (!isErrno(error, "ENOENT")) problems.push(`${file}: expected a readable file (${describeError(error)})`);
    return {};
  }
}

function withoutUndefined(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Later trees win, key by key. */
function mergeAll(trees: readonly Tree[]): Tree {
  const merged: Tree = {};
  for (const tree of trees) {
    for (const [key, value] of Object.entries(tree)) {
      const before = Object.hasOwn(merged, key) ? merged[key] : undefined;
      const next = isTree(value) ? mergeAll([isTree(before) ? before : {}, value]) : value;
      Object.defineProperty(merged, key, { value: next, enumerable: true, writable: true, configurable: true });
    }
  }
  return merged;
}

function setPath(tree: Tree, keys: readonly string[], value: unknown): void {
  const [head, ...rest] = keys;
  if (head === undefined) return;
  if (rest.length === 0) {
    tree[head] = value;
    return;
  }
  const child = isTree(tree[head]) ? tree[head] : {};
  tree[head] = child;
  setPath(child, rest, value);
}

function getPath(tree: Tree, keys: readonly string[]): unknown {
  return keys.reduce<unknown>((node, key) => (isTree(node) && Object.hasOwn(node, key) ? node[key] : undefined), tree);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const child of Object.values(value)) deepFreeze(child);
    Object.freeze(value);
  }
  return value;
}
