// SPDX-License-Identifier: Apache-2.0
// What happened to a job, from the market's events (genesis/contracts/interfaces/IComputeMarket.sol).
import { coins, element, found, link, table } from './dom.js';
import { batch, number, quantity } from './rpc.js';

const kMarket = '0x0000000000000000000000000000000000000b03';
/// A node answers for so many blocks at once.
const kBlocks = 100_000;

const word = (log, i) => BigInt('0x' + (log.data.slice(2 + 64 * i, 2 + 64 * (i + 1)) || '0'));
const address_in = (topic) => '0x' + topic.slice(-40);
const who = (log, i) => found(address_in(log.topics[i]));
const seg = (log) => `segment ${number(log.topics[2])}`;
const kOutcomes = ['', 'complete', 'cancelled', 'expired', 'diverged'];

/// The first four bytes of an event's topic, its name, and its words.
export const events = {
  '0xa8bd0a6a': ['JobPosted', (log) => ['posted by ', who(log, 2)]],
  '0x3ac9914b': ['JobTaken', (log) => ['taken by ', who(log, 2), `, which bonds ${coins(word(log, 0))}`]],
  '0xe05db8ec': ['JobReopened', () => ['open again']],
  '0x58243f87': ['JobCancelled', () => ['cancelled by its client']],
  '0x6841448e': ['JobClosed', (log) => [`closed, ${kOutcomes[Number(word(log, 0))]}; ${coins(word(log, 1))} come back to the client`]],
  '0xcb8c0b34': ['SegmentCommitted', (log) => [`${seg(log)} committed by `, who(log, 3)]],
  '0xb05109fe': ['SegmentDiverged', (log) => [`${seg(log)}: step ${word(log, 0)} gives an Inf or a NaN, says `, who(log, 3)], () => 'warn'],
  '0x8c933043': ['AuditOpened', (log) => [`${seg(log)}: ${word(log, 0) === 2n ? 'auditors' : word(log, 1) === 0n ? 'a pair that replays all' : 'a committee that replays all'} drawn`]],
  '0xf251ccd8': ['AuditWaits', (log) => [`${seg(log)}: auditors are drawn and busy until about block ${word(log, 0)}`]],
  '0x8cd84711': ['AuditPostponed', (log) => [`${seg(log)}: its audit will be drawn anew`]],
  '0xb56918e4': ['BundleServed', (log) => [`${seg(log)}: the provider shows what auditors need`]],
  '0x9869b285': ['AnswerCommitted', (log) => [`${seg(log)}: an answer of `, who(log, 3), ' is sealed']],
  '0x952831f2': ['AnswerRevealed', (log) => [`${seg(log)}: `, who(log, 3), word(log, 0) === 1n ? ' says match' : ' says MISMATCH'], (log) => (word(log, 0) === 1n ? '' : 'bad')],
  '0xe26b0cce': ['SegmentOpened', (log) => [`${seg(log)}: the provider opens what was drawn`]],
  '0x400c45df': ['SegmentAccepted', (log) => [`${seg(log)} accepted${word(log, 0) === 0n ? ', unaudited' : ''}`], (log) => (word(log, 0) === 0n ? 'warn' : 'good')],
  '0x3e8cfcb1': ['SegmentChallenged', (log) => [`${seg(log)} challenged by `, who(log, 3), `, who bonds ${coins(word(log, 0))}`], () => 'warn'],
  '0x76c55562': ['ChallengeSettled', (log) => [`${seg(log)}: the challenge is ${word(log, 0) === 1n ? 'won' : 'over'}, ${coins(word(log, 1))} return`]],
  '0x7a30db49': ['SegmentDisputed', (log) => [`${seg(log)} disputed by `, who(log, 3), `, who bonds ${coins(word(log, 0))}`], () => 'warn'],
  '0x7df8b35a': ['DisputeMoved', (log) => [`${seg(log)}: a move before the referee, the next is the ${word(log, 0) === 1n ? 'challenger' : 'provider'}'s`]],
  '0xb9eca51f': ['DisputeSettled', (log) => [`${seg(log)}: the dispute is ${word(log, 0) === 1n ? 'won' : 'over'}, ${coins(word(log, 1))} return`]],
  '0x4e938620': ['SegmentConvicted', (log) => [`${seg(log)} found wrong by a committee; `, who(log, 3), ` may appeal until block ${word(log, 0)}`], () => 'bad'],
  '0xd688bb5e': ['SegmentAppealed', (log) => [`${seg(log)}: `, who(log, 3), ` appeals, and bonds ${coins(word(log, 0))}`], () => 'warn'],
  '0xa5b51226': ['AppealSettled', (log) => [`${seg(log)}: the appeal is ${word(log, 0) === 1n ? 'won' : 'over'}, ${coins(word(log, 1))} return`]],
  '0xeaeaffd4': ['SegmentFinal', (log) => [`${seg(log)} paid: ${coins(word(log, 0))}, burned ${coins(word(log, 1))}`], () => 'good'],
  '0x3137c8ff': ['SegmentVoid', (log) => [`${seg(log)} void: `, who(log, 3), ` loses ${coins(word(log, 0))}`], () => 'bad'],
  '0x515176dd': ['ProviderFined', (log) => ['provider ', who(log, 2), ` fined ${coins(word(log, 0))}`], () => 'bad'],
  '0xb2800d0c': ['AuditorFined', (log) => [`${seg(log)}: auditor `, who(log, 3), ` fined ${coins(word(log, 0))}`], () => 'bad'],
  '0xcbe143e9': ['BondFreed', (log) => ['the bond of ', who(log, 2), ` is free: ${coins(word(log, 0))}`]],
};

/// The newest `count` events of a job, the newest first; those of the last blocks that a node tells at once.
export async function history_of(job_id, head, count) {
  const topics = [null, '0x' + BigInt(job_id).toString(16).padStart(64, '0')];
  const [logs] = await batch([['eth_getLogs', [{ address: kMarket, fromBlock: quantity(Math.max(0, head - kBlocks + 1)), toBlock: quantity(head), topics }]]]);
  return (logs ?? []).slice(-count).reverse();
}

export function timeline(logs) {
  return table(['block', 'what', 'transaction'], logs.map((log) => {
    const [name, words, tone] = events[log.topics[0].slice(0, 10)] ?? [log.topics[0].slice(0, 10), () => ['an event that this page does not know']];
    const text = element('span', words(log), { class: tone?.(log) ?? '', title: name });
    return [link(number(log.blockNumber), number(log.blockNumber)), text, found(log.transactionHash)];
  }), 'Nothing yet.');
}
