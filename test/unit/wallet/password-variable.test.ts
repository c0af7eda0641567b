import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  exportableVariable,
  isExportable,
  obscurePassword,
  passwordVariable,
  passwordVariables,
  revealPassword,
} from "../../../src/wallet/password-variable.ts";

interface Vectors {
  readonly variables: readonly { path: string; password: string; name: string; value: string }[];
}
const vectors = JSON.parse(
  readFileSync(path.join(import.meta.dirname, "../../vectors/wallet_encryption.json"), "utf8"),
) as Vectors;

describe("the password variable of bittensor_wallet", () => {
  for (const vector of vectors.variables) {
    it(`${vector.name}, ${vector.password.slice(0, 8)}`, () => {
      assert.equal(passwordVariable(vector.path), vector.name);
      assert.equal(obscurePassword(Buffer.from(vector.password), vector.name), vector.value);
      const revealed = revealPassword(vector.value, vector.name);
      assert.equal(Buffer.from(revealed!).toString(), vector.password);
    });
  }
});

describe("password variables", () => {
  it("what is obscured is revealed again, and never the password itself", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.string({ minLength: 1 }), (password, file) => {
        const name = passwordVariable(file);
        const value = obscurePassword(password, name);
        assert.deepEqual(revealPassword(`${value}\n`, name), password);
        assert.notEqual(value, Buffer.from(password).toString("base64"));
      }),
    );
  });

  it("no text makes it throw; only base64 is a value", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const revealed = revealPassword(text, "BT_PW_X");
        const isBase64 = Buffer.from(text.trim(), "base64").toString("base64") === text.trim() && text.trim() !== "";
        // Strict beyond Node: bits that no byte uses may be set, as other encoders leave them.
        if (isBase64) assert.ok(revealed !== undefined);
        if (revealed === undefined) assert.ok(!isBase64);
      }),
    );
    for (const text of ["", " ", "a", "ab=", "a b=", "test-password", "====", "YWJj\nYWJj"]) {
      assert.equal(revealPassword(text, "BT_PW_X"), undefined, text);
    }
  });

  it("names the absolute path first, then every path as given, and what a shell can export", () => {
    assert.deepEqual(passwordVariables(["/w/n/hotkeys/h-1", "/w/./n/hotkeys/h-1", "~/n/hotkeys/h"]), [
      "BT_PW__W_N_HOTKEYS_H-1",
      "BT_PW__W_N_HOTKEYS_H_1",
      "BT_PW__W___N_HOTKEYS_H-1",
      "BT_PW__W___N_HOTKEYS_H_1",
      "BT_PW_~_N_HOTKEYS_H",
      "BT_PW___N_HOTKEYS_H",
    ]);
    assert.equal(passwordVariables(["n/h"])[0], passwordVariable(path.resolve("n/h")));
    fc.assert(fc.property(fc.string(), (file) => isExportable(exportableVariable(file))));
    assert.ok(!isExportable("BT_PW_H-1") && !isExportable("1A") && isExportable("BT_PW__H"));
  });
});
