// SPDX-License-Identifier: Apache-2.0
// Models with their pictures, and providers.
import { $, coins, element, facts, found, link, table } from './dom.js';
import { batch, number, rpc } from './rpc.js';

const kModels = '0x0000000000000000000000000000000000000b04';
const kTokenUri = '0xc87b56dd';  // tokenURI(uint256)

const pictures = new Map();  // by token

/// The string that an eth_call returns.
export function text_in(data) {
  const bytes = Uint8Array.from(data.slice(2).match(/../g) ?? [], (hex) => parseInt(hex, 16));
  const length = Number(BigInt('0x' + data.slice(66, 130)));
  return new TextDecoder().decode(bytes.subarray(64, 64 + length));
}

/// The picture in a token's metadata, if it is one that is in the URI itself.
export function picture_in(uri) {
  const json = /^data:application\/json;base64,(.*)$/.exec(uri);
  if (!json) return undefined;
  const { image } = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(json[1]), (c) => c.charCodeAt(0))));
  return typeof image === 'string' && image.startsWith('data:image/svg+xml') ? image : undefined;
}

async function learn_pictures(models) {
  const due = models.filter((m) => !pictures.has(m.id));
  const calls = due.map((m) => ['eth_call', [{ to: kModels, data: kTokenUri + BigInt(m.id).toString(16).padStart(64, '0') }, 'latest']]);
  const answers = await batch(calls);
  due.forEach((m, i) => {
    try {
      if (answers[i]) pictures.set(m.id, picture_in(text_in(answers[i])));
    } catch {
      pictures.set(m.id, undefined);  // metadata of another kind
    }
  });
}

function card(m) {
  const picture = pictures.get(m.id);
  const title = element('h3', `#${number(m.id)}`);
  const body = facts([
    ['loss', m.loss.toFixed(4)], ['trained in', link(`job #${number(m.jobId)}`, `job-${number(m.jobId)}`)],
    ['segments', number(m.segments)], ['owner', found(m.owner)], ['licence', m.licence || 'not stated'],
    ['weights', element('a', 'download', { href: '/blob/' + m.stateBlob })]]);
  return element('article', [picture ? element('img', '', { src: picture, alt: `picture of model ${number(m.id)}` }) : '', title, body]);
}

export async function show_models(models, total) {
  await learn_pictures(models);
  $('models-count').textContent = total === 0 ? '' : total;
  $('models').replaceChildren(...(models.length ? models.map(card) : [element('p', 'None yet. One is minted when a job closes.', { class: 'dim' })]));
}

export function show_providers(providers, total) {
  $('providers-count').textContent = total === 0 ? '' : total;
  $('providers').replaceChildren(table(['name', 'hardware', 'stake', 'in bonds', 'address'], providers.map((p) => {
    const stake = BigInt(p.stake), reserved = BigInt(p.reserved);
    const share = stake === 0n ? 0 : Number((100n * reserved) / stake);
    const bar = element('meter', '', { min: 0, max: 100, value: share });
    return [p.name, p.capability, coins(stake), [bar, ` ${coins(reserved)}`], found(p.address)];
  }), 'None yet. `trainyard provider` registers one.'));
}

/// Names by address, for what others did.
export async function provider_names() {
  const { providers } = await rpc('yard_providers', ['0x0', '0x64']);
  return new Map(providers.filter((p) => p.name).map((p) => [p.address, p.name]));
}
