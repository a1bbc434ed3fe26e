/** Bundles site.js into ../assets (or a folder that is named), with the licences of what is in it. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

const [, , ASSETS = '../assets'] = process.argv;
const RULE = `\n${'-'.repeat(78)}\n`;

/** The folders of the packages whose files are in the bundle. */
function packagesIn(inputs) {
  const folders = Object.keys(inputs)
    .map((file) => file.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0])
    .filter(Boolean);
  return [...new Set(folders)].sort();
}

function notice(folder) {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  return { title: `${name} ${version} (${license})`, text: readFileSync(`${folder}/${file}`, 'utf8').trim() };
}

function written(notices) {
  const words = 'site.js holds code of these packages, bundled from npm as published.\n';
  const unique = [...new Map(notices.map((one) => [one.title, one])).values()];
  return words + unique.map(({ title, text }) => `${RULE}${title}${RULE}\n${text}\n`).join('');
}

const { metafile } = await build({
  entryPoints: ['site.js'],
  outfile: `${ASSETS}/site.js`,
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2020',
  charset: 'utf8',
  legalComments: 'none',
  banner: { js: '/* Built from website/source; licences of what is in it: site.js.licences.txt */' },
  metafile: true,
});
writeFileSync(`${ASSETS}/site.js.licences.txt`, written(packagesIn(metafile.inputs).map(notice)));
