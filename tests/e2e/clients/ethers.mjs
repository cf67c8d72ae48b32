// SPDX-License-Identifier: Apache-2.0
// ethers deploys, calls, reads logs and subscribes, over HTTP and WebSocket.
import { ContractFactory, JsonRpcProvider, NonceManager, Wallet, WebSocketProvider, isError, parseEther, parseUnits } from "ethers";
import { counter, equal, eventually, isTrue, options, run, within } from "./common.mjs";

async function deploy(signer) {
  const contract = await new ContractFactory(counter.abi, counter.bytecode, signer).deploy(5n, { value: 7n });
  await contract.waitForDeployment();
  equal(await contract.count(), 5n, "ethers deploys a contract and reads it");
  const receipt = await contract.deploymentTransaction().wait();
  equal(receipt.contractAddress, await contract.getAddress(), "the receipt names the contract");
  return contract;
}

async function writeAndRead(contract, wallet) {
  equal(await contract.add.staticCall(3n), 8n, "a static call answers");
  isTrue((await contract.add.estimateGas(3n)) > 21_000n, "gas is estimated");
  const receipt = await (await contract.add(3n)).wait();
  const event = contract.interface.parseLog(receipt.logs[0]);
  equal([event.name, event.args.by, event.args.step, event.args.count], ["Counted", wallet.address, 3n, 8n], "the receipt's log decodes");
  const found = await contract.queryFilter(contract.filters.Counted(wallet.address, 3n), receipt.blockNumber, receipt.blockNumber);
  equal(found.length, 1, "eth_getLogs finds by topics");
  const block = await wallet.provider.getBlock(receipt.blockNumber, true);
  isTrue(block.prefetchedTransactions.some((t) => t.hash === receipt.hash), "the block holds the transaction");
}

async function traces(contract, wallet) {
  const receipt = await (await contract.add(1n)).wait();
  const diff = await wallet.provider.send("debug_traceTransaction", [receipt.hash, { tracer: "prestateTracer", tracerConfig: { diffMode: true } }]);
  const slots = diff.post[receipt.to.toLowerCase()].storage;
  equal(Object.values(slots).map(BigInt), [await contract.count()], "prestateTracer shows the slot that a call changed");
  const { structLogs } = await wallet.provider.send("debug_traceTransaction", [receipt.hash, { disableStack: true, limit: 20 }]);
  equal(structLogs.length, 20, "the struct logger shows as many steps as it may");
}

async function reverts(contract) {
  const error = async (call) => call.then(() => null, (e) => e);
  const custom = await error(contract.add.staticCall(101n));
  isTrue(isError(custom, "CALL_EXCEPTION"), "a revert is a CALL_EXCEPTION");
  equal([custom.revert.name, custom.revert.args[0]], ["TooMuch", 101n], "a custom error is decoded");
  equal((await error(contract.refuse.staticCall("no thanks"))).reason, "no thanks", "a revert reason is decoded");
  const failed = await contract.add(101n, { gasLimit: 100_000n });
  const receipt = await error(failed.wait());
  equal(receipt.receipt.status, 0, "a transaction that reverts has status 0");
}

async function polling(contract) {
  const seen = new Promise((resolve) => contract.once(contract.filters.Counted(null, 21n), (payload) => resolve(payload.args)));
  await eventually(async () => (await contract.listenerCount(contract.filters.Counted(null, 21n))) > 0, 10, "listener");
  await contract.add(21n);
  equal((await within(seen, 60, "event over HTTP")).step, 21n, "events arrive by polling over HTTP");
}

async function subscriptions(contract, signer) {
  const socket = new WebSocketProvider(options.ws);
  const head = new Promise((resolve) => socket.once("block", resolve));
  const live = contract.connect(socket);
  const seen = new Promise((resolve) => live.once(live.filters.Counted(null, 31n), (payload) => resolve(payload.args)));
  await eventually(async () => (await live.listenerCount(live.filters.Counted(null, 31n))) > 0, 10, "listener");
  await new Promise((resolve) => setTimeout(resolve, 500));
  await contract.connect(signer).add(30n);
  await contract.connect(signer).add(31n);
  isTrue((await within(head, 30, "block over WebSocket")) > 0, "blocks arrive over WebSocket");
  equal((await within(seen, 30, "event over WebSocket")).step, 31n, "the log that was asked for arrives over WebSocket");
  equal(await live.count(), await contract.count(), "calls work over the same WebSocket");
  await socket.destroy();
}

async function transfers(signer, wallet) {
  const to = "0x00000000000000000000000000000000000c0ffe";
  const before = await wallet.provider.getBalance(to);
  const replies = await Promise.all([1, 2, 3].map(() => signer.sendTransaction({ to, value: 1n })));
  await Promise.all(replies.map((reply) => reply.wait()));
  equal((await wallet.provider.getBalance(to)) - before, 3n, "three transfers at once all happen");
  const poor = Wallet.createRandom().connect(wallet.provider);
  const refused = await poor.sendTransaction({ to, value: 1n }).then(() => null, (e) => e);
  isTrue(isError(refused, "INSUFFICIENT_FUNDS"), "a sender without funds gets INSUFFICIENT_FUNDS");
  const used = await wallet.sendTransaction({ to, value: 1n, nonce: 0 }).then(() => null, (e) => e);
  isTrue(isError(used, "NONCE_EXPIRED"), "a used nonce gives NONCE_EXPIRED");
}

async function replacements(wallet) {
  const nonce = await wallet.getNonce("pending");
  const fees = (gwei) => ({ gasLimit: 100_000n, maxFeePerGas: parseUnits(gwei, "gwei"), maxPriorityFeePerGas: parseUnits(gwei, "gwei") });
  const next = { to: "0x00000000000000000000000000000000000c0ffe", value: 1n, nonce: nonce + 1 };
  const first = await wallet.sendTransaction({ ...next, ...fees("1") });  // it waits for the nonce before
  const outcome = first.wait().then(() => null, (e) => e);
  const cheap = await wallet.sendTransaction({ ...next, value: 2n, ...fees("1") }).then(() => null, (e) => e);
  isTrue(isError(cheap, "REPLACEMENT_UNDERPRICED"), "a replacement that pays no more gives REPLACEMENT_UNDERPRICED");
  const second = await wallet.sendTransaction({ ...next, ...fees("2") });
  await wallet.sendTransaction({ to: wallet.address, nonce, ...fees("2") });
  const replaced = await within(outcome, 30, "replacement");
  isTrue(isError(replaced, "TRANSACTION_REPLACED"), "who waits for a replaced transaction gets TRANSACTION_REPLACED");
  equal([replaced.reason, replaced.receipt.hash], ["repriced", second.hash], "with the receipt of the one that pays more");
}

await run("ethers", async () => {
  const provider = new JsonRpcProvider(options.http, undefined, { pollingInterval: 200 });
  const wallet = new Wallet(options.key, provider);
  const signer = new NonceManager(wallet);
  isTrue((await provider.getBalance(wallet.address)) > parseEther("10"), "the account has funds");
  const contract = await deploy(signer);
  await writeAndRead(contract, wallet);
  await traces(contract, wallet);
  await reverts(contract);
  await polling(contract);
  await subscriptions(contract, signer);
  await transfers(signer, wallet);
  await replacements(wallet);
  provider.destroy();
});
