import { ownOrClass, type HorizonCalibration } from "../../engines/ewma/calibration.ts";
import { pricePlan } from "../calibrate/fit-plan.ts";
import { CALENDAR_FEATURES, SEQUENCE_BARS, SEQUENCE_CHANNELS } from "../../engines/patchtst/features.ts";
import type { LgbmRow, TrainingRow } from "./training-set.ts";

export const TRAINING_FILE_SCHEMA = 1;

/** One array of the binary file: little-endian, row-major, at `offset` bytes. */
interface ArrayEntry {
  readonly name: string;
  readonly dtype: "float32" | "float64";
  readonly shape: readonly number[];
  readonly offset: number;
}

export interface TrainingFile {
  /** JSON beside the binary file. */
  readonly header: object;
  readonly content: Buffer;
}

export interface TrainingFacts {
  readonly model: string;
  readonly codeVersion: string;
  /** Of the calibration that the base sigmas come from. */
  readonly calibration: { readonly sha256: string; readonly window: { readonly from: string; readonly to: string } };
  readonly horizonSeconds: number;
  readonly seed: number;
  /** Of boosters: names of the columns of `features`, and the leads to answer for. */
  readonly featureNames?: readonly string[];
  readonly leadSeconds?: readonly number[];
}

/** A column of the file: name, shape of a row's values (none: a number), and the values of a row. */
type InputColumn<Row> = readonly [string, readonly number[], (row: Row) => ArrayLike<number>];

const NETWORK_COLUMNS: readonly InputColumn<TrainingRow>[] = [
  ["calendar", [CALENDAR_FEATURES], (row) => row.calendar],
  ["sequence", [SEQUENCE_BARS, SEQUENCE_CHANNELS], (row) => row.sequence],
];

/** What a network trains on, see `fileOf`. */
export function trainingFile(
  rows: readonly TrainingRow[],
  horizon: HorizonCalibration,
  facts: TrainingFacts,
): TrainingFile {
  return fileOf(rows, NETWORK_COLUMNS, horizon, facts);
}

/** What boosters train on, see `fileOf`. */
export function lgbmFile(rows: readonly LgbmRow[], horizon: HorizonCalibration, facts: TrainingFacts): TrainingFile {
  return fileOf(rows, [], horizon, facts);
}

/**
 * Rows as columns, and the closed-form loss of the calibration's law: scored blocks with weights, how the variance ratio of
 * their length follows from those of the calibration, and the CRPS of a standardised block return at |observation| = node / 100 (see shape-table.ts).
 */
function fileOf<Row extends LgbmRow>(
  rows: readonly Row[],
  inputs: readonly InputColumn<Row>[],
  horizon: HorizonCalibration,
  facts: TrainingFacts,
): TrainingFile {
  const { stepSeconds, halfLifeSeconds, knotSeconds, nu, latent } = horizon;
  const assets = [...new Set(rows.map(({ asset }) => asset))];
  const steps = facts.horizonSeconds / stepSeconds;
  const features = facts.featureNames?.length ?? halfLifeSeconds.length;
  const ratioSeconds = ratioSecondsOf(horizon);
  const plan = pricePlan(
    { horizonSeconds: facts.horizonSeconds, stepSeconds },
    { knotSeconds, ratioSeconds, shape: { nu, latent }, seed: facts.seed },
  );
  const nodes = plan.groups[0]!.table.values.length;
  const column = (width: number, values: (row: Row) => ArrayLike<number>): Float32Array => {
    const joined = new Float32Array(rows.length * width);
    rows.forEach((row, i) => {
      joined.set(values(row), i * width);
    });
    return joined;
  };
  const packed = pack([
    ["asset", [rows.length], Float32Array.from(rows, ({ asset }) => assets.indexOf(asset))],
    ["start", [rows.length], Float64Array.from(rows, ({ start }) => start)],
    ["baseLogSigma", [rows.length, steps], column(steps, (row) => row.baseLogSigma)],
    ["zeroShare", [rows.length], Float32Array.from(rows, ({ zeroShare }) => zeroShare)],
    ["features", [rows.length, features], column(features, (row) => row.features)],
    ...inputs.map(([name, shape, values]) => {
      const width = shape.reduce((product, size) => product * size, 1);
      return [name, [rows.length, ...shape], column(width, values)] satisfies [string, number[], Float32Array];
    }),
    ["logPrices", [rows.length, steps + 1], column(steps + 1, (row) => row.logPrices)],
    ...plan.groups.map(
      (group) => [`crps${group.steps}`, [nodes], group.table.values] satisfies [string, number[], Float64Array],
    ),
  ]);
  const header = {
    schema: TRAINING_FILE_SCHEMA,
    ...facts,
    stepSeconds,
    halfLifeSeconds,
    knotSeconds,
    ratioSeconds,
    nu,
    latent,
    assets,
    varianceRatios: assets.map((asset) => ownOrClass(horizon, asset)!.value.varianceRatios.map(({ ratio }) => ratio)),
    blocks: plan.groups.map((group) => ({
      steps: group.steps,
      firstSteps: [...group.firstSteps],
      weights: [...group.weights],
      ratioWeights: [...group.ratioWeights],
    })),
    arrays: packed.entries,
  };
  return { header, content: packed.content };
}

/** The nested lengths at which every asset of the calibration has a variance ratio. */
function ratioSecondsOf({ assets, classes }: HorizonCalibration): number[] {
  const [first, ...others] = [...Object.values(assets), ...Object.values(classes)].map(({ varianceRatios }) =>
    varianceRatios.map(({ seconds }) => seconds),
  );
  if (first === undefined || others.some((own) => own.join() !== first.join())) {
    throw new RangeError("expected a calibration whose assets have variance ratios at the same lengths");
  }
  return first;
}

function pack(columns: readonly (readonly [string, readonly number[], Float32Array | Float64Array])[]): {
  readonly entries: readonly ArrayEntry[];
  readonly content: Buffer;
} {
  const entries: ArrayEntry[] = [];
  let offset = 0;
  for (const [name, shape, values] of columns) {
    const dtype = values instanceof Float64Array ? "float64" : "float32";
    // Readers map arrays in place: at multiples of eight bytes.
    offset = Math.ceil(offset / 8) * 8;
    entries.push({ name, dtype, shape, offset });
    offset += values.byteLength;
  }
  const content = Buffer.alloc(offset);
  columns.forEach(([, , values], i) => {
    content.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), entries[i]!.offset);
  });
  return { entries, content };
}
