/** Room to rank the paths of one block; `order` holds the paths in ascending order of their values afterwards. */
export interface Ranking {
  readonly order: Uint32Array;
  readonly buckets: Uint32Array;
  readonly bucketEnds: Uint32Array;
}

export function createRanking(size: number): Ranking {
  return { order: new Uint32Array(size), buckets: new Uint32Array(size), bucketEnds: new Uint32Array(size + 1) };
}

/** Above this mean number of bucket mates, ties at zero left out, the insertion sort would lose to the library's. */
const MAX_MEAN_BUCKET_MATES = 32;

/**
 * Orders the paths by value. `scale` is about the values' standard deviation: one bucket per path over the distribution
 * function of t(2) at that scale, in which returns are almost evenly spread, then an insertion sort of what is almost in
 * order. Values that crowd in few buckets get the library's sort.
 *
 * Ties follow the path numbers from `first` on, cyclically: callers vary it, so that no path always gets a tie's low end.
 */
export function rankPaths(ranking: Ranking, values: Float64Array, choice: { scale: number; first: number }): void {
  const { order, buckets, bucketEnds } = ranking;
  const size = values.length;
  const { scale, first } = choice;
  const width = 2 * scale * scale;
  bucketEnds.fill(0);
  let zeros = 0;
  for (let path = 0; path < size; path++) {
    const x = values[path]!;
    if (x === 0) zeros++;
    const bucket = Math.min(((0.5 + (0.5 * x) / Math.sqrt(width + x * x)) * size) | 0, size - 1);
    buckets[path] = bucket;
    bucketEnds[bucket]!++;
  }
  let end = 0;
  let bucketMates = -zeros * zeros;
  for (let bucket = 0; bucket < size; bucket++) {
    const count = bucketEnds[bucket]!;
    bucketMates += count * count;
    bucketEnds[bucket] = end;
    end += count;
  }
  for (let path = first; path < size; path++) order[bucketEnds[buckets[path]!]!++] = path;
  for (let path = 0; path < first; path++) order[bucketEnds[buckets[path]!]!++] = path;
  if (bucketMates > MAX_MEAN_BUCKET_MATES * size) {
    order.sort((a, b) => values[a]! - values[b]! || ((a - first + size) % size) - ((b - first + size) % size));
  } else insertionSort(order, values);
}

function insertionSort(order: Uint32Array, values: Float64Array): void {
  for (let i = 1; i < order.length; i++) {
    const path = order[i]!;
    const value = values[path]!;
    let j = i - 1;
    while (j >= 0 && values[order[j]!]! > value) {
      order[j + 1] = order[j]!;
      j--;
    }
    order[j + 1] = path;
  }
}
