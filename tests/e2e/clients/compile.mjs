// SPDX-License-Identifier: Apache-2.0
// Compiles Counter.sol into Counter.json with the compiler of genesis/; needed only when Counter.sol changes.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const at = (name) => fileURLToPath(new URL(name, import.meta.url));
const solc = createRequire(at("../../../genesis/package.json"))("solc");
const input = {
  language: "Solidity",
  sources: { "Counter.sol": { content: readFileSync(at("Counter.sol"), "utf8") } },
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "prague",
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
if (output.errors) throw new Error(output.errors.map((e) => e.formattedMessage).join("\n"));
const { abi, evm } = output.contracts["Counter.sol"].Counter;
writeFileSync(at("Counter.json"), `${JSON.stringify({ abi, bytecode: `0x${evm.bytecode.object}` }, null, 1)}\n`);
