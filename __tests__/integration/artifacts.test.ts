import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { ClientError, callClient } from '../../src/action/artifact-client.ts'
import { GitHubArtifacts } from '../../src/action/artifacts.ts'
import { Cancelled, type Failure } from '../../src/failure.ts'
import { ArtifactNameTaken } from '../../src/migration/kept/artifact-store.ts'
import { isPartOfDump } from '../../src/migration/kept/directory.ts'
import { downloadDump, openDumpDirectory } from '../../src/migration/kept/download.ts'
import type { Manifest } from '../../src/migration/kept/manifest.ts'
import type { UploadOptions } from '../../src/migration/kept/upload.ts'
import { artifactProgram } from '../support/artifact-program.ts'
import { failureOf } from '../support/failure.ts'
import { uploadDump } from '../support/keep-dump.ts'
import { takeMasks } from '../support/masks.ts'
import { ResultsServer } from '../support/results-server.ts'
import { QuietContext, Scratch, sampleDump, sampleFiles } from '../support/sample-dump.ts'

const passphrase = 'a long passphrase'
/** Far below what the sample needs, so that it takes several parts, and its largest file several pieces. */
const limits = { bytes: 200_000, files: 4 }

const { masks, stop } = takeMasks()
afterAll(stop)

let scratch: Scratch
let server: ResultsServer
let context: QuietContext
let manifest: Manifest

beforeEach(async () => {
  scratch = new Scratch()
  scratch.write('scratch/keep', '')
  context = new QuietContext()
  server = await ResultsServer.start()
  manifest = await sampleDump(scratch.of('dump'))
})
afterEach(async () => {
  await server.stop()
  scratch[Symbol.dispose]()
})

/** The store as the job of a run sees it. */
const store = (run = '1', job = 'a', more: Record<string, string> = {}, pauses = [1, 1]) =>
  new GitHubArtifacts(context.log, { ...server.environment(run, job), ...more }, pauses)
const upload = (options: Partial<UploadOptions> = {}, from = store()) =>
  uploadDump(
    from,
    scratch.of('dump'),
    manifest,
    { name: 'polardb-dump', compressed: true, scratch: scratch.of('scratch'), ...options },
    context,
  )
const names = () => server.artifacts().map(({ name }) => name)
const small = () => ({
  name: 'x',
  directory: scratch.of('dump'),
  files: ['roles.sql'],
  compressed: true,
})
const why = async (work: Promise<unknown>) => (await failureOf(work)).line

describe('a dump kept as an artifact', () => {
  const ways: [string, Partial<UploadOptions>][] = [
    ['plain', {}],
    ['plain, of uncompressed archives', { compressed: false }],
    ['plain, in parts', { limits }],
    ['encrypted', { passphrase }],
    ['encrypted, in parts', { passphrase, limits }],
  ]

  test.each(ways)('comes back in another job of the run: %s', async (_, options) => {
    const uploaded = await upload(options)
    expect(uploaded.id).toBeGreaterThan(0)
    expect(server.artifacts().at(-1)).toMatchObject({
      name: 'polardb-dump',
      digest: uploaded.digest,
    })
    const into = scratch.of('into')
    const request = { name: 'polardb-dump', into, passphrase: options.passphrase }
    expect(await downloadDump(store('1', 'b'), request, context)).toEqual(manifest)
    for (const [path, content] of Object.entries(sampleFiles))
      expect(readFileSync(`${into}/${path}`).equals(content)).toBe(true)
    expect(readdirSync(into).sort()).toEqual([
      'databases',
      'manifest.json',
      'roles.polardb.sql',
      'roles.sql',
    ])
    expect(readdirSync(scratch.of('scratch'))).toEqual(['keep'])
  })

  test('comes back in another run', async () => {
    await upload({ passphrase, limits })
    const run = { id: 1, token: server.githubToken, repository: 'o/r' }
    const request = {
      name: 'polardb-dump',
      run,
      into: scratch.of('into'),
      passphrase,
    }
    // without a runtime token: the REST API is all that another run has
    const environment = { GITHUB_API_URL: server.url }
    const other = new GitHubArtifacts(context.log, environment, [])
    expect((await downloadDump(other, request, context)).id).toBe(manifest.id)
    expect(context.lines.join('\n')).not.toContain(server.githubToken)
  })

  test('goes out in parts below the limit, the manifest last', async () => {
    const { parts, bytes } = await upload({ limits })
    expect(parts).toHaveLength(4)
    expect(names()).toEqual([
      ...parts.map((_, at) => `polardb-dump-part-00${at + 1}`),
      'polardb-dump',
    ])
    // a zip needs some hundred bytes for each file
    for (const part of parts) expect(part.bytes).toBeLessThan(limits.bytes + 1000)
    expect(bytes).toBe(server.artifacts().reduce((sum, { size }) => sum + size, 0))
  })

  test('keeps for so many days', async () => {
    await upload({ retentionDays: 3 })
    const days = (Date.parse(server.artifacts()[0]?.expiresAt ?? '') - Date.now()) / 86_400_000
    expect(Math.round(days)).toBe(3)
  })

  test('is not compressed a second time', async () => {
    const text = { ...small(), name: 'text' }
    scratch.write('dump/roles.sql', 'x'.repeat(100_000))
    expect((await store().upload(text, context.signal)).bytes).toBeGreaterThan(100_000)
    const again = { ...text, name: 'again', compressed: false }
    expect((await store().upload(again, context.signal)).bytes).toBeLessThan(2000)
  })

  test('shows its progress, and nothing that gives access to it', async () => {
    await upload({ limits })
    await downloadDump(store(), { name: 'polardb-dump', into: scratch.of('into') }, context)
    const text = context.lines.join('\n')
    expect(text).toMatch(/Uploading polardb-dump-part-001: \d+ kB of 4\d\d kB/)
    expect(text).toMatch(/Downloading polardb-dump: /)
    expect(text).not.toMatch(/sig=|Bearer|Uploaded bytes/)
    // a log at debug level may show the URLs by which blobs are written and read
    expect(masks).toContain(server.signature)
    expect(text).not.toContain('SCRAM-SHA-256')
  })

  test('is put together by hand as docs/artifacts.md shows', async () => {
    if (spawnSync('unzip', ['-v']).error) {
      console.warn('SKIPPED: the program unzip is not installed')
      return
    }
    await upload({ limits })
    const into = scratch.of('dump-by-hand')
    for (const { path } of server.artifacts()) execFileSync('unzip', ['-q', path, '-d', into])
    const script = /^find [\s\S]*?^done$/m.exec(readFileSync('docs/artifacts.md', 'utf8'))?.[0]
    execFileSync('bash', ['-e', '-c', script ?? 'exit 1'], { cwd: into })
    const opened = await openDumpDirectory(into, undefined, scratch.of('scratch'), context)
    expect(opened).toEqual({ manifest, directory: into })
  })

  test('is also found when it lies in a directory as its artifacts were, encrypted', async () => {
    await upload({ passphrase, limits })
    for (const { id, name, digest, size } of server.artifacts())
      await store().download(
        { id, name, digest, bytes: size },
        scratch.of('got'),
        undefined,
        context.signal,
      )
    const opened = await openDumpDirectory(
      scratch.of('got'),
      passphrase,
      scratch.of('scratch'),
      context,
    )
    expect(opened.manifest).toEqual(manifest)
    expect(
      await why(openDumpDirectory(scratch.of('got'), undefined, scratch.path, context)),
    ).toMatch(/The dump is encrypted\. No passphrase is set\./)
  })
})

describe('a download is refused', () => {
  const get = (more: object = {}, from = store()) =>
    why(downloadDump(from, { name: 'polardb-dump', into: scratch.of('into'), ...more }, context))

  test('when there is no such artifact', async () => {
    expect(await get()).toMatch(/^There is no artifact polardb-dump in this run\./)
  })

  test('when only parts of it were uploaded', async () => {
    // the fourth artifact and what follows cannot be made
    server.faults.takenNames.add('polardb-dump-part-004')
    for (let attempt = 2; attempt < 5; attempt++)
      server.faults.takenNames.add(`polardb-dump-part-004-attempt-${attempt}`)
    context.progress.update = (line) => {
      if (line.includes('part-004')) context.stop.abort(new Cancelled())
    }
    await upload({ limits }).catch(() => {})
    expect(names()).toContain('polardb-dump-part-001')
    context = new QuietContext()
    expect(await get()).toMatch(/There is no artifact polardb-dump/)
  })

  test('when a part of it was deleted', async () => {
    await upload({ limits })
    const part = server.artifacts()[1]
    const url = `${server.url}/repos/o/r/actions/artifacts/${part?.id}`
    const headers = { authorization: `Bearer ${server.githubToken}` }
    expect((await fetch(url, { method: 'DELETE', headers })).status).toBe(204)
    expect(await get()).toMatch(
      /artifact polardb-dump-part-002 could not be downloaded\. It is no longer there/,
    )
  })

  test('when a byte of it changed on the way, however often it is fetched', async () => {
    await upload()
    server.faults.corruptDownload = true
    expect(await get()).toMatch(/what arrived has not the SHA-256 sha256:[0-9a-f]{64}/)
    expect(existsSync(scratch.of('into/manifest.json'))).toBe(false)
  })

  test('when it is an artifact of something else', async () => {
    scratch.write('other/index.html', '<html>')
    const request = {
      name: 'polardb-dump',
      directory: scratch.of('other'),
      files: ['index.html'],
      compressed: true,
    }
    await store().upload(request, context.signal)
    expect(await get()).toMatch(/is no dump\. Its manifest\.json cannot be opened/)
  })

  test('when a passphrase is set and somebody has put a plain one in its place', async () => {
    await upload()
    expect(await get({ passphrase })).toMatch(/^The artifact polardb-dump is not encrypted\./)
  })

  test('when its passphrase is wrong, or missing', async () => {
    await upload({ passphrase })
    expect(await get({ passphrase: 'another passphrase' })).toMatch(/the passphrase is wrong/)
    rmSync(scratch.of('into'), { recursive: true })
    expect(await get()).toMatch(/The dump is encrypted\. No passphrase is set\./)
  })

  test('before it is whole, and then no manifest says that it is', async () => {
    await upload({ limits })
    const seen: string[][] = []
    context.progress.update = (line) => {
      if (!/Checking the dump/.test(line)) return
      seen.push(readdirSync(scratch.of('into')))
      context.stop.abort(new Cancelled())
    }
    await expect(
      downloadDump(store(), { name: 'polardb-dump', into: scratch.of('into') }, context),
    ).rejects.toThrow(Cancelled)
    expect(seen[0]).toEqual(['incoming'])
    expect(existsSync(scratch.of('into/manifest.json'))).toBe(false)
    expect(existsSync(scratch.of('into/incoming/manifest.json'))).toBe(true)
    expect(readdirSync(scratch.of('into')).every(isPartOfDump)).toBe(true)
  })

  test('into a directory that holds something already', async () => {
    await upload()
    scratch.write('into/mine', '')
    expect(await get()).toMatch(/The directory is not empty/)
  })

  test('with a token that may not read the other run', async () => {
    await upload()
    const run = { id: 1, token: 'ghs_wrong', repository: 'o/r' }
    // a wrong token does not become right: a second attempt would come an hour later
    const patient = store('1', 'b', {}, [3_600_000])
    expect(await get({ run }, patient)).toMatch(
      /run 1 could not be listed\..*github-token has the permission actions: read/,
    )
  })
})

describe('the name of an artifact', () => {
  test('that the run has already is an error', async () => {
    await upload()
    const error = await upload().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ArtifactNameTaken)
    expect((error as Failure).line).toMatch(/polardb-dump exists in this run already/)
  })

  test('that a failed upload has burnt is replaced by another one, which restore finds', async () => {
    server.faults.takenNames.add('polardb-dump').add('polardb-dump-part-002')
    const uploaded = await upload({ limits })
    expect(uploaded.name).toBe('polardb-dump-attempt-2')
    expect(names()).toContain('polardb-dump-part-002-attempt-2')
    const request = { name: 'polardb-dump', into: scratch.of('into') }
    expect(await downloadDump(store(), request, context)).toEqual(manifest)
  })

  test('of the report has the job and a number behind it where it is taken', async () => {
    scratch.write('report/report.json', '{}')
    const report = () =>
      store('1', 'a', { GITHUB_JOB: 'migrate prod' }).uploadReport(
        [scratch.of('report/report.json')],
        scratch.of('report'),
        context.signal,
      )
    await report()
    await report()
    await report()
    expect(names()).toEqual([
      'polardb-report',
      'polardb-report-migrate-prod-2',
      'polardb-report-migrate-prod-3',
    ])
  })
})

describe('an upload', () => {
  test('of the report is given up when its time is over, however often the service could be tried', async () => {
    scratch.write('report/report.json', '{}')
    server.faults.stallUpload = { after: 0, times: 100 }
    const from = new GitHubArtifacts(context.log, server.environment('1', 'a'), [1, 1], 60_000, 700)
    const given = from.uploadReport(
      [scratch.of('report/report.json')],
      scratch.of('report'),
      context.signal,
    )
    await expect(given).rejects.toThrow('The report was not uploaded')
    expect(names()).toEqual([])
  })

  test.each([429, 503])('survives the answer %d of the service', async (status) => {
    server.faults.rpc = { status, times: 1 }
    expect((await upload()).name).toBe('polardb-dump')
  })

  test('survives errors and cut connections of the blob store', async () => {
    server.faults.blob = { status: 503, times: 1 }
    server.faults.cutUpload = { after: 10, times: 1 }
    expect((await upload()).name).toBe('polardb-dump')
  })

  test('that stalls is begun again under another name', async () => {
    server.faults.stallUpload = { after: 10, times: 1 }
    const impatient = store('1', 'a', { ACTIONS_ARTIFACT_UPLOAD_TIMEOUT_MS: '3000' })
    const uploaded = await upload({}, impatient)
    expect(uploaded.name).toBe('polardb-dump-attempt-2')
    expect(context.lines.join('\n')).toMatch(/could not be uploaded: Upload progress stalled/)
  })

  test('whose URL has expired is begun again, and fails at last with the reason', async () => {
    server.faults.unauthorizedAfterBlocks = 0
    expect(await why(upload())).toMatch(
      /^The artifact polardb-dump\S* could not be uploaded\. .*keep-dump/,
    )
    expect(server.requests.filter((line) => line.endsWith('/CreateArtifact'))).toHaveLength(3)
    expect(names()).toEqual([])
  })

  test('resumes at the part that failed', async () => {
    server.faults.stallUpload = { after: 10, times: 0 }
    let parts = 0
    context.progress.update = (line) => {
      if (line.includes('part-002:') && parts++ === 0)
        server.faults.blob = { status: 400, times: 1 }
    }
    const uploaded = await upload({ limits })
    expect(names().filter((name) => name.startsWith('polardb-dump-part-001'))).toHaveLength(1)
    const request = { name: uploaded.name, into: scratch.of('into') }
    expect(await downloadDump(store(), request, context)).toEqual(manifest)
  })

  test('with a token that has expired fails at once, with the way out', async () => {
    const expired = store('1', 'a', {
      ACTIONS_RUNTIME_TOKEN: 'e30.eyJzY3AiOiJBY3Rpb25zLlJlc3VsdHM6MTphIn0.x',
    })
    expect(await why(upload({}, expired))).toMatch(/\(401\).*outlived its token.*dump-directory/)
    expect(server.requests).toHaveLength(1)
  })

  test('to a service that never answers fails', async () => {
    const silent = createServer(() => {})
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = silent.address() as AddressInfo
      const environment = {
        ...server.environment(),
        ACTIONS_RESULTS_URL: `http://127.0.0.1:${port}`,
      }
      const impatient = new GitHubArtifacts(context.log, environment, [], 1000)
      expect(await why(upload({}, impatient))).toMatch(/nothing happened for 1 s/)
    } finally {
      silent.closeAllConnections()
      silent.close()
    }
  })

  test('on GitHub Enterprise Server names the alternative', async () => {
    const enterprise = store('1', 'a', { GITHUB_SERVER_URL: 'https://github.example.com' })
    expect(await why(upload({}, enterprise))).toMatch(
      /GitHub Enterprise Server.*upload-dump to false.*dump-directory/,
    )
  })

  test('outside a runner names the alternative', async () => {
    const nowhere = new GitHubArtifacts(context.log, {}, [1])
    expect(await why(upload({}, nowhere))).toMatch(/ACTIONS_RUNTIME_TOKEN.*dump-directory/)
  })

  test('of a file that is not there, or is a link, names it before anything is sent', async () => {
    rmSync(scratch.of('dump/roles.sql'))
    expect(await why(store().upload(small(), context.signal))).toMatch(
      /^roles\.sql cannot be uploaded\./,
    )
    symlinkSync('/etc/passwd', scratch.of('dump/roles.sql'))
    expect(await why(store().upload(small(), context.signal))).toMatch(/no plain file/)
    expect(server.requests).toEqual([])
  })

  test('of a file that cannot be read in the middle fails, and this process goes on', async () => {
    symlinkSync('/proc/self/mem', scratch.of('dump/unreadable'))
    const directory = scratch.of('dump')
    const files = [`${directory}/unreadable`]
    const environment = server.environment()
    const error = await callClient(
      { call: 'upload', name: 'x', files, directory, options: {} },
      environment,
      { onLine: () => {} },
      context.signal,
      60_000,
    ).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ClientError)
    expect((error as ClientError).kind).toBe('PackingError')
    expect(names()).toEqual([])
  })

  test('ends at once when the job is cancelled, its process too', async () => {
    server.faults.stallUpload = { after: 10, times: 1 }
    const program = await artifactProgram()
    const ended = upload()
    const uploading = () => server.requests.some((line) => line.startsWith('PUT /blob/'))
    while (!uploading()) await new Promise((resolve) => setTimeout(resolve, 20))
    context.stop.abort(new Cancelled())
    await expect(ended).rejects.toBeInstanceOf(Cancelled)
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
    for (const pid of children.split(' ').filter(Boolean)) {
      let command = ''
      try {
        command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      } catch {
        // it has ended meanwhile
      }
      expect(command).not.toContain(program)
    }
    expect(readdirSync(scratch.of('scratch'))).toEqual(['keep'])
    expect(names()).toEqual([])
  })
})

test('the process of the client gets no variable of the job but its own', async () => {
  const environment = { ...server.environment(), INPUT_TARGET_PASSWORD: 'canary' }
  const seen: string[] = []
  const running = new GitHubArtifacts(context.log, environment, []).upload(
    small(),
    context.signal,
    () => {},
  )
  const look = setInterval(() => {
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
    for (const pid of children.split(' ').filter(Boolean))
      for (const file of ['environ', 'cmdline'])
        try {
          seen.push(readFileSync(`/proc/${pid}/${file}`, 'utf8'))
        } catch {
          // it has ended
        }
  }, 10)
  await running.finally(() => clearInterval(look))
  const text = seen.join('\n')
  expect(text).toContain('ACTIONS_RUNTIME_TOKEN')
  expect(text).not.toMatch(/canary/)
  expect(text).not.toMatch(/roles\.sql/)
})

test('a download that is cut or stalls is begun again', async () => {
  await upload()
  const other = await ResultsServer.start()
  try {
    const elsewhere = new GitHubArtifacts(context.log, other.environment(), [1, 1])
    await upload({}, elsewhere)
    server.faults.cutDownload = { after: 1000, times: 1 }
    other.faults.stallDownload = { after: 1000, times: 1 }
    // the client waits for the next byte, in both cases
    const [cut, stalled] = await Promise.all([
      downloadDump(store(), { name: 'polardb-dump', into: scratch.of('cut') }, context),
      downloadDump(elsewhere, { name: 'polardb-dump', into: scratch.of('stalled') }, context),
    ])
    expect([cut.id, stalled.id]).toEqual([manifest.id, manifest.id])
  } finally {
    await other.stop()
  }
})

test('a large file goes through in blocks', async () => {
  const content = randomBytes(20_000_000)
  writeFileSync(scratch.of('dump/roles.sql'), content)
  const sent: number[] = []
  const artifact = await store().upload(small(), context.signal, (bytes) => void sent.push(bytes))
  expect(sent.at(-1)).toBe(artifact.bytes)
  expect(sent.length).toBeGreaterThan(2)
  await store().download(artifact, scratch.of('into'), undefined, context.signal)
  expect(readFileSync(scratch.of('into/roles.sql')).equals(content)).toBe(true)
})
