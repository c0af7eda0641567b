/** Branded scalars: the numbers that get mixed up across rooms. Kernels use plain numbers and typed arrays. */

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

export type UnixSeconds = Brand<number, "UnixSeconds">;
export type UnixMillis = Brand<number, "UnixMillis">;
/** Nanoseconds exceed 2^53, hence bigint. */
export type UnixNanos = Brand<bigint, "UnixNanos">;
/** An ss58 address of a Bittensor hotkey (prefix 42). */
export type Hotkey = Brand<string, "Hotkey">;

export const SECONDS_PER_MINUTE = 60;
export const SECONDS_PER_HOUR = 3600;
export const SECONDS_PER_DAY = 86_400;

export function unixSeconds(value: number): UnixSeconds {
  return value as UnixSeconds;
}

export function unixMillis(value: number): UnixMillis {
  return value as UnixMillis;
}

export function unixNanos(value: bigint): UnixNanos {
  return value as UnixNanos;
}

export function hotkey(value: string): Hotkey {
  return value as Hotkey;
}

/** Whole seconds at or before `ms`. */
export function millisToSeconds(ms: UnixMillis): UnixSeconds {
  return unixSeconds(Math.floor(ms / 1000));
}

export function secondsToMillis(seconds: UnixSeconds): UnixMillis {
  return unixMillis(seconds * 1000);
}

export function millisToNanos(ms: UnixMillis): UnixNanos {
  return unixNanos(BigInt(Math.floor(ms)) * 1_000_000n);
}
