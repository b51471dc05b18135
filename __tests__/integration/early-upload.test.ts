import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { GitHubArtifacts } from '../../src/action/artifacts.ts'
import { Cancelled, type Failure } from '../../src/failure.ts'
import type { DumpSink } from '../../src/migration/dump/sink.ts'
import { sealDump } from '../../src/migration/kept/directory.ts'
import { downloadDump } from '../../src/migration/kept/download.ts'
import { keepingDump } from '../../src/migration/kept/keep.ts'
import {
  type DumpedDatabase,
  type Manifest,
  parseManifest,
} from '../../src/migration/kept/manifest.ts'
import type { Limits } from '../../src/migration/kept/upload-limits.ts'
import type { Run } from '../../src/migration/run.ts'
import { type CommandResult, runInProcess } from '../support/in-process.ts'
import { takeMasks } from '../support/masks.ts'
import { ResultsServer } from '../support/results-server.ts'
import {
  noise,
  QuietContext,
  Scratch,
  sampleContents,
  sampleFiles,
} from '../support/sample-dump.ts'
import { SmallDisk } from '../support/small-disk.ts'

const passphrase = 'a long passphrase'
/** By which whatever is complete is worth a part. */
const tiny: Partial<Limits> = { bytes: 400_000, early: 1 }
/** By which the largest file of the sample takes two parts, and what else is complete with it a third. */
const cutting = { ...tiny, bytes: 200_000, files: 4 }
const [shop, other] = sampleContents.databases as [DumpedDatabase, DumpedDatabase]
/** The sample's second archive of `shop`, and one more that is still to come when everything else is sent. */
const ahead = [
  { path: 'databases/shop/2', tables: [], isRest: false, bytes: 1 },
  { path: 'databases/shop/3', tables: [], isRest: true, bytes: 1 },
]
const whole = {
  ...shop,
  archives: [...shop.archives, { path: 'databases/shop/3' }],
}

afterAll(takeMasks().stop)
let scratch: Scratch
let server: ResultsServer
let context: QuietContext
let left: string[]

beforeEach(async () => {
  scratch = new Scratch()
  context = new QuietContext()
  server = await ResultsServer.start()
  left = []
})
afterEach(async () => {
  await server.stop()
  scratch[Symbol.dispose]()
})

/** @param pauses before further attempts of an upload, which are as many */
const store = (job = 'a', pauses = [1]) => {
  const made = new GitHubArtifacts(context.log, server.environment('1', job), pauses)
  made.leave = (artifacts) => {
    left = artifacts.map(({ name }) => name)
  }
  return made
}
const names = () => server.artifacts().map(({ name }) => name)

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(20)
}

/** Writes the files of an archive as pg_dump would, other ones for another salt. */
function write(archive: string, salt = 0): void {
  const files = Object.entries(sampleFiles).filter(([path]) => path.startsWith(`${archive}/`))
  if (archive.endsWith('/3')) files.push([`${archive}/toc.dat`, noise(700)])
  for (const [path, content] of files) {
    const to = join(scratch.of('dump'), path)
    mkdirSync(dirname(to), { recursive: true })
    writeFileSync(to, salt ? noise(content.length + salt) : content)
  }
}

function writeAll(databases: readonly DumpedDatabase[], salt = 0): void {
  for (const { archives } of databases) for (const { path } of archives) write(path, salt)
  for (const path of ['roles.sql', 'roles.polardb.sql'])
    writeFileSync(join(scratch.of('dump'), path), sampleFiles[path] ?? '')
}

interface Keeping {
  sink: DumpSink
  /** Seals the dump and keeps it. */
  finish: (dumped?: readonly DumpedDatabase[]) => Promise<Manifest>
}

interface How {
  inputs?: Record<string, string>
  databases?: readonly DumpedDatabase[]
  limits?: Partial<Limits>
  artifacts?: GitHubArtifacts
  /** Of the databases on the source. */
  bytes?: number
  more?: Partial<Run>
}

/** Does what a command does around a dump, which `work` tells of. */
function keep(
  work: (keeping: Keeping) => Promise<unknown>,
  {
    inputs,
    databases = [whole, other],
    limits = tiny,
    artifacts = store(),
    bytes = 0,
    more,
  }: How = {},
): Promise<CommandResult> {
  const all = { command: 'dump', source: 'postgresql://nobody@nowhere/shop', ...inputs }
  mkdirSync(scratch.of('dump'), { recursive: true })
  const changes = {
    artifacts,
    canUpload: true,
    uploadLimits: limits,
    dumpDirectory: scratch.of('dump'),
    signal: context.signal,
    log: context.log,
    ...more,
  }
  const sizes = databases.map(() => ({ bytes }))
  return runInProcess(all, changes, (run) =>
    keepingDump(sizes, run, async (keeper) => {
      const quiet = { schema: () => {}, data: () => {}, lost: () => {}, dumped: () => {} }
      const sink = keeper.sink(quiet) ?? quiet
      const finish = async (dumped = databases) => {
        const contents = { ...sampleContents, databases: [...dumped] }
        const manifest = await sealDump(run.dumpDirectory, contents, run, run.inputs.passphrase)
        const upload = keeper.start(manifest)
        await upload.done
        upload.check()
        return manifest
      }
      await work({ sink, finish })
    }),
  )
}

/** The definitions of `shop` and its first data archive are complete: one part, or three where the largest file is cut. */
function tellEarly(sink: DumpSink): void {
  write('databases/shop/1')
  sink.schema({ ...shop, archives: shop.archives.slice(0, 1) }, ahead)
  write('databases/shop/2')
  sink.data('shop', 'databases/shop/2')
}

async function sendEarly({ sink }: Keeping, parts = 1): Promise<void> {
  tellEarly(sink)
  const sent = () => context.lines.filter((line) => line.startsWith('Uploaded polardb-dump-part'))
  await until(() => sent().length === parts)
}

/** All that is left of the dump is complete, too. */
function tellRest(sink: DumpSink): void {
  writeAll([whole, other])
  for (const { path } of ahead) sink.data('shop', path)
  sink.dumped(whole)
  sink.dumped(other)
}

/** The database is dumped anew into one archive, of other rows. */
const anew = [{ ...shop, archives: shop.archives.slice(0, 1) }, other] as const

function tellLost(sink: DumpSink): void {
  sink.lost('shop')
  rmSync(scratch.of('dump/databases/shop'), { recursive: true })
}

async function tellAnew(sink: DumpSink): Promise<void> {
  writeAll(anew, 8)
  sink.dumped(anew[0])
  await until(() => names().length > 0)
  sink.dumped(anew[1])
}

async function download(secret: string | undefined): Promise<Manifest> {
  const options = { name: 'polardb-dump', into: scratch.of('into'), passphrase: secret }
  return await downloadDump(store('b'), options, new QuietContext())
}

/** What was downloaded is, file by file, what was dumped. */
function expectSame(): void {
  const manifest = readFileSync(scratch.of('dump/manifest.json'))
  expect(readFileSync(scratch.of('into/manifest.json')).equals(manifest)).toBe(true)
  for (const { path } of parseManifest(manifest).files) {
    const [dumped, fetched] = ['dump', 'into'].map((at) =>
      readFileSync(scratch.of(`${at}/${path}`)),
    )
    expect(fetched?.equals(dumped as Buffer)).toBe(true)
  }
}

const sending = () => until(() => server.requests.some((line) => line.startsWith('PUT /blob/')))

test.each([
  ['plain', {}],
  ['plain, of uncompressed archives', { compression: 'none' }],
  ['encrypted', { passphrase }],
])(
  'a dump of which parts are sent while it is made comes back whole: %s',
  async (_, inputs: Record<string, string>) => {
    let early: string[] = []
    let sealed: Manifest | undefined
    const { error, report } = await keep(
      async (keeping) => {
        await sendEarly(keeping, 3)
        early = names()
        expect(left).toEqual(early)
        tellRest(keeping.sink)
        sealed = await keeping.finish()
      },
      { inputs, limits: cutting },
    )
    expect(error).toBeUndefined()
    expect(early).toEqual([1, 2, 3].map((number) => `polardb-dump-part-00${number}`))
    expect(names().slice(0, 3)).toEqual(early)
    expect(names().at(-1)).toBe('polardb-dump')
    expect(left).toEqual([])
    expect(report.artifact?.name).toBe('polardb-dump')
    const uploads = report.phases.filter(({ name }) => name === 'upload')
    expect(uploads.length).toBeGreaterThan(1)
    expect(uploads.map(({ status }) => status)).toEqual(uploads.map(() => 'succeeded'))
    const said = context.lines.join('\n')
    expect(said).toMatch(/Uploaded polardb-dump-part-001, .* while the dump goes on/)
    const connections = said.match(/maxConcurrency: \d/g)?.map((words) => Number(words.at(-1)))
    expect(connections?.slice(0, 3)).toEqual([2, 2, 2])
    expect(connections?.at(-1)).toBeGreaterThan(2)
    expect(await download(inputs.passphrase)).toEqual(sealed)
    expectSame()
  },
)

describe.each([
  ['plain', {}],
  ['encrypted', { passphrase }],
])('a dump of which parts are sent while it is made, %s,', (_, inputs: Record<string, string>) => {
  test('is sent anew where its moment is lost, under other names', async () => {
    const { error } = await keep(
      async (keeping) => {
        await sendEarly(keeping)
        tellLost(keeping.sink)
        await until(() => names().length === 0 && left.length === 0)
        await tellAnew(keeping.sink)
        await keeping.finish(anew)
      },
      { inputs },
    )
    expect(error).toBeUndefined()
    expect(names()[0]).toBe('polardb-dump-part-002')
    await download(inputs.passphrase)
    expectSame()
  })

  test('comes back whole where its moment is lost while a part is being sent', async () => {
    server.faults.stallUpload = { after: 10, times: 1 }
    const { error } = await keep(
      async ({ sink, finish }) => {
        tellEarly(sink)
        await sending()
        tellLost(sink)
        await tellAnew(sink)
        await finish(anew)
      },
      { inputs },
    )
    expect(error).toBeUndefined()
    expect(names()).not.toContain('polardb-dump-part-001')
    expect(names().at(-1)).toBe('polardb-dump')
    await download(inputs.passphrase)
    expectSame()
  })

  test('comes back whole where a part could not be sent early', async () => {
    server.faults.unauthorizedAfterBlocks = 1
    const { error, report } = await keep(
      async ({ sink, finish }) => {
        tellEarly(sink)
        await until(() => context.lines.some((line) => line.startsWith('A part could not be')))
        server.heal()
        tellRest(sink)
        await finish()
      },
      { inputs, limits: cutting, artifacts: store('a', []) },
    )
    expect(error).toBeUndefined()
    expect(report.warnings).toEqual([])
    // the second part was the one that failed
    expect(names().slice(0, 2)).toEqual(['polardb-dump-part-001', 'polardb-dump-part-003'])
    await download(inputs.passphrase)
    expectSame()
  })
})

test('a moment that is lost before any of its files was looked at is not sent', async () => {
  const { error } = await keep(async ({ sink, finish }) => {
    tellEarly(sink)
    tellLost(sink)
    await tellAnew(sink)
    await finish(anew)
  })
  expect(error).toBeUndefined()
  expect(names()[0]).toBe('polardb-dump-part-001')
  await download(undefined)
  expectSame()
})

describe('a dump of which parts were sent leaves none of them', () => {
  test('where it fails', async () => {
    const { error } = await keep(async (keeping) => {
      await sendEarly(keeping)
      throw new Error('pg_dump was killed')
    })
    expect((error as Error).message).toBe('pg_dump was killed')
    expect(names()).toEqual([])
    expect(left).toEqual([])
  })

  test('where it is cancelled while another one is being sent', async () => {
    const { error, report } = await keep(async (keeping) => {
      await sendEarly(keeping)
      server.requests.length = 0
      server.faults.stallUpload = { after: 10, times: 1 }
      write('databases/shop/3')
      keeping.sink.data('shop', 'databases/shop/3')
      await sending()
      context.stop.abort(new Cancelled())
      throw new Cancelled()
    })
    expect(error).toBeInstanceOf(Cancelled)
    expect(report.warnings).toEqual([])
    expect(names()).toEqual([])
    expect(left).toEqual([])
  })

  test('where a file of them is not what it was when it is sealed', async () => {
    const { error } = await keep(async (keeping) => {
      await sendEarly(keeping)
      tellRest(keeping.sink)
      writeFileSync(scratch.of('dump/databases/shop/1/3002.dat.gz'), noise(70_000, 1))
      await keeping.finish()
    })
    expect((error as Failure).message).toBe(
      'The dump is not uploaded: databases/shop/1/3002.dat.gz has changed since it was sent',
    )
    expect(names()).toEqual([])
  })

  test('where the rest of it cannot be sent', async () => {
    const { error } = await keep(
      async (keeping) => {
        await sendEarly(keeping)
        server.faults.unauthorizedAfterBlocks = 0
        tellRest(keeping.sink)
        await keeping.finish()
      },
      { artifacts: store('a', []) },
    )
    expect((error as Failure).message).toMatch(/polardb-dump-part-\S+ could not be uploaded/)
    expect(names()).toEqual([])
  })

  test('but those that cannot be deleted, which are named and left to the post step', async () => {
    const { report } = await keep(async (keeping) => {
      await sendEarly(keeping)
      server.faults.rpc = { status: 403, times: 1 }
      throw new Error('pg_dump was killed')
    })
    expect(names()).toHaveLength(1)
    expect(left).toEqual(names())
    expect(report.warnings).toEqual([
      expect.stringMatching(
        new RegExp(
          `^Parts of a dump that there will not be could not be deleted: ${names()[0]}\\.`,
        ),
      ),
    ])
  })

  test('and what another job has under the same names stays', async () => {
    const theirs = { name: 'polardb-dump-part-002', directory: scratch.path, files: ['x'] }
    scratch.write('x', 'x')
    await store('other').upload({ ...theirs, compressed: true }, context.signal)
    const { error } = await keep(
      async ({ sink }) => {
        tellEarly(sink)
        await until(() => context.lines.some((line) => line.startsWith('A part could not be')))
        throw new Error('pg_dump was killed')
      },
      { limits: cutting },
    )
    expect((error as Error).message).toBe('pg_dump was killed')
    expect(names()).toEqual(['polardb-dump-part-002'])
  })

  test('and what an earlier attempt of the job has under the same names stays', async () => {
    const theirs = { name: 'polardb-dump-part-001', directory: scratch.path, files: ['x'] }
    scratch.write('x', 'x')
    const { id } = await store('the first').upload({ ...theirs, compressed: true }, context.signal)
    server.newAttempt()
    server.requests.length = 0
    server.faults.stallUpload = { after: 10, times: 1 }
    const { error } = await keep(async ({ sink }) => {
      tellEarly(sink)
      await sending()
      context.stop.abort(new Cancelled())
      throw new Cancelled()
    })
    expect(error).toBeInstanceOf(Cancelled)
    expect(server.artifacts().map((one) => one.id)).toEqual([id])
  })

  test('but where the main artifact may be there they stay, and it is said', async () => {
    const { report, error } = await keep(async (keeping) => {
      await sendEarly(keeping)
      tellRest(keeping.sink)
      const finished = keeping.finish()
      // before its client can send what comes next
      while (names().length < 2) await setImmediate()
      server.requests.length = 0
      server.faults.stallUpload = { after: 10, times: 1 }
      await sending()
      context.stop.abort(new Cancelled())
      await finished
    })
    expect(error).toBeInstanceOf(Cancelled)
    expect(names()).toHaveLength(2)
    expect(report.warnings).toEqual([
      expect.stringMatching(/^Parts of the dump were uploaded, and/),
    ])
  })
})

describe('a dump is one artifact', () => {
  test.each([
    ['that is small', [whole, other], {}],
    ['of one database in one archive', [other], { early: 1 }],
  ])('%s', async (_, databases, limits) => {
    const { error } = await keep(
      async ({ sink, finish }) => {
        writeAll(databases)
        for (const database of databases) sink.dumped(database)
        await finish()
      },
      { databases, limits },
    )
    expect(error).toBeUndefined()
    expect(names()).toEqual(['polardb-dump'])
  })

  test('whose last archive is all that would be worth a part', async () => {
    const { error } = await keep(
      async ({ sink, finish }) => {
        tellEarly(sink)
        writeAll([whole])
        sink.data('shop', 'databases/shop/3')
        // its fingerprint is still being taken: whatever would be begun now is begun at once
        await sleep(200)
        sink.dumped(whole)
        await finish()
      },
      { databases: [whole], limits: { early: 372_600 } },
    )
    expect(error).toBeUndefined()
    expect(names()).toEqual(['polardb-dump'])
  })
})

test('nothing is sent unencrypted from a public repository, neither early nor at the end', async () => {
  const { error } = await keep(
    async ({ sink, finish }) => {
      tellEarly(sink)
      tellRest(sink)
      await finish()
    },
    { more: { isPublicRepository: async () => true } },
  )
  expect((error as Failure).message).toBe('The dump is not uploaded: the repository is public')
  expect(server.requests).toEqual([])
})

test('nothing is encrypted early where the disk has no room for it beside the dump', async () => {
  const disk = SmallDisk.make(1_500_000)
  if (!disk) {
    console.warn('SKIPPED: no file system can be mounted here')
    return
  }
  try {
    const { error } = await keep(
      async ({ sink, finish }) => {
        tellEarly(sink)
        await until(() => context.lines.some((line) => line.startsWith('A part could not be')))
        tellRest(sink)
        await finish()
      },
      {
        inputs: { passphrase },
        bytes: 700_000,
        limits: { early: 1 },
        more: { temporaryDirectory: disk.path },
      },
    )
    expect(error).toBeUndefined()
    expect(context.lines.join()).toMatch(/beside the 1.3 MB that the dump may still need/)
    expect(names()).toEqual(['polardb-dump'])
  } finally {
    disk.remove()
  }
})
