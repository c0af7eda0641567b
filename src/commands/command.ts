import type { z } from "zod";
import type { Config } from "../config/schema.ts";
import type { Logger } from "../log.ts";

export interface CommandContext<Options> {
  readonly config: Config;
  /** Where each setting's files came from, for logs: the configuration files that were merged, in order. */
  readonly configFiles: readonly string[];
  readonly options: Options;
  readonly positionals: readonly string[];
  readonly logger: Logger;
  /** Aborted by SIGTERM or SIGINT: settle within ten seconds. */
  readonly signal: AbortSignal;
  /** Results go here (stdout); logs go to stderr. */
  readonly print: (text: string) => void;
}

/**
 * One word after the program's name. `options` are its own flags (`oneShot` → `--one-shot`), described by `.describe`;
 * every setting of the configuration is a flag of every command, help shows those under `sections`.
 */
export interface Command<Options extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  readonly summary: string;
  readonly usage: string;
  readonly options: Options;
  /** Names of positional arguments; a trailing `?` marks an optional one, `*` any number. */
  readonly positionals: readonly string[];
  /** First path segments of the configuration that help lists. */
  readonly sections: readonly string[];
  /** Configuration files laid over default.json for this command, before --config. */
  readonly configFiles?: readonly string[];
  /** Being stopped is its regular end (exit code 0), and a terminal that closes is none; other commands exit 130 at both. */
  readonly isDaemon?: boolean;
  /** Problems between options that their schemas cannot see, said together with all others. */
  readonly check?: (asked: { options: z.infer<Options>; positionals: readonly string[] }) => readonly string[];
  /** Returns the exit code. */
  run(context: CommandContext<z.infer<Options>>): Promise<number>;
}

/** Keeps the option types of one command while it is defined, then forgets them. */
export function defineCommand<Options extends z.ZodObject>(command: Command<Options>): Command {
  return command;
}
