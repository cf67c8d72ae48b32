// SPDX-License-Identifier: Apache-2.0
// The node's own page, run against a network in a document without a browser: what a visitor sees of jobs, models,
// providers, blocks and validators, of a job's loss and history, and of a node that is not well.
// --chain FILE: JSON {jobs: number of jobs, complete: id of one that is complete, segments: its segments}.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { JSDOM } from "jsdom";
import { toEventSelector } from "viem";
import { artifact, equal, eventually, isTrue, options, run } from "./common.mjs";

const web = fileURLToPath(new URL("../../../web", import.meta.url));

/// The page's own modules, in a folder that says that they are modules.
function modules() {
  const folder = mkdtempSync(join(tmpdir(), "trainyard-page-"));
  process.on("exit", () => rmSync(folder, { recursive: true }));
  cpSync(web, folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{"type": "module"}');
  return (name) => import(pathToFileURL(join(folder, name)).href);
}

/// A document with what the modules expect of a browser; every request goes to the node.
async function open(hash) {
  const page = await (await fetch(options.http + "/")).text();
  equal(page, readFileSync(join(web, "index.html"), "utf8"), "the node serves the page");
  const { window } = new JSDOM(page, { url: options.http + "/" + hash });
  const browser = globalThis.fetch;
  for (const name of ["document", "location", "Node"]) Object.defineProperty(globalThis, name, { value: window[name], configurable: true });
  globalThis.addEventListener = window.addEventListener.bind(window);
  globalThis.fetch = (path, ...rest) => browser(new URL(path, options.http), ...rest);
  return window;
}

const text = (id) => document.getElementById(id).textContent;
const count = (id, selector) => document.getElementById(id).querySelectorAll(selector).length;

async function checkEvents(load) {
  const { events } = await load("events.js");
  const abi = artifact("ComputeMarket").abi.filter((x) => x.type === "event" && x.inputs[0].name === "jobId");
  const due = Object.fromEntries(abi.map((x) => [toEventSelector(x).slice(0, 10), x.name]));
  equal(Object.fromEntries(Object.entries(events).map(([topic, [name]]) => [topic, name]).sort()),
    Object.fromEntries(Object.entries(due).sort()), "the page knows every event of a job");
}

async function checkPay(load) {
  const { divergence_of, job_of, paid_for, verdict_of } = await load("jobs.js");
  const verdict = (auditWaitBlocks, challenge) => verdict_of({ state: "committed", auditWaitBlocks, challenge })[0];
  equal([verdict("0x0"), verdict("0x28"), verdict("0x28", {})],
    ["waits for its audit", "waits for its audit, auditors are busy for about 40 blocks", "challenged, auditors are busy for about 40 blocks"], "what a segment waits for");
  const paid = (finalSegments, state, divergesAt) => paid_for({
    finalSegments, spec: { pricePerSegment: "0x64", stepsPerSegment: "0x5" }, segments: [{ state: "final", divergesAt: "0x0" }, { state, divergesAt }] });
  equal([paid("0x2", "final", "0x0"), paid("0x2", "final", "0x2"), paid("0x1", "l1", "0x2")], [200n, 140n, 100n], "a divergence is paid by its steps");
  const said = (outcome, index) => divergence_of({ state: "closed", outcome, spec: { stepsPerSegment: "0x5" }, segments: [{ index, divergesAt: "0x2" }] });
  equal([said("complete", "0x0"), said("diverged", "0x0").includes("Step 2 of 5 of segment 0"), said("diverged", "0x3").includes("3 segments before")], ["", true, true],
    "what is said of a job that diverged");
  const long = async (segments) => paid_for(await job_of(7, async (method, [id, first = "0x0"]) => {
    equal([method, id], ["yard_job", "0x7"], "what is asked for");
    const known = Array.from({ length: segments }, (_, i) => ({ state: "final", divergesAt: i === segments - 1 ? "0x2" : "0x0" }));
    const tip = "0x" + segments.toString(16);
    return { tip, finalSegments: tip, spec: { pricePerSegment: "0x64", stepsPerSegment: "0x5" }, segments: known.slice(Number(first), Number(first) + 1024) };
  }));
  equal([await long(1), await long(1024), await long(1025), await long(3000)], [40n, 102340n, 102440n, 299940n],
    "what is paid for a job whose last segment is not among the first that a node tells");
  equal(await job_of(8, async () => null), null, "a job that there is not");
}

async function checkFiles() {
  for (const file of ["app.js", "chart.js", "style.css"]) {
    const answer = await fetch(options.http + "/" + file);
    equal(await answer.text(), readFileSync(join(web, file), "utf8"), `the node serves ${file}`);
    isTrue(answer.headers.get("content-security-policy").includes("default-src 'self'"), `${file} may load nothing from elsewhere`);
  }
}

async function checkHealth(load) {
  const { judge } = await load("health.js");
  const now = "0x" + Math.floor(Date.now() / 1000).toString(16);
  const well = { peers: [{}], finalized: { timestamp: now }, syncing: false, clockAheadMs: 3, diskFree: "0xffffffffff" };
  const found = (change) => judge({ ...well, ...change }).map((p) => p.tone + ": " + p.text).join("; ");
  equal(found({}), "", "a node that is well");
  equal(found({ halted: "the disk is full", peers: [] }), "bad: stands still: the disk is full; warn: has no peers", "one that is not");
  equal(found({ finalized: { timestamp: "0x1" }, waitsFor: "votes" }).startsWith("bad: nothing became final for"), true, "no finality");
  equal(found({ diskFree: "0x77359400" }), "warn: only 2.0 GB of disk free", "a disk that fills");
}

async function checkCharts(load) {
  const { loss_chart, sparkline, ticks } = await load("chart.js");
  equal(ticks(0, 200, 4), [0, 50, 100, 150, 200], "round ticks");
  equal(ticks(2.4378, 3.1916, 4), [2.6, 2.8, 3], "ticks lie within");
  equal(sparkline([3, NaN, 2]).getAttribute("aria-label"), "loss from 3.000 to 2.000", "what is not finite is left out");
  const chart = loss_chart([{ x: 10, y: 3 }, { x: 20, y: 3 }], 40);
  const ys = [...chart.querySelectorAll("circle")].map((c) => Number(c.getAttribute("cy")));
  isTrue(ys.every((y) => y > 0 && y < 240), "a loss that does not change lies within the chart");
  const { nothing_of } = await load("jobs.js");
  const said = (state) => loss_chart([], 40, nothing_of({ state })).textContent;
  isTrue(said("active").includes("yet") && !said("closed").includes("yet"), "a job without a segment, and one that will have none");
}

async function checkHostile(load) {
  const { element } = await load("dom.js");
  const node = element("td", ["<img src=x onerror=alert(1)>"]);
  equal(node.children.length, 0, "text from the chain never becomes markup");
  const { picture_in } = await load("market.js");
  const uri = (image) => "data:application/json;base64," + Buffer.from(JSON.stringify({ image })).toString("base64");
  equal(picture_in(uri("https://tracker.example/x.png")), undefined, "a picture from elsewhere is not loaded");
  equal(picture_in("ipfs://x"), undefined, "metadata from elsewhere are not loaded");
}

await run("page", async () => {
  const given = JSON.parse(readFileSync(options.chain, "utf8"));
  const load = modules();
  const window = await open(`#job-${given.complete}`);
  await checkFiles();
  await checkEvents(load);
  await checkPay(load);
  await load("app.js");
  await eventually(() => text("job-title").includes("complete"), 20, "the job's part of the page");
  await eventually(() => count("validators", "tbody tr") > 0, 20, "the last part of the page");
  equal(text("health"), "well", "a node that is well says so");
  equal(document.getElementById("alert").hidden, true, "and has no alert");
  equal(text("jobs-count"), String(given.jobs), "number of jobs");
  equal(count("jobs", "tbody tr"), given.jobs, "rows of jobs");
  equal(count("jobs", "svg.spark"), 1, "a line of the loss");
  equal(count("job-body", "circle"), given.segments, "points of the loss");
  equal(count("job-body", ".cell.good"), given.segments, "squares of paid segments");
  for (const words of ["posted by", "taken by", "says match", "accepted", "paid: 0.95, burned 0.05", "closed, complete"])
    isTrue(text("job-body").includes(words), `the history says: ${words}`);
  isTrue(!text("job-body").includes("does not know"), "no event is unknown");
  equal(count("models", "article"), 1, "cards of models");
  isTrue(document.querySelector("#models img").src.startsWith("data:image/svg+xml"), "with the token's picture");
  equal(count("providers", "tbody tr"), 1, "providers");
  equal(count("validators", "tbody tr"), 4, "validators");
  isTrue(text("validators").includes("this node") && text("validators").includes("connected"), "seen from here");
  isTrue(count("blocks", "tbody tr") > 5, "blocks");
  const token = document.querySelector("#models a[title]").title;
  window.location.hash = token;
  await eventually(() => text("result").includes('"balance"'), 10, "an address is found");
  window.location.hash = "0xnothing";
  await eventually(() => text("result").includes("is needed"), 10, "what cannot be found is said");
  await checkHealth(load);
  await checkCharts(load);
  await checkHostile(load);
});
