// SPDX-License-Identifier: Apache-2.0
// Arguments, checks and the artifacts that all client tests share.
import { readFileSync } from "node:fs";
import { isDeepStrictEqual, parseArgs } from "node:util";

/// The first account of the usual development mnemonic.
const devKey = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

export const options = parseArgs({
  options: {
    http: { type: "string", default: process.env.TRAINYARD_HTTP ?? "http://127.0.0.1:8545" },
    ws: { type: "string", default: process.env.TRAINYARD_WS ?? "ws://127.0.0.1:8546" },
    key: { type: "string", default: process.env.TRAINYARD_KEY ?? devKey },
    spec: { type: "string" },
    chain: { type: "string" },
    timeout: { type: "string", default: "240" },
  },
}).values;

export const readJson = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
export const counter = readJson("./Counter.json");
export const artifact = (name) => readJson(`../../../genesis/artifacts/${name}.json`);
export const addresses = {
  staking: "0x0000000000000000000000000000000000000b01",
  registry: "0x0000000000000000000000000000000000000b02",
  market: "0x0000000000000000000000000000000000000b03",
  models: "0x0000000000000000000000000000000000000b04",
  multicall3: "0xcA11bde05977b3631167028862bE2a173976CA11",
  deployer: "0x4e59b44847b379578588920cA78FbF26c0B4956C",
};

let checks = 0;

export function ok(what) {
  checks++;
  console.log(`ok ${checks} ${what}`);
}

export function equal(found, expected, what) {
  const text = (v) => JSON.stringify(v, (_, x) => (typeof x === "bigint" ? `${x}n` : x));
  if (!isDeepStrictEqual(found, expected)) throw new Error(`${what}: expected ${text(expected)}, found ${text(found)}`);
  ok(what);
}

export function isTrue(condition, what) {
  if (!condition) throw new Error(`${what}: it is not so`);
  ok(what);
}

export function within(promise, seconds, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/// Polls `ask` until it gives something truthy.
export async function eventually(ask, seconds, what) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await ask();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/// Runs a test program: exit code 0 and a count, or 1 and the reason.
export async function run(name, test) {
  try {
    await within(test(), Number(options.timeout), name);
    console.log(`${name}: ${checks} checks passed`);
    process.exit(0);
  } catch (error) {
    console.error(`not ok ${checks + 1} ${name}: ${error?.stack ?? error}`);
    process.exit(1);
  }
}
