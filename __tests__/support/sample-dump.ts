import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { DumpContext } from '../../src/migration/kept/directory.ts'
import { sealDump } from '../../src/migration/kept/directory.ts'
import { archivePath, type DumpContents, type Manifest } from '../../src/migration/kept/manifest.ts'
import { randomIntegers } from './random.ts'

/** A context that keeps what it is told. */
export class QuietContext implements DumpContext {
  readonly lines: string[] = []
  readonly warnings: string[] = []
  readonly stop = new AbortController()
  readonly signal = this.stop.signal
  readonly log = {
    debug: (line: string) => void this.lines.push(line),
    info: (line: string) => void this.lines.push(line),
    warning: (line: string) => void this.lines.push(line),
  }
  readonly progress = {
    update: (line: string): void => {
      this.lines.push(line)
    },
  }
  readonly warn = (message: string) => void this.warnings.push(message)
}

/** A temporary directory that is removed at the end of a `using`. */
export class Scratch implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'dump-test-'))

  of(name: string): string {
    return join(this.path, name)
  }

  write(name: string, content: string | Uint8Array): void {
    mkdirSync(dirname(this.of(name)), { recursive: true })
    writeFileSync(this.of(name), content)
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

/** Bytes that no compression makes smaller. */
export function noise(bytes: number, seed = bytes): Buffer {
  const next = randomIntegers(seed)
  const buffer = Buffer.alloc(bytes)
  for (let at = 0; at + 4 <= bytes; at += 4) buffer.writeUInt32LE(next(4294967296), at)
  return buffer
}

/** The names that the sample's two databases have on their source. */
export const sampleNames = ['shop', '../Shop "ä"\n::error::x'] as const

/** What `pg_dump -Fd` could have written for two databases, file by file. */
export const sampleFiles: Record<string, Buffer> = {
  'roles.sql': Buffer.from("CREATE ROLE app PASSWORD 'SCRAM-SHA-256$canary';\n"),
  'roles.polardb.sql': Buffer.from('CREATE ROLE app;\n'),
  [`${archivePath(sampleNames[0], 1)}/toc.dat`]: noise(2000),
  [`${archivePath(sampleNames[0], 1)}/3001.dat.gz`]: noise(300_000),
  [`${archivePath(sampleNames[0], 1)}/3002.dat.gz`]: noise(70_000),
  [`${archivePath(sampleNames[0], 1)}/3003.dat.gz`]: Buffer.alloc(0),
  [`${archivePath(sampleNames[0], 2)}/toc.dat`]: noise(500),
  [`${archivePath(sampleNames[1], 1)}/toc.dat`]: noise(900),
  [`${archivePath(sampleNames[1], 1)}/blobs.toc`]: Buffer.from('1 blob_1.dat\n'),
  [`${archivePath(sampleNames[1], 1)}/blob_1.dat`]: noise(65_536),
}

export const sampleContents: DumpContents = {
  source: { version: '15.20', major: 15 },
  client: { version: '15.20' },
  databases: [
    {
      name: sampleNames[0],
      bytes: 9_000_000,
      archives: [1, 2].map((number) => ({ path: archivePath(sampleNames[0], number) })),
      properties: { encoding: 'UTF8' },
      fingerprint: { tables: [['public', 'orders', '12345678901234567890']] },
    },
    {
      name: sampleNames[1],
      bytes: 1,
      archives: [{ path: archivePath(sampleNames[1], 1) }],
      properties: null,
      fingerprint: [],
    },
  ],
  losses: [
    {
      entry: 'TABLE jobs.queue',
      database: sampleNames[0],
      reason: 'of an extension',
      remedy: 'take it out',
    },
  ],
  roles: { catalog: [{ name: 'app' }] },
}

/** Writes the sample into a directory and seals it. */
export async function sampleDump(directory: string): Promise<Manifest> {
  for (const [path, content] of Object.entries(sampleFiles)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true })
    writeFileSync(join(directory, path), content)
  }
  return sealDump(directory, sampleContents, new QuietContext())
}
