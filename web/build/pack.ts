import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';

/** Files that stay in the folder of the build: it is part of the repository, empty. */
const KEPT = '.gitignore';

/**
 * Clears the folder before a build, and packs every file twice after it (Brotli, gzip), so that the gateway packs nothing
 * as it serves.
 */
export function pack(): Plugin {
  let folder = '';
  return {
    name: 'pack',
    apply: 'build',
    configResolved(config) {
      folder = resolve(config.root, config.build.outDir);
    },
    buildStart() {
      for (const name of readdirSync(folder)) {
        if (name !== KEPT) rmSync(join(folder, name), { recursive: true });
      }
    },
    closeBundle() {
      for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
        const path = join(folder, name);
        if (name === KEPT || name.endsWith('.woff2') || !statSync(path).isFile()) continue;
        const plain = readFileSync(path);
        writeFileSync(`${path}.gz`, gzipSync(plain, { level: 9 }));
        const size = { [constants.BROTLI_PARAM_SIZE_HINT]: plain.length };
        writeFileSync(`${path}.br`, brotliCompressSync(plain, { params: size }));
      }
    },
  };
}
