/** The score over time as a small SVG, with the threshold's line. */
import { drawn } from './dom.js';

const WIDTH = 300;
const TOP = 14;
const BOTTOM = 88;
const SHORTEST = 60; // seconds that the chart spans at least

const percent = (share) => `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`;

/** Draws points of [milliseconds, score], oldest first. */
export function drawChart(svg, points, threshold) {
  if (!points.length) return;
  const [last, score] = points[points.length - 1];
  const first = Math.min(points[0][0], last - SHORTEST * 1000);
  const highest = Math.min(1, Math.max(threshold * 1.35, ...points.map((point) => point[1] * 1.15)));
  const x = (moment) => ((moment - first) / (last - first)) * (WIDTH - 8);
  const y = (value) => BOTTOM - (value / highest) * (BOTTOM - TOP);
  const line = points.map(([moment, value]) => `${x(moment).toFixed(1)},${y(value).toFixed(1)}`);
  const level = y(threshold).toFixed(1);
  const area = [`${x(points[0][0]).toFixed(1)},${BOTTOM}`, ...line, `${x(last).toFixed(1)},${BOTTOM}`];
  svg.replaceChildren(
    drawn('line', { class: 'chart-base', x1: 0, x2: WIDTH, y1: BOTTOM, y2: BOTTOM }),
    drawn('polygon', { class: 'chart-area', points: area.join(' ') }),
    drawn('line', { class: 'chart-threshold', x1: 0, x2: WIDTH, y1: level, y2: level }),
    drawn('text', { x: 0, y: level - 4 }, `offer from ${percent(threshold)}`),
    drawn('polyline', { class: 'chart-line', points: line.join(' ') }),
    drawn('circle', { class: 'chart-dot', cx: x(last).toFixed(1), cy: y(score).toFixed(1), r: 4 }),
    drawn('text', { x: 0, y: 101 }, ago(last - first)),
    drawn('text', { x: WIDTH, y: 101, 'text-anchor': 'end' }, 'now'),
  );
  svg.setAttribute('aria-label', `${points.length} scores, the last ${percent(score)}; offer from ${percent(threshold)}`);
}

function ago(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  return seconds < 100 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`;
}
