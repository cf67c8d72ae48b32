// SPDX-License-Identifier: Apache-2.0
// Blocks, validators, and what can be searched for.
import { $, age_s, badge, coins, duration, element, found, link, table } from './dom.js';
import { batch, number, quantity, rpc } from './rpc.js';

export async function latest_blocks(head, count) {
  const calls = [];
  for (let n = head; n >= 0 && calls.length < count; --n) calls.push(['eth_getBlockByNumber', [quantity(n), false]]);
  return (await batch(calls)).filter(Boolean);
}

/// Seconds from one to the next, over those given.
export function block_seconds(blocks) {
  if (blocks.length < 2) return undefined;
  return (number(blocks[0].timestamp) - number(blocks[blocks.length - 1].timestamp)) / (blocks.length - 1);
}

export function show_blocks(blocks) {
  $('blocks').replaceChildren(table(['number', 'age', 'transactions', 'gas', 'leader', 'hash'], blocks.map((b) => [
    link(number(b.number), number(b.number)), duration(age_s(b.timestamp)), b.transactions.length,
    element('meter', '', { min: 0, max: number(b.gasLimit), value: number(b.gasUsed), title: `${number(b.gasUsed)} of ${number(b.gasLimit)}` }),
    found(b.miner), found(b.hash)])));
}

export function show_validators(validators) {
  const total = validators.reduce((sum, v) => sum + BigInt(v.stake), 0n) || 1n;
  $('validators').replaceChildren(table(['operator', 'stake', 'share', 'seen from here'], validators.map((v) => {
    const share = Number((10_000n * BigInt(v.stake)) / total) / 100;
    const seen = v.self ? badge('this node', 'good') : v.connected ? badge('connected', 'good light') : badge('not connected');
    return [found(v.operator), coins(v.stake), [element('meter', '', { min: 0, max: 100, value: share }), ` ${share} %`], seen];
  })));
}

async function find(query) {
  if (/^[0-9]+$/.test(query)) return rpc('eth_getBlockByNumber', [quantity(query), false]);
  if (/^0x[0-9a-fA-F]{40}$/.test(query)) {
    const [balance, nonce, code] = await Promise.all(['eth_getBalance', 'eth_getTransactionCount', 'eth_getCode']
      .map((method) => rpc(method, [query, 'latest'])));
    return { address: query, balance: coins(balance), transactions: number(nonce), codeBytes: code.length / 2 - 1 };
  }
  if (/^0x[0-9a-fA-F]{64}$/.test(query)) {
    const tx = await rpc('eth_getTransactionByHash', [query]);
    if (tx) return { ...tx, receipt: await rpc('eth_getTransactionReceipt', [query]) };
    return rpc('eth_getBlockByHash', [query, false]);
  }
  throw new Error('a number, a 32-byte hash or a 20-byte address is needed');
}

export async function show_found(query) {
  $('found').hidden = false;
  try {
    const answer = await find(query.trim());
    $('result').textContent = answer ? JSON.stringify(answer, null, 2) : 'nothing of that name is here';
  } catch (error) {
    $('result').textContent = error.message;
  }
}
