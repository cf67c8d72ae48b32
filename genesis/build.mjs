// SPDX-License-Identifier: Apache-2.0
// Compiles the system contracts into artifacts/, or says with --check whether the committed ones are current.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const home = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const contracts = ["Beacon", "Staking", "ProviderRegistry", "ComputeMarket", "ModelRegistry", "AuditRules", "market/MarketAudits", "market/MarketDisputes", "Multicall", "Create2Deployer"];
const settings = {
  optimizer: { enabled: true, runs: 200 },
  viaIR: true,
  evmVersion: "prague",
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  debug: { revertStrings: "default" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};
const codeBytesMax = 24576; // EIP-170

const sha256 = (data) => createHash("sha256").update(data).digest("hex");

function solidityFiles(folder) {
  return readdirSync(join(home, folder), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? solidityFiles(`${folder}/${entry.name}`) : entry.name.endsWith(".sol") ? [`${folder}/${entry.name}`] : []);
}

function compile() {
  const solc = require("solc");
  const names = solidityFiles("contracts").sort();
  const sources = Object.fromEntries(names.map((name) => [name, { content: readFileSync(join(home, name), "utf8") }]));
  const findImport = (path) => {
    const file = join(home, "node_modules", path);
    return existsSync(file) ? { contents: readFileSync(file, "utf8") } : { error: `${path} is not installed; run npm ci --prefix genesis` };
  };
  const output = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings }), { import: findImport }));
  for (const message of output.errors ?? []) console.error(message.formattedMessage);
  if ((output.errors ?? []).length > 0) throw new Error("the compiler had something to say; warnings count as errors");
  return { output, version: solc.version(), sources };
}

/// One hash over all our sources, file by file: sha256 of lines "<sha256>  <name>\n" in name order.
function sourceHash(sources) {
  return sha256(Object.keys(sources).sort().map((name) => `${sha256(sources[name].content)}  ${name}\n`).join(""));
}

function artifact(path, { output, version, sources }) {
  const name = path.split("/").pop();
  const { abi, evm } = output.contracts[`contracts/${path}.sol`][name];
  const size = evm.deployedBytecode.object.length / 2;
  if (size > codeBytesMax) throw new Error(`${name} has ${size} bytes of code, more than ${codeBytesMax}; split it`);
  return {
    name,
    compiler: { version, openzeppelin: require("@openzeppelin/contracts/package.json").version, settings: { ...settings, outputSelection: undefined } },
    sourcesSha256: sourceHash(sources),
    deployedSha256: sha256(Buffer.from(evm.deployedBytecode.object, "hex")),
    deployedBytes: size,
    abi,
    bytecode: `0x${evm.bytecode.object}`,
  };
}

function main() {
  const isCheck = process.argv.includes("--check");
  const compiled = compile();
  const folder = join(home, "artifacts");
  mkdirSync(folder, { recursive: true });
  let stale = 0;
  for (const path of contracts) {
    const made = artifact(path, compiled);
    const text = `${JSON.stringify(made, null, 1)}\n`;
    const file = join(folder, `${made.name}.json`);
    const isCurrent = existsSync(file) && readFileSync(file, "utf8") === text;
    if (!isCurrent && !isCheck) writeFileSync(file, text);
    if (!isCurrent) stale++;
    console.log(`${isCurrent ? "current" : isCheck ? "STALE  " : "written"} ${relative(process.cwd(), file)} ${made.deployedBytes} bytes of code`);
  }
  if (isCheck && stale > 0) {
    console.error(`${stale} artifacts differ from what the sources give; run ./yard genesis and commit the result`);
    process.exit(1);
  }
}

main();
