// SPDX-License-Identifier: Apache-2.0
// Funds a training job with viem and sees it settle. --spec names a JSON file with the fields of JobSpec:
// {program, programId, data, clientSeed?, segments, stepsPerSegment, microBatches, segmentBlocks, deadlineSeconds?,
//  pricePerSegment, auditFee, unitWork, provider?, licence}; wei as decimal strings. The blobs must be published already.
import { readFileSync } from "node:fs";
import { createPublicClient, createWalletClient, defineChain, http, parseEventLogs, webSocket, zeroAddress } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { addresses, artifact, equal, eventually, isTrue, ok, options, run } from "./common.mjs";

const market = { address: addresses.market, abi: artifact("ComputeMarket").abi };
const models = { address: addresses.models, abi: artifact("ModelRegistry").abi };
const jobStates = ["None", "Open", "Active", "Draining", "Closed"];
const account = privateKeyToAccount(options.key);

function readSpec(now) {
  if (!options.spec) throw new Error("--spec FILE.json is needed");
  const given = JSON.parse(readFileSync(options.spec, "utf8"));
  return {
    program: given.program, programId: given.programId, data: given.data,
    clientSeed: given.clientSeed ?? generatePrivateKey(),
    segments: given.segments, stepsPerSegment: given.stepsPerSegment, microBatches: given.microBatches,
    segmentBlocks: BigInt(given.segmentBlocks), deadline: now + BigInt(given.deadlineSeconds ?? 3600),
    pricePerSegment: BigInt(given.pricePerSegment), auditFee: BigInt(given.auditFee),
    unitWork: BigInt(given.unitWork),
    provider: given.provider ?? zeroAddress, licence: given.licence,
  };
}

async function connect() {
  const id = await createPublicClient({ transport: http(options.http) }).getChainId();
  const chain = defineChain({ id, name: "Trainyard", nativeCurrency: { name: "Coin", symbol: "COIN", decimals: 18 }, rpcUrls: { default: { http: [options.http] } } });
  return {
    reader: createPublicClient({ chain, transport: http(options.http), pollingInterval: 200 }),
    writer: createWalletClient({ chain, account, transport: http(options.http) }),
    live: createPublicClient({ chain, transport: webSocket(options.ws) }),
  };
}

async function send({ reader, writer }, functionName, args, value = 0n) {
  const { request } = await reader.simulateContract({ account, ...market, functionName, args, value });
  const receipt = await reader.waitForTransactionReceipt({ hash: await writer.writeContract(request) });
  equal(receipt.status, "success", `${functionName} succeeds`);
  return receipt;
}

async function post(clients) {
  const block = await clients.reader.getBlock();
  const spec = readSpec(block.timestamp);
  const escrow = await clients.reader.readContract({ ...market, functionName: "quote", args: [spec] });
  const receipt = await send(clients, "post", [spec], escrow);
  const [event] = parseEventLogs({ abi: market.abi, logs: receipt.logs, eventName: "JobPosted" });
  equal(event.args.spec.programId, spec.programId, "the event carries the spec");
  return { jobId: event.args.jobId, spec, escrow };
}

/// Follows the job over WebSocket while it is polled; the last transactions may be anyone's.
async function settle(clients, jobId) {
  const { reader, live } = clients;
  const seen = new Set();
  const stop = live.watchContractEvent({ ...market, args: { jobId }, poll: false, onLogs: (logs) => logs.forEach((l) => note(l)), onError: () => {} });
  const note = (log) => {
    if (log.args.jobId !== jobId) return;
    seen.add(log.eventName);
    console.log(`# ${log.eventName} ${log.args.seg ?? ""}`);
  };
  const job = await eventually(async () => {
    const now = await reader.readContract({ ...market, functionName: "job", args: [jobId] });
    if (jobStates[now.state] === "Closed") return now;
    await help(clients, jobId, now);
    return null;
  }, Number(options.timeout) - 5, "settlement");
  stop();
  isTrue(seen.has("SegmentCommitted") && seen.has("SegmentFinal"), "the events of the job arrived over WebSocket");
  return job;
}

/// Anyone may finalise and close; here the client does when nobody else has.
async function help({ reader, writer }, jobId, job) {
  const call = jobStates[job.state] === "Draining" && job.finalSegments === job.tip ? ["close", [jobId]] : ["finalize", [jobId, 16]];
  try {
    const { request } = await reader.simulateContract({ account, ...market, functionName: call[0], args: call[1] });
    await reader.waitForTransactionReceipt({ hash: await writer.writeContract(request), timeout: 10_000 });
  } catch {
    // Somebody was faster, or nothing is due yet; the next round asks again.
  }
}

await run("job", async () => {
  const clients = await connect();
  const { reader } = clients;
  const { jobId, spec, escrow } = await post(clients);
  console.log(`# job ${jobId}, escrow ${escrow} wei`);
  const job = await settle(clients, jobId);
  equal(job.outcome, 1, "the outcome is Complete");
  equal(job.finalSegments, spec.segments, "every segment is final");
  equal(job.escrow, 0n, "nothing is left in escrow");
  const tokenId = job.modelToken - 1n;
  equal(await reader.readContract({ ...models, functionName: "ownerOf", args: [tokenId] }), account.address, "the model belongs to the one who paid");
  const record = await reader.readContract({ ...models, functionName: "record", args: [tokenId] });
  equal(record.dataRoot, spec.data, "the record names the data");
  equal(record.programId, spec.programId, "the record names the program");
  equal(record.segments, spec.segments, "the record counts the segments");
  const uri = await reader.readContract({ ...models, functionName: "tokenURI", args: [tokenId] });
  const metadata = JSON.parse(Buffer.from(uri.split(",")[1], "base64").toString());
  isTrue(metadata.image.startsWith("data:image/svg+xml;base64,"), "the token's metadata is JSON with an image");
  const credit = await reader.readContract({ ...market, functionName: "credit", args: [account.address] });
  if (credit > 0n) await send(clients, "withdraw", []);
  ok(`${credit} wei of escrow came back`);
});
