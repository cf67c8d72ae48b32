// SPDX-License-Identifier: Apache-2.0
// The explorer page: reads this node's JSON-RPC and shows it; it holds no key and changes nothing.

let next_id = 1;

async function rpc(method, params = []) {
  const body = JSON.stringify({ jsonrpc: '2.0', id: next_id++, method, params });
  const answer = await fetch('/', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
  const json = await answer.json();
  if (json.error) throw new Error(json.error.message);
  return json.result;
}

const $ = (id) => document.getElementById(id);
const number = (quantity) => Number(BigInt(quantity));
const short = (hex) => (hex && hex.length > 18 ? hex.slice(0, 10) + '…' + hex.slice(-6) : hex);

function coins(wei) {
  const text = BigInt(wei).toString().padStart(19, '0');
  const fraction = text.slice(-18).replace(/0+$/, '').slice(0, 6);
  return text.slice(0, -18) + (fraction ? '.' + fraction : '');
}

// Text from the chain is anybody's, so it only ever becomes text nodes.
function element(tag, content = '', attributes = {}) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  for (const part of [content].flat()) node.append(part instanceof Node ? part : String(part));
  return node;
}

function link(text, query) {
  const a = element('a', element('code', text), { href: '#' + query, title: query });
  return a;
}

function table(titles, rows) {
  if (rows.length === 0) return element('p', 'None yet.', { class: 'dim' });
  const head = element('tr', titles.map((title) => element('th', title)));
  const body = rows.map((row) => element('tr', row.map((cell) => element('td', cell ?? ''))));
  return element('table', [element('thead', head), element('tbody', body)]);
}

function show(id, node) {
  $(id).replaceChildren(node);
}

function age(timestamp) {
  const seconds = Math.max(0, Math.round(Date.now() / 1000 - number(timestamp)));
  return seconds < 120 ? seconds + ' s' : Math.round(seconds / 60) + ' min';
}

function show_strip(status, base_fee, block_time) {
  const entries = {
    state: status.halted ? 'halted' : status.syncing ? 'syncing' : 'in step',
    height: number(status.head.number),
    finalized: status.finalized ? number(status.finalized.number) : '–',
    'block time': block_time,
    'base fee': number(base_fee) / 1e9 + ' gwei',
    peers: status.peers.length,
    pool: number(status.pool.pending),
    role: status.role,
    verifier: status.verifier,
    version: status.version,
  };
  $('strip').replaceChildren(...Object.entries(entries).map(([name, value]) =>
    element('div', [element('dt', name), element('dd', value)])));
}

function show_alert(text) {
  $('alert').hidden = !text;
  $('alert').textContent = text ?? '';
}

async function latest_blocks(head, count) {
  const numbers = [];
  for (let n = head; n >= 0 && numbers.length < count; --n) numbers.push(n);
  return Promise.all(numbers.map((n) => rpc('eth_getBlockByNumber', ['0x' + n.toString(16), false])));
}

function show_blocks(blocks) {
  show('blocks', table(['number', 'age', 'transactions', 'gas', 'leader', 'hash'], blocks.filter(Boolean).map((b) => [
    link(number(b.number), number(b.number)), age(b.timestamp), b.transactions.length,
    Math.round(100 * number(b.gasUsed) / number(b.gasLimit)) + ' %', link(short(b.miner), b.miner),
    link(short(b.hash), b.hash)])));
}

function progress(job) {
  const total = number(job.spec.segments);
  const bar = element('progress', '', { max: total, value: number(job.tip) });
  return [bar, ` ${number(job.tip)} of ${total}, ${number(job.finalSegments)} final`];
}

function show_jobs(jobs) {
  show('jobs', table(['job', 'state', 'segments', 'price per segment', 'provider', 'client'], jobs.map((job) => {
    const open = element('a', '#' + number(job.id), { href: '#job-' + number(job.id) });
    const outcome = job.state === 'closed' ? job.outcome : job.state;
    return [open, outcome, progress(job), coins(job.spec.pricePerSegment), link(short(job.provider), job.provider),
      link(short(job.client), job.client)];
  })));
}

function loss_line(segments) {
  const losses = segments.map((s) => s.loss).filter(Number.isFinite);
  if (losses.length < 2) return '';
  const low = Math.min(...losses), high = Math.max(...losses), span = high - low || 1;
  const points = losses.map((loss, i) => `${(i * 100) / (losses.length - 1)},${5 + (90 * (high - loss)) / span}`);
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 100 100');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('class', 'spark');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `loss from ${losses[0]} to ${losses[losses.length - 1]}`);
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
  line.setAttribute('points', points.join(' '));
  svg.append(line);
  return svg;
}

const verdict_class = { final: 'good', accepted: 'good', void: 'bad' };

async function show_job(id) {
  const job = await rpc('yard_job', ['0x' + id.toString(16)]);
  $('job').hidden = !job;
  if (!job) return;
  $('job-title').textContent = 'Job #' + id;
  const segments = table(['segment', 'audit', 'loss', 'committed in', 'provider', 'state root', 'state blob'],
    job.segments.map((s) => [number(s.index), element('span', s.state, { class: verdict_class[s.state] ?? '' }),
      s.loss.toFixed(4), link(number(s.committedAt), number(s.committedAt)), link(short(s.provider), s.provider),
      element('code', short(s.last)), element('a', 'download', { href: '/blob/' + s.stateBlob })]));
  const facts = element('p', [`${job.state}, licence ${job.spec.licence || 'not stated'}, escrow ${coins(job.escrow)}, program `,
    element('code', short(job.spec.programId))]);
  $('job-body').replaceChildren(facts, loss_line(job.segments), segments);
}

function show_providers(providers) {
  show('providers', table(['name', 'stake', 'reserved', 'hardware', 'address'], providers.map((p) => [
    p.name, coins(p.stake), coins(p.reserved), p.capability, link(short(p.address), p.address)])));
}

function show_models(models) {
  show('models', table(['token', 'job', 'loss', 'segments', 'licence', 'owner', 'weights'], models.map((m) => [
    '#' + number(m.id), element('a', '#' + number(m.jobId), { href: '#job-' + number(m.jobId) }), m.loss.toFixed(4),
    number(m.segments), m.licence, link(short(m.owner), m.owner),
    element('a', 'download', { href: '/blob/' + m.stateBlob })])));
}

function show_validators(validators) {
  show('validators', table(['operator', 'stake', 'here'], validators.map((v) => [
    link(short(v.operator), v.operator), coins(v.stake), v.self ? 'this node' : v.connected ? 'connected' : 'not connected'])));
}

async function find(query) {
  query = query.trim();
  if (/^[0-9]+$/.test(query)) return rpc('eth_getBlockByNumber', ['0x' + BigInt(query).toString(16), false]);
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

async function follow_hash() {
  const target = decodeURIComponent(location.hash.slice(1));
  if (/^job-[0-9]+$/.test(target)) return show_job(Number(target.slice(4)));
  if (!target) return;
  $('found').hidden = false;
  try {
    const found = await find(target);
    $('result').textContent = found ? JSON.stringify(found, null, 2) : 'nothing of that name is here';
  } catch (error) {
    $('result').textContent = error.message;
  }
}

async function page_of(method, name) {
  try {
    const first = await rpc(method, ['0x0', '0x1']);
    const total = number(first.total);
    const from = Math.max(0, total - 50);
    return (await rpc(method, ['0x' + from.toString(16), '0x32']))[name].reverse();
  } catch {
    return [];
  }
}

async function refresh() {
  try {
    const status = await rpc('yard_status');
    const head = number(status.head.number);
    const [blocks, base_fee, jobs, providers, models, validators] = await Promise.all([
      latest_blocks(head, 10), rpc('eth_baseFee'), page_of('yard_jobs', 'jobs'),
      page_of('yard_providers', 'providers'), page_of('yard_models', 'models'), rpc('yard_validators')]);
    const old = blocks[blocks.length - 1];
    const seconds = old && blocks.length > 1
      ? ((number(blocks[0].timestamp) - number(old.timestamp)) / (blocks.length - 1)).toFixed(1) + ' s' : '–';
    show_strip(status, base_fee, seconds);
    show_alert(status.halted ?? status.whyNotVoting);
    show_blocks(blocks);
    show_jobs(jobs);
    show_providers(providers);
    show_models(models);
    show_validators(validators);
    if (location.hash.startsWith('#job-')) await follow_hash();
  } catch (error) {
    show_alert('This node does not answer: ' + error.message);
  }
  setTimeout(refresh, 2000);
}

$('search').addEventListener('submit', (event) => {
  event.preventDefault();
  location.hash = $('query').value.trim();
});
addEventListener('hashchange', follow_hash);
follow_hash();
refresh();
