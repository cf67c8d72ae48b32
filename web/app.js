// SPDX-License-Identifier: Apache-2.0
// The page of a node: reads its JSON-RPC and shows it; it holds no key and changes nothing.
import { block_seconds, latest_blocks, show_blocks, show_found, show_validators } from './chain.js';
import { $ } from './dom.js';
import { show_alert, show_health } from './health.js';
import { learn_segments, show_job, show_jobs } from './jobs.js';
import { provider_names, show_models, show_providers } from './market.js';
import { newest, number, rpc } from './rpc.js';

const kRefresh_ms = 2000, kBlocks = 12, kJobs = 20, kModels = 12, kProviders = 50;
const kSections = ['jobs', 'models', 'providers', 'blocks', 'validators'];

let head = 0;
let names = new Map();

/// What the part of the address behind # asks for.
async function follow_hash() {
  const target = decodeURIComponent(location.hash.slice(1));
  const job = /^job-([0-9]+)$/.exec(target);
  $('job').hidden = $('job').hidden || !job;
  if (job) return show_job(Number(job[1]), head, names);
  if (target && !kSections.includes(target)) await show_found(target);
}

/// A part that fails, such as a system contract that a foreign chain lacks, leaves the others alone.
async function attempt(part) {
  try {
    await part();
  } catch (error) {
    console.warn(error);
  }
}

async function show_market() {
  const jobs = await newest('yard_jobs', 'jobs', kJobs);
  names = await provider_names();
  await learn_segments(jobs.items);
  show_jobs(jobs.items, jobs.total, names);
  const providers = await newest('yard_providers', 'providers', kProviders);
  show_providers(providers.items, providers.total);
  const models = await newest('yard_models', 'models', kModels);
  await show_models(models.items, models.total);
}

export async function refresh() {
  try {
    const [status, base_fee] = await Promise.all([rpc('yard_status'), rpc('eth_baseFee')]);
    head = number(status.head.number);
    const blocks = await latest_blocks(head, kBlocks);
    show_health(status, base_fee, block_seconds(blocks));
    show_blocks(blocks);
  } catch (error) {
    return show_alert([{ tone: 'bad', text: 'does not answer: ' + error.message }]);
  }
  await attempt(show_market);
  await attempt(async () => show_validators(await rpc('yard_validators')));
  if (location.hash.startsWith('#job-')) await attempt(follow_hash);
}

async function go_on() {
  if (!document.hidden) await refresh();
  setTimeout(go_on, kRefresh_ms);
}

$('search').addEventListener('submit', (event) => {
  event.preventDefault();
  location.hash = $('query').value.trim();
});
addEventListener('hashchange', async () => {
  await attempt(follow_hash);
  if (location.hash.startsWith('#job-')) $('job').scrollIntoView({ behavior: 'smooth' });
});
refresh().then(() => attempt(follow_hash)).then(() => setTimeout(go_on, kRefresh_ms));
