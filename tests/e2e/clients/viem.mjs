// SPDX-License-Identifier: Apache-2.0
// viem deploys, calls, reads logs and subscribes, over HTTP and WebSocket.
import { pathToFileURL } from "node:url";
import {
  BaseError, concatHex, createPublicClient, createWalletClient, decodeEventLog, defineChain, encodeDeployData, encodeFunctionData, getContractAddress,
  http, keccak256, pad, parseEther, parseGwei, toHex, webSocket,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { addresses, counter, equal, eventually, isTrue, ok, options, run, within } from "./common.mjs";

const { abi, bytecode } = counter;
const account = privateKeyToAccount(options.key);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/// What the node said, in its own words.
const refusal = (promise) => promise.then(() => "", (e) => e.details ?? e.message);

/// What `trainyard genesis wallet --viem` has written, or the like of it.
async function readChain() {
  const id = await createPublicClient({ transport: http(options.http) }).getChainId();
  if (options.chain) {
    const { trainyard } = await import(pathToFileURL(options.chain));
    equal(trainyard.id, id, "the module's chain is the node's");
    equal(trainyard.rpcUrls.default, { http: [options.http], webSocket: [options.ws] }, "and its URLs");
    return trainyard;
  }
  return defineChain({
    id, name: "Trainyard", nativeCurrency: { name: "Coin", symbol: "COIN", decimals: 18 },
    rpcUrls: { default: { http: [options.http] } }, contracts: { multicall3: { address: addresses.multicall3 } },
  });
}

async function connect() {
  const chain = await readChain();
  const transport = http(options.http, { batch: true });
  const settings = { chain, pollingInterval: 200 };
  return {
    chain,
    reader: createPublicClient({ ...settings, transport }),
    writer: createWalletClient({ ...settings, account, transport }),
    live: createPublicClient({ ...settings, transport: webSocket(options.ws) }),
  };
}

async function deploy({ reader, writer }) {
  const hash = await writer.deployContract({ abi, bytecode, args: [5n], value: 7n });
  const receipt = await reader.waitForTransactionReceipt({ hash });
  equal(receipt.status, "success", "viem deploys a contract");
  equal(await reader.getBalance({ address: receipt.contractAddress }), 7n, "the value sent with the deployment is there");
  isTrue((await reader.getCode({ address: receipt.contractAddress })).length > 2, "eth_getCode gives the code");
  return receipt.contractAddress;
}

async function callAndWrite({ reader, writer }, address) {
  equal(await reader.readContract({ address, abi, functionName: "count" }), 5n, "eth_call reads the constructor's argument");
  equal(await reader.readContract({ address, abi, functionName: "owner" }), account.address, "the owner is the deployer");
  const { request, result } = await reader.simulateContract({ account, address, abi, functionName: "add", args: [3n] });
  equal(result, 8n, "a simulated call answers");
  const receipt = await reader.waitForTransactionReceipt({ hash: await writer.writeContract(request) });
  const event = decodeEventLog({ abi, ...receipt.logs[0] });
  equal(event.args, { by: account.address, step: 3n, count: 8n }, "the receipt's log decodes");
  equal(receipt.type, "eip1559", "the transaction is of type 2");
  const transaction = await reader.getTransaction({ hash: receipt.transactionHash });
  equal(transaction.blockHash, receipt.blockHash, "the transaction names its block");
  const block = await reader.getBlock({ blockHash: receipt.blockHash, includeTransactions: true });
  isTrue(block.transactions.some((t) => t.hash === receipt.transactionHash), "the block holds the transaction");
  return receipt;
}

async function reverts({ reader }, address) {
  const fails = async (functionName, args) =>
    reader.simulateContract({ account, address, abi, functionName, args }).then(() => "", (e) => e.walk((c) => c instanceof BaseError && c.data) ?? e);
  equal((await fails("add", [101n])).data.errorName, "TooMuch", "a custom error is decoded");
  equal((await fails("refuse", ["no thanks"])).reason, "no thanks", "a revert reason is decoded");
  const data = encodeFunctionData({ abi, functionName: "refuse", args: ["trop cher: 5 \u20ac"] });
  equal(await refusal(reader.call({ to: address, data })), "execution reverted: trop cher: 5 \u20ac", "the message has it in any language");
}

async function lookups({ reader }, address, { transactionHash: hash }) {
  equal(keccak256(await reader.getRawTransaction({ hash })), hash, "eth_getRawTransactionByHash gives the encoding");
  const { nonce } = await reader.getTransaction({ hash });
  equal((await reader.getTransaction({ sender: account.address, nonce })).hash, hash, "a transaction is found by sender and nonce");
  const key = pad("0x00");
  const [slot] = (await reader.getProof({ address, storageKeys: [key] })).storageProof;
  equal(slot.value, await reader.readContract({ address, abi, functionName: "count" }), "eth_getProof has the slot");
  equal(slot.key, key, "and its name as it was asked for");
}

async function logs({ reader }, address, receipt) {
  const event = abi.find((entry) => entry.name === "Counted");
  const range = { fromBlock: receipt.blockNumber, toBlock: receipt.blockNumber };
  equal((await reader.getLogs({ address, event, args: { step: 3n }, ...range })).length, 1, "eth_getLogs finds by topic");
  equal((await reader.getLogs({ address, event, args: { step: 4n }, ...range })).length, 0, "and finds nothing for another topic");
  equal((await reader.getLogs({ address, event, blockHash: receipt.blockHash })).length, 1, "eth_getLogs finds by block hash");
}

async function filters({ reader, writer }, address) {
  const filter = await reader.createContractEventFilter({ address, abi, eventName: "Counted" });
  equal(await reader.getFilterChanges({ filter }), [], "a new filter has nothing to say");
  const hash = await writer.writeContract({ address, abi, functionName: "add", args: [9n] });
  await reader.waitForTransactionReceipt({ hash });
  const changes = await eventually(async () => (await reader.getFilterChanges({ filter })).find((log) => log.transactionHash === hash), 20, "filter");
  equal(changes.args.step, 9n, "eth_getFilterChanges gives the new log");
  isTrue(await reader.uninstallFilter({ filter }), "a filter can be removed");
}

async function subscriptions({ live, writer }, address) {
  const block = await within(new Promise((resolve, reject) => {
    const stop = live.watchBlocks({ onBlock: (b) => (stop(), resolve(b)), onError: reject, poll: false });
  }), 30, "newHeads");
  isTrue(block.number > 0n, "eth_subscribe newHeads gives blocks over WebSocket");
  const seen = new Promise((resolve, reject) => {
    const stop = live.watchContractEvent({
      address, abi, eventName: "Counted", args: { step: 11n }, poll: false, onLogs: (found) => (stop(), resolve(found)), onError: reject,
    });
  });
  await pause(500);
  await writer.writeContract({ address, abi, functionName: "add", args: [10n] });
  await writer.writeContract({ address, abi, functionName: "add", args: [11n] });
  const found = await within(seen, 30, "logs subscription");
  equal(found[0].args.step, 11n, "eth_subscribe logs gives the log that was asked for");
  equal(await live.getChainId(), await writer.getChainId(), "calls work over the same WebSocket");
}

async function pendingTransactions({ live, writer }) {
  const hashes = new Set(), whole = new Set();
  const stop = live.watchPendingTransactions({ onTransactions: (found) => found.forEach((hash) => hashes.add(hash)), poll: false });
  const ask = (...params) => live.transport.subscribe({ params, onData: ({ result }) => whole.add(result.hash), onError() {} });
  const subscription = await ask("newPendingTransactions", true);
  const send = () => writer.sendTransaction({ to: account.address, value: 1n });
  const hash = await send();
  await eventually(() => hashes.has(hash) && whole.has(hash), 20, "pending transactions");
  ok("eth_subscribe newPendingTransactions gives hashes, and whole transactions");
  await subscription.unsubscribe();
  stop();
  const after = whole.size;
  await send();
  await live.getBlockNumber({ cacheTime: 0 });
  equal(whole.size, after, "and nothing after eth_unsubscribe");
  isTrue((await refusal(ask("logs", { address: "0x12" }))).startsWith("invalid argument 1 (option): address"), "a filter that is none is refused");
}

async function replacements({ reader, writer }) {
  const nonce = await reader.getTransactionCount({ address: account.address, blockTag: "pending" });
  const fees = (gwei) => ({ gas: 100_000n, maxFeePerGas: parseGwei(gwei), maxPriorityFeePerGas: parseGwei(gwei) });
  const next = { to: addresses.deployer, value: 0n, nonce: nonce + 1 };
  const first = await writer.sendTransaction({ ...next, ...fees("1") });  // it waits for the nonce before
  let seen;
  const receipt = reader.waitForTransactionReceipt({ hash: first, onReplaced: (replacement) => (seen = replacement) });
  await pause(1000);
  const again = writer.sendTransaction({ ...next, value: 1n, ...fees("1") });
  equal(await refusal(again), "replacement transaction underpriced", "a replacement has to pay more");
  const second = await writer.sendTransaction({ ...next, to: account.address, ...fees("2") });
  await writer.sendTransaction({ to: account.address, nonce, ...fees("2") });
  equal((await within(receipt, 30, "replacement")).transactionHash, second, "who waits for a transaction gets its replacement's receipt");
  equal([seen.reason, seen.replacedTransaction.hash], ["cancelled", first], "and hears that it was cancelled");
}

async function blobs({ reader }) {
  const none = () => new Uint8Array(48);
  const serializedTransaction = await account.signTransaction({
    type: "eip4844", chainId: await reader.getChainId(), nonce: 0, to: account.address, gas: 21_000n, maxFeePerGas: 1n, maxFeePerBlobGas: 1n,
    blobs: [`0x${"00".repeat(131_072)}`], kzg: { blobToKzgCommitment: none, computeBlobKzgProof: none },
  });
  equal(await refusal(reader.sendRawTransaction({ serializedTransaction })), "transaction type not supported", "a transaction with blobs is refused");
}

async function manyAtOnce({ reader, writer }, address) {
  const before = await reader.readContract({ address, abi, functionName: "count" });
  const nonce = await reader.getTransactionCount({ address: account.address, blockTag: "pending" });
  const hashes = await Promise.all([3, 1, 4, 0, 2].map((i) =>
    writer.writeContract({ address, abi, functionName: "add", args: [1n], nonce: nonce + i, gas: 100_000n })));
  await Promise.all(hashes.map((hash) => reader.waitForTransactionReceipt({ hash })));
  equal(await reader.readContract({ address, abi, functionName: "count" }), before + 5n, "five transactions sent out of order all happen");
}

async function fees({ reader, writer }) {
  const history = await reader.getFeeHistory({ blockCount: 4, rewardPercentiles: [50] });
  isTrue(history.baseFeePerGas.length >= 2, "eth_feeHistory answers");
  equal((await reader.getFeeHistory({ blockCount: 0, rewardPercentiles: [] })).baseFeePerGas, [], "of no blocks, too");
  equal(await reader.estimateGas({ account, to: account.address, value: 1n }), 21_000n, "a plain transfer needs 21,000 gas");
  const to = "0x00000000000000000000000000000000000c0ffe";
  const before = await reader.getBalance({ address: to });
  const hash = await writer.sendTransaction({ to, value: parseEther("0.5"), type: "legacy" });
  await reader.waitForTransactionReceipt({ hash });
  equal((await reader.getBalance({ address: to })) - before, parseEther("0.5"), "a legacy transaction moves coins");
}

async function simulations({ reader }, address, receipt) {
  const before = await reader.readContract({ address, abi, functionName: "count" });
  const { results, block } = await reader.simulateCalls({
    account, calls: [{ to: address, abi, functionName: "add", args: [2n] }, { to: address, abi, functionName: "count" }],
  });
  equal(results[1].result, before + 2n, "eth_simulateV1 lets a call see the one before it");
  equal(decodeEventLog({ abi, ...results[0].logs[0] }).args.step, 2n, "a simulated call has its logs");
  isTrue(block.stateRoot.length === 66, "a simulated block has a state root");
  equal(await reader.readContract({ address, abi, functionName: "count" }), before, "and nothing has changed");
  const frame = await reader.request({ method: "debug_traceTransaction", params: [receipt.transactionHash, { tracer: "callTracer" }] });
  equal([frame.type, frame.to, BigInt(frame.gasUsed)], ["CALL", address.toLowerCase(), receipt.gasUsed], "callTracer shows the call");
}

async function wellKnown({ reader, writer }, address) {
  if (!(await reader.getCode({ address: addresses.multicall3 }))) return ok("(no multicall contract on this chain)");
  const calls = ["count", "owner"].map((functionName) => ({ address, abi, functionName }));
  const answers = await reader.multicall({ contracts: calls, allowFailure: false });
  equal(answers[1], account.address, "multicall answers through one call");
  const salt = pad(toHex(Date.now()));
  const initCode = encodeDeployData({ abi, bytecode, args: [1n] });
  const hash = await writer.sendTransaction({ to: addresses.deployer, data: concatHex([salt, initCode]) });
  await reader.waitForTransactionReceipt({ hash });
  const at = getContractAddress({ opcode: "CREATE2", from: addresses.deployer, salt, bytecodeHash: keccak256(initCode) });
  equal(await reader.readContract({ address: at, abi, functionName: "count" }), 1n, "the CREATE2 deployer deploys where it must");
}

await run("viem", async () => {
  const clients = await connect();
  isTrue((await clients.reader.getBalance({ address: account.address })) > parseEther("10"), "the account has funds");
  const address = await deploy(clients);
  const receipt = await callAndWrite(clients, address);
  await simulations(clients, address, receipt);
  await reverts(clients, address);
  await lookups(clients, address, receipt);
  await logs(clients, address, receipt);
  await filters(clients, address);
  await subscriptions(clients, address);
  await pendingTransactions(clients);
  await replacements(clients);
  await blobs(clients);
  await manyAtOnce(clients, address);
  await fees(clients);
  await wellKnown(clients, address);
});
