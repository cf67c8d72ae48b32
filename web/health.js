// SPDX-License-Identifier: Apache-2.0
// Is the node well? The same questions as `trainyard status` asks (node/cli/health.cpp).
import { $, age_s, badge, duration, element, facts, price_of_gas } from './dom.js';
import { number } from './rpc.js';

const kFinalLate_s = 30, kDiskLow_bytes = 10e9, kClockOff_ms = 500;

/// [{tone, text}], the worst first; empty: it is well.
export function judge(status) {
  const out = [];
  const say = (tone, text) => out.push({ tone, text });
  if (status.halted) say('bad', `stands still: ${status.halted}`);
  if (status.whyNotVoting) say('bad', `does not vote: ${status.whyNotVoting}`);
  const final_age_s = status.finalized ? age_s(status.finalized.timestamp) : 0;
  if (status.syncing) say('warn', 'catches up with the others');
  else if (final_age_s > kFinalLate_s) say('bad', `nothing became final for ${duration(final_age_s)}: it waits for ${status.waitsFor}`);
  if (status.peers.length === 0) say('warn', 'has no peers');
  if (status.diskFree && number(status.diskFree) < kDiskLow_bytes) say('warn', `only ${(number(status.diskFree) / 1e9).toFixed(1)} GB of disk free`);
  if (Math.abs(status.clockAheadMs ?? 0) >= kClockOff_ms) say('warn', `its clock is ${status.clockAheadMs} ms ahead of its peers'`);
  return out.sort((a, b) => (a.tone === 'bad' ? 0 : 1) - (b.tone === 'bad' ? 0 : 1));
}

export function show_health(status, base_fee, block_s) {
  const problems = judge(status);
  const worst = problems[0]?.tone ?? 'good';
  $('health').replaceChildren(badge(problems.length === 0 ? 'well' : worst === 'bad' ? 'trouble' : 'warning', worst));
  show_alert(problems);
  const final = status.finalized ? number(status.finalized.number) : undefined;
  $('strip').replaceChildren(facts([
    ['block', number(status.head.number).toLocaleString('en').replaceAll(',', ' ')],
    ['final', final === number(status.head.number) ? 'at once' : `${number(status.head.number) - final} behind`],
    ['a block takes', block_s === undefined ? undefined : `${block_s.toFixed(1)} s`],
    ['gas', price_of_gas(base_fee)],
    ['peers', status.peers.length],
    ['waiting transactions', number(status.pool.pending)],
    ['this node', `${status.role}, up ${duration(number(status.uptime))}`],
    ['verifier', status.verifier],
    ['chain', number(status.chainId)],
  ]));
}

export function show_alert(problems) {
  $('alert').hidden = problems.length === 0;
  $('alert').replaceChildren(...problems.map((p) => element('p', `This node ${p.text}`, { class: p.tone })));
}
