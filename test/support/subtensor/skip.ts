import { existsSync } from "node:fs";
import path from "node:path";

/** The finney metadata of spec 424, outside the repository; tests that need it skip where it is absent. */
export const METADATA_FILE = path.resolve(
  import.meta.dirname,
  "../../../../shared/chain/subtensor-metadata-v16-spec424-finney.scale",
);

/** For node:test's `skip`: false where the double can run. */
export const subtensorDoubleSkip: string | false = existsSync(METADATA_FILE)
  ? false
  : `needs the chain's metadata, and ${METADATA_FILE} is absent`;
