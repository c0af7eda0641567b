import tseslint from "typescript-eslint";

/** Rooms that must stay pure: no clock, no randomness, no environment of their own (architecture). */
const PURE_ROOMS = [
  "src/bittensor/**",
  "src/engines/**",
  "src/market/**",
  "src/math/**",
  "src/scoring/**",
  "src/volatility/**",
  "src/subnets/**",
];

export default tseslint.config(
  { ignores: ["node_modules/", "state/", "models/", ".venv/", ".venv-train/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ["*.js"] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      eqeqeq: "error",
      "max-lines": ["error", { max: 400, skipBlankLines: true, skipComments: true }],
      "max-lines-per-function": ["error", { max: 70, skipBlankLines: true, skipComments: true }],
      "max-params": ["error", 4],
      "no-console": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/no-unnecessary-condition": ["error", { allowConstantLoopConditions: true }],
      // Numeric kernels index typed arrays inside checked bounds; `!` there is the cheapest honest spelling.
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
  {
    files: PURE_ROOMS,
    rules: {
      "no-restricted-properties": [
        "error",
        { object: "Date", property: "now", message: "Inject a Clock." },
        { object: "Math", property: "random", message: "Inject a seeded generator." },
        { object: "process", property: "env", message: "Read configuration through src/config." },
      ],
    },
  },
  {
    files: ["test/**"],
    rules: {
      "max-lines-per-function": "off",
      // node:test's describe/it return promises that the runner itself awaits.
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [
            { from: "package", name: ["describe", "it", "test", "suite"], package: "node:test" },
          ],
        },
      ],
    },
  },
  { files: ["**/*.js"], extends: [tseslint.configs.disableTypeChecked] },
);
