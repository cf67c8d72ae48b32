// SPDX-License-Identifier: Apache-2.0
// Plots of losses: a line that fits into a table, and a chart with axes.
import { element, svg } from './dom.js';

const is_finite = (points) => points.filter((p) => Number.isFinite(p.y));

function extent(points) {
  const ys = points.map((p) => p.y);
  const low = Math.min(...ys), high = Math.max(...ys);
  return high > low ? { low, high } : { low: low - 0.5, high: high + 0.5 };
}

const describe = (points) => `loss from ${points[0].y.toFixed(3)} to ${points[points.length - 1].y.toFixed(3)}`;

/// `losses` by segment.
export function sparkline(losses) {
  const points = is_finite(losses.map((y, x) => ({ x, y })));
  if (points.length < 2) return '';
  const { low, high } = extent(points);
  const line = points.map((p) => `${(100 * p.x) / (losses.length - 1)},${2 + (16 * (high - p.y)) / (high - low)}`);
  return svg('svg', svg('polyline', [], { points: line.join(' ') }),
    { viewBox: '0 0 100 20', preserveAspectRatio: 'none', class: 'spark', role: 'img', 'aria-label': describe(points) });
}

/// Round numbers, about `count` of them, within the range.
export function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((f) => f * power >= rough) * power;
  const out = [];
  for (let y = Math.ceil(low / step) * step; y <= high + step / 1e6; y += step) out.push(Number(y.toPrecision(6)));
  return out;
}

const kWidth = 720, kHeight = 240, kLeft = 48, kRight = 12, kTop = 12, kBottom = 28;

/// `points`: {x: step, y: loss}; the axis of steps ends at `steps`. `nothing`: said where there are none.
export function loss_chart(points, steps, nothing) {
  points = is_finite(points);
  if (points.length === 0) return element('p', nothing, { class: 'dim' });
  const { low, high } = extent(points);
  const margin = (high - low) * 0.06;
  const x_of = (x) => kLeft + ((kWidth - kLeft - kRight) * x) / Math.max(steps, 1);
  const y_of = (y) => kTop + ((kHeight - kTop - kBottom) * (high + margin - y)) / (high - low + 2 * margin);
  const grid = ticks(low, high, 4).flatMap((y) => [
    svg('line', [], { x1: kLeft, x2: kWidth - kRight, y1: y_of(y), y2: y_of(y), class: 'grid' }),
    svg('text', y, { x: kLeft - 8, y: y_of(y) + 4, 'text-anchor': 'end' })]);
  const below = ticks(0, steps, 6).map((x) => svg('text', x, { x: x_of(x), y: kHeight - 8, 'text-anchor': 'middle' }));
  const line = svg('polyline', [], { points: points.map((p) => `${x_of(p.x)},${y_of(p.y)}`).join(' ') });
  const dots = points.map((p) => svg('circle', svg('title', `step ${p.x}: loss ${p.y.toFixed(4)}`),
    { cx: x_of(p.x), cy: y_of(p.y), r: points.length > 60 ? 2 : 4 }));
  return svg('svg', [...grid, ...below, line, ...dots],
    { viewBox: `0 0 ${kWidth} ${kHeight}`, class: 'chart', role: 'img', 'aria-label': describe(points) });
}
