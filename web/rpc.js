// SPDX-License-Identifier: Apache-2.0
// JSON-RPC of the node that served this page.

let next_id = 1;

async function post(body) {
  const answer = await fetch('/', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  return answer.json();
}

function result_of(answer) {
  if (answer.error) throw new Error(answer.error.message);
  return answer.result;
}

export async function rpc(method, params = []) {
  return result_of(await post({ jsonrpc: '2.0', id: next_id++, method, params }));
}

/// Several calls in one request; an answer that failed becomes `undefined`.
export async function batch(calls) {
  if (calls.length === 0) return [];
  const first = next_id;
  next_id += calls.length;
  const answers = await post(calls.map(([method, params = []], i) => ({ jsonrpc: '2.0', id: first + i, method, params })));
  if (!Array.isArray(answers)) return result_of(answers);
  const by_id = new Map(answers.map((answer) => [answer.id, answer.result]));
  return calls.map((_, i) => by_id.get(first + i));
}

export const quantity = (n) => '0x' + BigInt(n).toString(16);

/// The newest `count` of what a method lists from the oldest on: {total, items}.
export async function newest(method, name, count) {
  const total = number((await rpc(method, ['0x0', '0x0'])).total);
  const from = Math.max(0, total - count);
  const items = total === 0 ? [] : (await rpc(method, [quantity(from), quantity(count)]))[name].reverse();
  return { total, items };
}

export const number = (quantity) => Number(BigInt(quantity));
