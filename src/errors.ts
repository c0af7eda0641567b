/**
 * An operating failure: the world did not do what was asked (a host is down, a file is corrupt). Thrown, carries a
 * stable `code` for tests and counters, `details` for logs, and the `cause`. Rejected *input* is a returned value
 * instead, and our own bugs are assertions.
 */
export class OperationalError extends Error {
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, options: { details?: Record<string, unknown>; cause?: unknown } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "OperationalError";
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** Everything that is wrong with the command line, environment and configuration files, at once. Exit code 2. */
export class UsageError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "UsageError";
    this.problems = problems;
  }
}

/** The problems that `work` throws as a UsageError. */
export function problemsOf(work: () => unknown): readonly string[] {
  try {
    work();
  } catch (error) {
    if (error instanceof UsageError) return error.problems;
    throw error;
  }
  return [];
}

/** Exit codes of every command; 130 is 128 + SIGINT, as shells have it. pm2 must not restart on USAGE or NOT_REGISTERED (see ecosystem.config.js). */
export const EXIT = { OK: 0, FAILURE: 1, USAGE: 2, NOT_REGISTERED: 3, INTERRUPTED: 130 } as const;

/** A one-line description that never contains a stack. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error && typeof error.code === "string" ? `${error.code}: ` : "";
  const text = error.message.startsWith(code) ? error.message : code + error.message;
  return error.cause === undefined ? text : `${text} (cause: ${describeError(error.cause)})`;
}

export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
