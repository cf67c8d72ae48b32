// SPDX-License-Identifier: Apache-2.0
// Making nodes and words. Text from the chain is anybody's, so it only ever becomes text nodes.
import { number } from './rpc.js';

export const $ = (id) => document.getElementById(id);

function fill(node, content, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  for (const part of [content].flat()) node.append(part instanceof Node ? part : String(part ?? ''));
  return node;
}

export function element(tag, content = '', attributes = {}) {
  return fill(document.createElement(tag), content, attributes);
}

export function svg(tag, content = [], attributes = {}) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), content, attributes);
}

export function table(titles, rows, nothing = 'None yet.') {
  if (rows.length === 0) return element('p', nothing, { class: 'dim' });
  const head = element('tr', titles.map((title) => element('th', title)));
  const body = rows.map((row) => element('tr', row.map((cell) => element('td', cell ?? ''))));
  return element('table', [element('thead', head), element('tbody', body)]);
}

/// [[name, value], …]; what has no value is left out.
export function facts(entries) {
  return element('dl', entries.filter(([, value]) => value !== undefined && value !== '').map(([name, value]) =>
    element('div', [element('dt', name), element('dd', value)])));
}

export const badge = (text, tone = '') => element('span', text, { class: `badge ${tone}` });

export const short = (hex) => (hex && hex.length > 18 ? hex.slice(0, 8) + '…' + hex.slice(-4) : hex);

/// A place of this page.
export const link = (text, target) => element('a', text, { href: '#' + target });
/// What can be searched for: a block, transaction or address.
export const found = (hex) => element('a', element('code', short(hex)), { href: '#' + hex, title: hex });
export const is_nobody = (address) => /^0x0*$/.test(address);

export function coins(wei) {
  const text = BigInt(wei).toString().padStart(19, '0');
  const fraction = text.slice(-18).replace(/0+$/, '').slice(0, 6);
  return text.slice(0, -18).replace(/\B(?=(\d{3})+$)/g, ' ') + (fraction ? '.' + fraction : '');
}

export function price_of_gas(wei) {
  return BigInt(wei) < 1_000_000n ? `${BigInt(wei)} wei` : `${number(wei) / 1e9} gwei`;
}

export function duration(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export const age_s = (timestamp) => Math.max(0, Date.now() / 1000 - number(timestamp));
