// SPDX-License-Identifier: Apache-2.0
// The list of jobs, and one job: its loss, its segments, its money and what happened to it.
import { loss_chart, sparkline } from './chart.js';
import { $, badge, coins, duration, element, facts, found, is_nobody, link, table } from './dom.js';
import { history_of, timeline } from './events.js';
import { batch, number, quantity, rpc } from './rpc.js';

const kHistory = 60;  // events of a job that are shown
const kSegments = 1024;  // of a job, that a node tells at once

const first_of_newest = (job) => Math.max(0, number(job.tip) - kSegments);

/// A job with its newest segments: how it ends, and what is paid for it, hangs on its last one. `ask`: as `rpc`.
export async function job_of(id, ask = rpc) {
  const job = await ask('yard_job', [quantity(id)]);
  return job && first_of_newest(job) > 0 ? ask('yard_job', [quantity(id), quantity(first_of_newest(job))]) : job;
}

/// By id: {key, segments}; asked again when the job's `key` has changed.
const known = new Map();

const key_of = (job) => [job.state, job.tip, job.finalSegments, job.attempt].join();
const is_over = (job) => job.state === 'closed';

/// Segments of the jobs that changed, in one request.
export async function learn_segments(jobs) {
  const due = jobs.filter((job) => known.get(job.id)?.key !== key_of(job) || !is_over(job));
  const answers = await batch(due.map((job) => ['yard_job', [job.id, quantity(first_of_newest(job))]]));
  due.forEach((job, i) => { if (answers[i]) known.set(job.id, { key: key_of(job), segments: answers[i].segments }); });
  const shown = new Set(jobs.map((job) => job.id));
  for (const id of known.keys()) if (!shown.has(id)) known.delete(id);
}

function state_of(job) {
  if (job.state === 'closed') return job.outcome === 'complete' ? ['complete', 'good'] : [job.outcome, 'warn'];
  if (job.state === 'draining') return ['last audits', 'busy'];
  return job.state === 'active' ? ['training', 'busy'] : ['waits for a provider', ''];
}

/// Words and colour of a segment.
export function verdict_of(s) {
  const wait = number(s.auditWaitBlocks ?? '0x0');
  const busy = wait > 0 ? `, auditors are busy for about ${wait} blocks` : '';
  if (s.challenge) return [`challenged${busy}`, 'warn'];
  return {
    committed: [`waits for its audit${busy}`, ''],
    l0: ['audited', 'busy'],
    l1: ['replayed', 'busy'],
    accepted: ['accepted', 'good light'],
    final: ['paid', 'good'],
    void: ['void', 'bad'],
    disputed: ['before the referee', 'warn'],
    convicted: ['found wrong, may be appealed', 'bad'],
    appealed: ['appealed, may be disputed', 'warn'],
  }[s.state] ?? [s.state, ''];
}

/// Of a segment that its provider says has no end: the number of the step that gives an Inf or a NaN; else 0.
const diverges_at = (s) => number(s.divergesAt);

/// Why a job ends before its last segment, what is left of it and what its client can do.
export function divergence_of(job) {
  const last = job.segments.at(-1);
  if (job.outcome !== 'diverged' || !last || diverges_at(last) === 0) return '';
  const before = number(last.index);
  const claimed = is_over(job) ? '' : ', as its provider says and auditors replay';
  const model = before === 0 ? 'there is no model' : `the model is what ${before === 1 ? 'the segment' : `${before} segments`} before made of it`;
  return `Step ${diverges_at(last)} of ${number(job.spec.stepsPerSegment)} of segment ${before} gives an Inf or a NaN${claimed}: ${model}, and the rest of the escrow goes back to the client. ` +
    'A lower learning rate may help, or data without extreme values.';
}

/// Wei for the segments that are final, before the fee; one that diverges is paid by its steps.
export function paid_for(job) {
  const price = BigInt(job.spec.pricePerSegment), last = job.segments.at(-1);
  const paid = price * BigInt(job.finalSegments);
  if (last?.state !== 'final' || diverges_at(last) === 0) return paid;
  return paid - price + price * BigInt(diverges_at(last)) / BigInt(job.spec.stepsPerSegment);
}

/// A square for each segment.
function squares(job, segments) {
  const total = number(job.spec.segments);
  if (total > kSegments) return '';
  const by_index = new Map(segments.map((s) => [number(s.index), s]));
  const cells = [];
  for (let i = 0; i < total; ++i) {
    const [text, tone] = by_index.has(i) ? verdict_of(by_index.get(i)) : ['not yet', 'none'];
    cells.push(element('span', '', { class: `cell ${tone}`, title: `segment ${i}: ${text}` }));
  }
  return element('div', cells, { class: 'cells', role: 'img', 'aria-label': `${number(job.tip)} of ${total} segments committed, ${number(job.finalSegments)} paid` });
}

function progress(job) {
  const total = number(job.spec.segments), committed = number(job.tip);
  return [element('progress', '', { max: total, value: committed }), ` ${committed} of ${total}`];
}

const losses_of = (segments) => segments.filter((s) => diverges_at(s) === 0).map((s) => s.loss);

export function show_jobs(jobs, total, names) {
  $('jobs-count').textContent = total === 0 ? '' : total;
  $('jobs').replaceChildren(table(['job', 'state', 'segments', 'loss', '', 'price of one', 'provider'], jobs.map((job) => {
    const segments = known.get(job.id)?.segments ?? [];
    const losses = losses_of(segments), loss = losses.at(-1);
    return [link(`#${number(job.id)}`, `job-${number(job.id)}`), badge(...state_of(job)), progress(job),
      Number.isFinite(loss) ? loss.toFixed(3) : '', sparkline(losses), coins(job.spec.pricePerSegment),
      provider_of(job.provider, names)];
  }), 'None yet. `trainyard job submit` posts one.'));
}

function provider_of(address, names) {
  if (is_nobody(address)) return '';
  return element('a', names.get(address) ?? element('code', address.slice(0, 8)), { href: '#' + address, title: address });
}

function terms(job, names) {
  const s = job.spec, steps = number(s.stepsPerSegment);
  const until_s = number(s.deadline) - Date.now() / 1000;
  return facts([
    ['client', found(job.client)],
    ['provider', is_nobody(job.provider) ? undefined : provider_of(job.provider, names)],
    ['work', `${number(s.segments)} segments of ${steps} steps, ${number(s.microBatches)} micro-batches each of ${(number(s.unitWork) / 1e9).toPrecision(3)} G multiply-adds`],
    ['paid so far', `${coins(paid_for(job))} of ${coins(BigInt(s.pricePerSegment) * BigInt(s.segments))}`],
    ['in escrow', coins(job.escrow)],
    ['ends', is_over(job) ? undefined : until_s > 0 ? `in ${duration(until_s)} at the latest` : 'now: its time is over'],
    ['licence', s.licence || 'not stated'],
    ['program', element('a', element('code', s.programId.slice(0, 10)), { href: '/blob/' + s.program, title: s.programId })],
    ['data', element('a', element('code', s.data.slice(0, 10)), { href: '/blob/' + s.data, title: s.data })],
    ['model', number(job.modelToken) === 0 ? undefined : link(`token #${number(job.modelToken) - 1}`, 'models')],
  ]);
}

/// What stands where a job has no segments.
export const nothing_of = (job) => (is_over(job) ? 'None: it ended before one was accepted.' : 'None yet: the first comes with the first segment.');

function segment_table(job, segments, names) {
  return table(['segment', 'verdict', 'loss', 'committed in', 'provider', 'state after it'], [...segments].reverse().map((s) => {
    const [text, tone] = verdict_of(s);
    const state = diverges_at(s) > 0 ? 'none' : element('a', element('code', s.last.slice(0, 10)), { href: '/blob/' + s.stateBlob, title: s.last });
    return [number(s.index), badge(text, tone), diverges_at(s) > 0 ? `diverges at step ${diverges_at(s)}` : s.loss.toFixed(4),
      link(number(s.committedAt), number(s.committedAt)), provider_of(s.provider, names), state];
  }), nothing_of(job));
}

export async function show_job(id, head, names) {
  const job = await job_of(id);
  $('job').hidden = !job;
  if (!job) return;
  const steps = number(job.spec.stepsPerSegment);
  const points = job.segments.filter((s) => s.state !== 'void' && diverges_at(s) === 0).map((s) => ({ x: (number(s.index) + 1) * steps, y: s.loss }));
  const history = await history_of(id, head, kHistory);
  $('job-title').replaceChildren(`Job #${id} `, badge(...state_of(job)));
  $('job-body').replaceChildren(squares(job, job.segments), divergence_of(job) && element('p', divergence_of(job), { class: 'warn' }), element('h3', 'Loss by step'),
    loss_chart(points, steps * number(job.spec.segments), nothing_of(job)), terms(job, names), element('h3', first_of_newest(job) > 0 ? `The newest ${kSegments} segments` : 'Segments'), element('div', segment_table(job, job.segments, names), { class: 'scroll' }),
    element('h3', 'What happened'), element('div', timeline(history), { class: 'scroll' }));
}
