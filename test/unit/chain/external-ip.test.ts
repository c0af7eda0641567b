import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import { detectExternalIp } from "../../../src/chain/external-ip.ts";
import { isPublicIp, normaliseIp } from "../../../src/chain/ip-address.ts";
import { OperationalError } from "../../../src/errors.ts";

/** A service on this machine; a text is its answer. */
async function service(test: TestContext, answer: string | RequestListener): Promise<string> {
  const listener: RequestListener = typeof answer === "string" ? (_, response) => response.end(answer) : answer;
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/ip`;
}

async function detect(test: TestContext, ...answers: readonly (string | RequestListener)[]): Promise<string> {
  const services = await Promise.all(answers.map((answer) => service(test, answer)));
  return detectExternalIp({ services, family: null, timeoutMs: 2000 });
}

async function refusal(found: Promise<string>): Promise<string> {
  const error: unknown = await found.then(
    (ip) => assert.fail(`detected ${ip}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof OperationalError && error.code === "EXTERNAL_IP", String(error));
  assert.match(error.message, /--axon\.external_ip/);
  return error.message;
}

describe("the external address", () => {
  it("is what two services agree on, however a third fails or disagrees", async (test) => {
    assert.equal(await detect(test, "8.8.8.8\n", " 8.8.8.8"), "8.8.8.8");
    assert.equal(await detect(test, "8.8.8.8", "9.9.9.9", "8.8.8.8"), "8.8.8.8");
    assert.equal(await detect(test, "<html>8.8.8.8</html>", "8.8.8.8", "8.8.8.8"), "8.8.8.8");
    assert.equal(await detect(test, "2606:4700:4700:0::1111", "2606:4700:4700::1111"), "2606:4700:4700::1111");
    assert.equal(await detect(test, "::ffff:8.8.8.8", "8.8.8.8"), "8.8.8.8", "one address in two spellings");
  });

  it("of a machine with both kinds is the IPv4 one, unless IPv6 alone is of use", async (test) => {
    const answers = ["2606:4700::1", "2606:4700::1", "8.8.8.8", "8.8.8.8"];
    const services = await Promise.all(answers.map((answer) => service(test, answer)));
    assert.equal(await detectExternalIp({ services, family: null }), "8.8.8.8");
    assert.equal(await detectExternalIp({ services, family: 4 }), "8.8.8.8");
    // What the first two agree on is no use to an axon that listens on IPv4.
    await refusal(detectExternalIp({ services: services.slice(0, 2), family: 4 }));
  });

  it("is refused where no two agree; the error shows what each one said", async (test) => {
    const said = await refusal(detect(test, "8.8.8.8", "9.9.9.9", "<html><body>blocked</body></html>", "10.0.0.1"));
    for (const text of ["8.8.8.8", "9.9.9.9", 'not an address: "<html>', "10.0.0.1, which is not a public"]) {
      assert.ok(said.includes(text), `${text} in ${said}`);
    }
    await refusal(detect(test, "8.8.8.8"));
    await refusal(detect(test, "8.8.8.8", "8.8.8.8", "9.9.9.9", "9.9.9.9"));
    const sixToo = ["8.8.8.8", "8.8.8.8", "9.9.9.9", "9.9.9.9", "2606:4700::1", "2606:4700::1"];
    await refusal(detect(test, ...sixToo));
    await refusal(detectExternalIp({ services: [], family: null }));
  });

  it("is not what one host says twice", async (test) => {
    const url = await service(test, "8.8.8.8");
    await refusal(detectExternalIp({ services: [url, `${url}?again`, url.replace("/ip", "/")], family: null }));
  });

  it("is never a private, reserved or documentation address, whoever agrees", async (test) => {
    for (const ip of [
      "192.168.1.5",
      "100.64.0.1",
      "127.0.0.1",
      "0.0.0.0",
      "203.0.113.7",
      "fe80::1",
      "fd00::1",
      "::1",
    ]) {
      const said = await refusal(detect(test, ip, ip, ip));
      assert.match(said, /not a public address/, ip);
    }
  });

  it("is not read from errors, redirects, long pages or several addresses", async (test) => {
    const target = await service(test, "8.8.8.8");
    const cases: Record<string, RequestListener> = {
      "HTTP 500": (_, response) => response.writeHead(500).end("8.8.8.8"),
      "HTTP 302": (_, response) => response.writeHead(302, { location: target }).end("8.8.8.8"),
      "more than 1024 bytes": (_, response) => response.end(`8.8.8.8${" ".repeat(2000)}`),
      "connection failed": (request) => request.socket.destroy(),
      'not an address: "8.8.8.8, 8.8.8.8"': (_, response) => response.end("8.8.8.8, 8.8.8.8"),
      'not an address: ""': (_, response) => response.end(),
      'not an address: "08.8.8.8"': (_, response) => response.end("08.8.8.8"),
    };
    for (const [expected, listener] of Object.entries(cases)) {
      const said = await refusal(detect(test, listener, listener));
      assert.ok(said.includes(expected), `${expected} in ${said}`);
    }
  });

  it("a body without end is cut off", async (test) => {
    const endless: RequestListener = (_, response) => {
      const write = (): void => {
        while (!response.destroyed && response.write("8".repeat(4096)));
        if (!response.destroyed) response.once("drain", write);
      };
      write();
    };
    assert.match(await refusal(detect(test, endless, endless)), /more than 1024 bytes/);
  });

  it("silent and trickling services cost the timeout and no more", async (test) => {
    const silent: RequestListener = () => undefined;
    const trickling: RequestListener = (_, response) => {
      response.write("8.8.");
    };
    const services = [await service(test, silent), await service(test, trickling), await service(test, "8.8.8.8")];
    const said = await refusal(detectExternalIp({ services, family: null, timeoutMs: 100 }));
    assert.equal(said.match(/no answer within 100 ms/g)?.length, 2);
    services.push(await service(test, "8.8.8.8"));
    assert.equal(await detectExternalIp({ services, family: null, timeoutMs: 100 }), "8.8.8.8");
  });

  it("all are asked at the same time, and an abort ends it", async (test) => {
    const asked: (() => void)[] = [];
    const stopping = new AbortController();
    const together: RequestListener = (_, response) => {
      asked.push(() => response.end("8.8.8.8"));
      if (asked.length === 3) for (const answer of asked) answer();
    };
    assert.equal(await detect(test, together, together, together), "8.8.8.8");
    const hanging: RequestListener = () => {
      stopping.abort(new Error("stopped"));
    };
    const services = [await service(test, hanging), await service(test, "8.8.8.8")];
    const found = detectExternalIp({ services, family: null, signal: stopping.signal });
    await assert.rejects(found, { message: "stopped" });
  });

  it("goes past a proxy of the environment", async (test) => {
    const proxy = await service(test, "9.9.9.9");
    const before = process.env["http_proxy"];
    process.env["http_proxy"] = new URL(proxy).origin;
    try {
      assert.equal(await detect(test, "8.8.8.8", "8.8.8.8"), "8.8.8.8");
    } finally {
      if (before === undefined) delete process.env["http_proxy"];
      else process.env["http_proxy"] = before;
    }
  });
});

describe("addresses", () => {
  // Edges of the blocks in IANA's registries of special-purpose addresses.
  const special = [
    ...["0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1", "169.254.169.254"],
    ...["172.16.0.0", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.168.255.255", "198.18.0.0", "198.19.255.255"],
    ...["198.51.100.1", "203.0.113.255", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"],
    ...["::", "::1", "::ffff:10.0.0.1", "64:ff9b::808:808", "100::1", "2001::1", "2001:db8::1", "2002:808:808::1"],
    ...["3fff::1", "5f00::1", "fc00::1", "fdff::1", "fe80::1%eth0", "ff02::1"],
  ];
  const common = [
    ...["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0"],
    ...["192.0.1.0", "192.167.255.255", "198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:8.8.8.8"],
    ...["2001:200::1", "2606:4700::1111", "2a01:4f8::1", "2003::1"],
  ];

  it("are public or not, at the edges of every special block", () => {
    for (const ip of special) assert.equal(isPublicIp(ip), false, ip);
    for (const ip of common) assert.equal(isPublicIp(ip), true, ip);
  });

  it("no text makes the check throw, and only addresses are public", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.ipV4Extended()), (text) => {
        if (isPublicIp(text)) assert.ok(normaliseIp(text) !== undefined);
      }),
    );
  });
});
