import { OperationalError } from "../errors.ts";

/** `work`, or OperationalError CHAIN_TIMEOUT after `limitMs`; what then becomes of `work` is nobody's concern. */
export async function withTimeout<T>(work: Promise<T>, limit: { limitMs: number; what: string }): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new OperationalError("CHAIN_TIMEOUT", `${limit.what}: no answer within ${limit.limitMs / 1000} s`));
  }, limit.limitMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
